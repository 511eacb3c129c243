"""From a source's lines to packed records: what happens to each line between being read and being delivered.

::

    lines ─> unwrap ─> redact ─> repair UTF-8 ─> join ─> parse ─> thin out ─> pack ─> Delivery
             (CRI, docker)                      (stack traces)   (noise)

Whole blocks are looked at before lines are: what finds nothing in a block costs nothing for its lines.

A stream has a *channel* for stdout, one for stderr, each with its own format and its own unfinished record. Every line is dealt
with in the end, also one that is dropped, and the mark of what is dealt with goes to the delivery with the records around it; a
record that still waits for its next line holds the mark back.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from ..io.clock import Clock
from ..logic.level_guess import is_trace
from ..logic.log_watch import FATAL
from ..logic.multiline import Mode, Multiline
from ..logic.noise import Noise
from ..logic.otlp_logs import Packer, observed_at
from ..logic.redaction import Redactor, Rules
from ..logic.severity import ERROR
from ..logic.unwrap import Unwrapper, detect
from ..model.counters import LogCounters
from ..model.logs import LogRecord
from .base import Format
from .delivery import Delivery

SLICE = 512
"""Lines between two breaths of the event loop: some milliseconds at most."""
SUMMARY_BITS = 76
"""Of a mark, what no stream's own has."""
REST = 1.0
"""Seconds after which a record that could go on is taken to be complete."""

Watcher = Callable[[float, Sequence[bytes], Mapping[int, int], bytes], None]
"""Told of each block: unix seconds, its lines (redacted), how many records it had by severity, and the body of its last fatal
one."""


class Pipeline:
    """One source's way; its `Intake`. `sweep` now and then, `flush` in the end."""

    def __init__(
        self,
        delivery: Delivery,
        clock: Clock,
        counters: LogCounters,
        rules: Rules,
        formats: Callable[[], Format],
        multiline: Mode,
        max_line: int | None = None,
        watchers: Sequence[Watcher] = (),
        noise: Noise | None = None,
    ) -> None:
        self.delivery = delivery
        self.clock = clock
        self.counters = counters
        self.rules = rules
        self.formats = formats
        self.multiline = multiline
        self.max_line = max_line
        """Of unwrapped lines, where a source's may be wrapped by a container runtime; None where they cannot be."""
        self.watchers = watchers
        self.noise = noise
        self.spoke: tuple[LogStream, _Channel] | None = None
        """Who had a record last: what noise tells in a silence stands there."""
        self.broke: Callable[[Exception, str], None] = _raise
        """Told of what broke on a bug, and what was done about it."""
        self.resting: dict[LogStream, float] = {}
        """Streams with something unfinished, and when they were fed last."""

    def stream(self, uid: bytes, attributes: Mapping[str, str], start: int) -> LogStream:
        return LogStream(self, uid, attributes, start)

    @property
    def waits(self) -> bool:
        """Is there anything to `sweep`, now or later?"""
        return bool(self.resting) or (self.noise is not None and self.noise.waits)

    async def sweep(self) -> None:
        """Let go what has rested long enough, but nothing that may have rested because there was no room for what follows."""
        began = self.clock.monotonic()
        await self.delivery.room()
        if (now := self.clock.monotonic()) - began >= REST:
            self.resting = dict.fromkeys(self.resting, now)
        for stream in [stream for stream, fed in self.resting.items() if fed <= now - REST]:
            if self.resting.get(stream, now) <= now - REST:
                await stream.flush()
        self._tell(closing=False)

    async def flush(self) -> None:
        for stream in list(self.resting):
            await stream.flush()
        self._tell(closing=True)

    def _tell(self, *, closing: bool) -> None:
        if self.noise is not None and self.spoke is not None:
            stream, channel = self.spoke
            stream.tell(channel, self.noise.due(self.clock.now(), closing))


def _raise(error: Exception, _: str) -> None:
    raise error


class _Unknown:
    """The format of which no line is."""

    def parse(self, line: bytes, now: int) -> LogRecord | None:
        return None

    def parse_many(self, lines: Sequence[bytes], now: int) -> Sequence[LogRecord | None]:
        return [None] * len(lines)


class _Channel:
    """One iostream's state between two blocks."""

    def __init__(self, pipeline: Pipeline, uid: bytes, attributes: Mapping[str, str], iostream: str) -> None:
        told = {**attributes, "log.iostream": iostream} if iostream else attributes
        self.packer = Packer(uid, told)
        self.format = pipeline.formats()
        self.redactor = Redactor(pipeline.rules, pipeline.counters.redacted)
        self.multiline = Multiline(pipeline.multiline)
        self.floor = 0
        """While a record is unfinished: a mark before its first line."""
        self.times: dict[int, int] = {}
        """By mark, when the runtime noted the lines of what is unfinished."""


class LogStream:
    """See `base.Stream`."""

    def __init__(self, pipeline: Pipeline, uid: bytes, attributes: Mapping[str, str], start: int) -> None:
        self._pipeline = pipeline
        self._uid = uid
        self._attributes = attributes
        self._channels: dict[str, _Channel] = {}
        self._wrapped = pipeline.max_line is not None
        self._unwrap: Unwrapper | None = None
        self._fed = start
        self._settled = start
        self._before: int | None = None
        """While a block is worked on that leaves in several pieces: the mark in front of it."""

    def safe(self, read_to: int) -> int:
        # While `feed` waits in the midst of a block, more is settled than its source knows to be fed.
        return max(read_to, self._settled) if self._settled == self._fed else self._settled

    def settled(self, mark: int) -> None:
        self._settled = mark

    async def feed(
        self, lines: Sequence[bytes], marks: Sequence[int], times: Sequence[int] | None = None, iostream: str = ""
    ) -> None:
        for at in range(0, len(lines), SLICE):
            to = at + SLICE
            await self._pipeline.delivery.room()
            self._take(lines[at:to], marks[at:to], times[at:to] if times else None, iostream)
            await asyncio.sleep(0)

    async def flush(self) -> None:
        pipeline = self._pipeline
        await pipeline.delivery.room()
        pipeline.resting.pop(self, None)
        if self._unwrap is not None:
            self._before = self._unwrap.pending
            for piece in self._unwrap.flush():
                self._run(piece.iostream, piece.lines, piece.marks, piece.times, self._fed)
        for channel in self._channels.values():
            if (last := channel.multiline.flush()) is not None:
                self._records_in_any_case(channel, [last[0]], [last[1]])
                channel.times.clear()
        self._before = None
        pipeline.delivery.put(self, [], 0, 0, self._fed)

    def _take(self, lines: Sequence[bytes], marks: Sequence[int], times: Sequence[int] | None, iostream: str) -> None:
        pipeline, before = self._pipeline, self._fed
        pipeline.counters.lines += len(lines)
        pipeline.counters.bytes += sum(map(len, lines)) + len(lines)
        self._fed = marks[-1]
        if self._wrapped:
            self._look(lines, before)
        if self._unwrap is None:
            self._run(iostream, lines, marks, times, before)
        else:
            self._before = before
            for piece in self._unwrap.feed(lines, marks):
                self._run(piece.iostream, piece.lines, piece.marks, piece.times, before)
            self._before = None
            self._put([], 0, 0)

    def _look(self, lines: Sequence[bytes], before: int) -> None:
        """The first lines tell whether a container runtime has wrapped them."""
        self._wrapped = False
        pipeline = self._pipeline
        if pipeline.max_line is not None and (kind := detect(lines[:8])):
            self._unwrap = Unwrapper(kind, pipeline.max_line, pipeline.counters, before)

    def _run(
        self,
        iostream: str,
        lines: Sequence[bytes],
        marks: Sequence[int],
        times: Sequence[int] | None,
        before: int,
    ) -> None:
        """Lines of one channel; `before` is a mark in front of them."""
        channel = self._channels.get(iostream)
        if channel is None:
            channel = _Channel(self._pipeline, self._uid, self._attributes, iostream)
            self._channels[iostream] = channel
        clean, joined = _clean(channel.redactor, list(lines))
        if not channel.multiline.pending:
            channel.floor = before
        whole, ends = channel.multiline.feed(clean, marks, joined)
        if channel.multiline.pending and ends:
            channel.floor = ends[-1]
        if times:
            channel.times |= zip(marks, times, strict=True)
        self._records_in_any_case(channel, whole, ends)
        if channel.times and ends:
            channel.times = {mark: time for mark, time in channel.times.items() if mark > ends[-1]}

    def _records_in_any_case(self, channel: _Channel, lines: Sequence[bytes], marks: Sequence[int]) -> None:
        """A format that breaks loses no line, and does not stop the lines behind: these are taken as they are."""
        try:
            self._records(channel, lines, marks)
        except Exception as error:  # noqa: BLE001 - whatever it is
            self._pipeline.broke(error, "a format of logs broke on a bug: lines are taken as they are")
            format_, channel.format = channel.format, _Unknown()
            try:
                self._records(channel, lines, marks)
            finally:
                channel.format = format_

    def _records(self, channel: _Channel, lines: Sequence[bytes], marks: Sequence[int]) -> None:
        pipeline, times = self._pipeline, channel.times
        at = pipeline.clock.now()
        now = int(at * 1e9)
        observed = observed_at(now)
        parse, pack, noise = channel.format.parse, channel.packer.pack, pipeline.noise
        parts: list[bytes] = []
        severities: list[int] = []
        size = items = 0
        fatal = b""
        for line, mark in zip(lines, marks, strict=True):
            if not line or line.isspace():
                continue
            record = (parse(line, now) or LogRecord(line)) if b"\n" not in line else _first_line(parse, line, now)
            if times and not record.time:
                record.time = times.get(mark, 0)
            severities.append(record.severity)
            if record.severity >= FATAL:
                fatal = record.body
            if noise is not None:
                if not noise.admit(record.body, record.severity, at):
                    continue
                told = noise.due(at)
                size += _pack_summaries(channel.packer, told, mark, observed, parts)
                items += len(told)
            size += pack(record, mark, observed, parts)
            items += 1
        pipeline.spoke = self, channel
        seen = Counter(severities)
        counted = pipeline.counters.records
        for severity, count in seen.items():
            counted[severity] = counted.get(severity, 0) + count
        for watch in pipeline.watchers:
            watch(at, lines, seen, fatal)
        self._put(parts, size, items)

    def tell(self, channel: _Channel, summaries: Sequence[LogRecord]) -> None:
        """Records that no line stands for."""
        parts: list[bytes] = []
        observed = observed_at(int(self._pipeline.clock.now() * 1e9))
        size = _pack_summaries(channel.packer, summaries, self._fed, observed, parts)
        if size:
            self._put(parts, size, len(summaries))

    def _put(self, parts: list[bytes], size: int, items: int) -> None:
        """What is unfinished holds the mark back."""
        floors = [channel.floor for channel in self._channels.values() if channel.multiline.pending]
        if self._unwrap is not None and self._unwrap.pending is not None:
            floors.append(self._unwrap.pending)
        if floors:
            self._pipeline.resting[self] = self._pipeline.clock.monotonic()
        if self._before is not None:
            floors.append(self._before)
        self._pipeline.delivery.put(self, parts, size, items, min(floors, default=self._fed))


def _pack_summaries(
    packer: Packer, summaries: Sequence[LogRecord], mark: int, observed: bytes, parts: list[bytes]
) -> int:
    """With uids beside that of the line with this mark."""
    return sum(packer.pack(one, mark | n << SUMMARY_BITS, observed, parts) for n, one in enumerate(summaries, 1))


def _first_line(parse: Callable[[bytes, int], LogRecord | None], lines: bytes, now: int) -> LogRecord:
    """A record of several lines says in its first what it is. A stack trace whose first line has no severity is an error."""
    first, _, rest = lines.partition(b"\n")
    record = parse(first, now) or LogRecord(first)
    record.body += b"\n" + rest
    if not record.severity and is_trace(rest):
        record.severity = ERROR
    return record


def _clean(redactor: Redactor, lines: list[bytes]) -> tuple[list[bytes], bytes]:
    """Without secrets, and UTF-8: protobuf's strings are, and some receivers refuse all of a request for one that is not. Also
    joined by line feeds."""
    joined = b"\n".join(lines)
    clean = redactor.redact(lines, joined)
    if not joined.isascii():
        try:
            joined.decode()
        except UnicodeDecodeError:
            clean = [line if line.isascii() else line.decode(errors="replace").encode() for line in clean]
    return clean, joined if clean is lines else b"\n".join(clean)
