"""One stream's way through the pipeline.

A stream has a *channel* for stdout, one for stderr, each with its own format and its own unfinished record. The mark of what is
dealt with goes to the delivery with the records around it; a record that still waits for its next line holds the mark back.
"""

from __future__ import annotations

import asyncio
import operator
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from ..logic.level_guess import is_trace
from ..logic.multiline import Multiline
from ..logic.noise import Noise, Repeats
from ..logic.otlp_logs import Packer, observed_at
from ..logic.redaction import Redactor
from ..logic.severity import ERROR
from ..logic.unwrap import Unwrapper, detect
from ..model.logs import LogRecord
from .base import Format, spelled_out

if TYPE_CHECKING:
    from .pipeline import Pipeline

SLICE = 512
"""Lines between two breaths of the event loop: some milliseconds at most."""
SUMMARY_BITS = 80
"""Of a mark, what no stream's own has."""
MOST_BESIDE = 2
"""Summaries before a line: one of repetitions, one of a flood."""


class _Unknown:
    """The format of which no line is."""

    def parse(self, line: bytes, now: int) -> LogRecord | None:
        return None

    def parse_many(self, lines: Sequence[bytes], now: int) -> None:
        return None


class Channel:
    """One iostream's state between two blocks."""

    def __init__(self, pipeline: Pipeline, uid: bytes, attributes: Mapping[str, str], iostream: str) -> None:
        told = {**attributes, "log.iostream": iostream} if iostream else attributes
        self.packer = Packer(uid, told)
        self.format = pipeline.formats()
        self.redactor = Redactor(pipeline.rules, pipeline.counters.redacted)
        self.multiline = Multiline(pipeline.multiline)
        self.repeats = pipeline.noise.repeats() if pipeline.noise is not None else None
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
        self._channels: dict[str, Channel] = {}
        self._wrapped = pipeline.max_line is not None
        self._unwrap: Unwrapper | None = None
        self._fed = start
        self._settled = start
        self.held = 0
        """Bytes that are unfinished."""
        self._told = 0
        """Summaries that stand beside the last mark."""
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
            await self._pipeline.room()
            self._take(lines[at:to], marks[at:to], times[at:to] if times else None, iostream)
            self._weigh()
            await self._pipeline.shed()
            await asyncio.sleep(0)

    async def flush(self) -> None:
        pipeline = self._pipeline
        await pipeline.room()
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
        self._weigh()
        pipeline.delivery.put(self, [], 0, 0, self._fed)

    def _weigh(self) -> None:
        held = sum(channel.multiline.held for channel in self._channels.values())
        if self._unwrap is not None:
            held += self._unwrap.held
        self._pipeline.held += held - self.held
        self.held = held

    def _take(self, lines: Sequence[bytes], marks: Sequence[int], times: Sequence[int] | None, iostream: str) -> None:
        pipeline, before = self._pipeline, self._fed
        pipeline.counters.lines += len(lines)
        pipeline.counters.bytes += sum(map(len, lines)) + len(lines)
        self._fed = marks[-1]
        self._told = MOST_BESIDE
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
            channel = Channel(self._pipeline, self._uid, self._attributes, iostream)
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

    def _records_in_any_case(self, channel: Channel, lines: Sequence[bytes], marks: Sequence[int]) -> None:
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

    def _records(self, channel: Channel, lines: Sequence[bytes], marks: Sequence[int]) -> None:
        pipeline = self._pipeline
        at = pipeline.clock.now()
        now = int(at * 1e9)
        if not all(lines) or any(map(bytes.isspace, lines)):
            said = [number for number, line in enumerate(lines) if line and not line.isspace()]
            lines, marks = [lines[number] for number in said], [marks[number] for number in said]
        # What a container runtime noted as one line may hold line ends.
        several = channel.multiline.several or self._unwrap is not None or bool(channel.times)
        parsed = None if several else channel.format.parse_many(lines, now)
        parts: list[bytes] = []
        made: Sequence[LogRecord] = ()
        if parsed is None and not several and pipeline.noise is None:
            seen, items = Counter({0: len(lines)}), len(lines)
            size = channel.packer.pack_bare(lines, marks, observed_at(now), parts)
        else:
            records = _several(channel.format, lines, now) if several else _singles(spelled_out(parsed, lines), lines)
            if channel.times:
                for record, mark in zip(records, marks, strict=True):
                    record.time = record.time or channel.times.get(mark, 0)
            seen, made = Counter(map(_severity, records)), records
            if pipeline.noise is not None:
                records, marks = _thinned(pipeline.noise, channel.repeats, records, marks, at)
                if channel.repeats is not None and channel.repeats.waits:
                    pipeline.repeating[channel.repeats] = self, channel
            size, items = channel.packer.pack(records, marks, observed_at(now), parts), len(records)
        pipeline.spoke = self, channel
        counted = pipeline.counters.records
        for severity, count in seen.items():
            counted[severity] = counted.get(severity, 0) + count
        for watch in pipeline.watchers:
            watch(at, lines, seen, made)
        self._put(parts, size, items)

    def tell(self, channel: Channel, summaries: Sequence[LogRecord]) -> None:
        """Records that no line stands for."""
        if not summaries:
            return
        parts: list[bytes] = []
        observed = observed_at(int(self._pipeline.clock.now() * 1e9))
        marks = _beside(self._fed, len(summaries), self._told)
        self._told += len(summaries)
        self._put(parts, channel.packer.pack(summaries, marks, observed, parts), len(summaries))

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


_severity = operator.attrgetter("severity")


def _singles(parsed: list[LogRecord | None], lines: Sequence[bytes]) -> list[LogRecord]:
    """A line that is not of the format is taken as it is."""
    if all(parsed):
        return cast("list[LogRecord]", parsed)
    return [record or LogRecord(line) for record, line in zip(parsed, lines, strict=True)]


def _several(format_: Format, lines: Sequence[bytes], now: int) -> list[LogRecord]:
    """A record of several lines says in its first what it is. A stack trace whose first line has no severity is an error."""
    split = [line.partition(b"\n") for line in lines]
    firsts = [first for first, _, _ in split]
    records = _singles(spelled_out(format_.parse_many(firsts, now), firsts), firsts)
    for record, (_, end, rest) in zip(records, split, strict=True):
        if end:
            record.body += end + rest
            if not record.severity and is_trace(rest):
                record.severity = ERROR
    return records


def _thinned(
    noise: Noise, repeats: Repeats | None, records: Sequence[LogRecord], marks: Sequence[int], at: float
) -> tuple[list[LogRecord], list[int]]:
    """Without what is too much, and with summaries of it."""
    kept: list[LogRecord] = []
    places: list[int] = []
    for record, mark in zip(records, marks, strict=True):
        if noise.admit(record, at, repeats):
            told = noise.due(at)
            if repeats is not None:
                told = repeats.due(at) + told
            kept += (*told, record)
            places += (*_beside(mark, len(told)), mark)
    return kept, places


def _beside(mark: int, count: int, others: int = 0) -> list[int]:
    """Marks of summaries, with uids beside that of the line with this mark, where `others` are already."""
    return [mark | n << SUMMARY_BITS for n in range(others + 1, others + count + 1)]


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
