"""From a source's lines to packed records: what happens to each line between being read and being delivered.

::

    lines ─> unwrap ─> redact ─> repair UTF-8 ─> join ─> parse ─> thin out ─> pack ─> Delivery
             (CRI, docker)                      (stack traces)   (noise)

Whole blocks are looked at before lines are: what finds nothing in a block costs nothing for its lines.

Every line is dealt with in the end, also one that is dropped. What is here is common to all streams of a source; the way itself
is each stream's own (`log_stream`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ..io.clock import Clock
from ..logic.multiline import Mode
from ..logic.noise import Noise, Repeats
from ..logic.redaction import Rules
from ..model.counters import LogCounters
from ..model.logs import LogRecord
from .base import Format
from .delivery import Delivery
from .log_stream import Channel, LogStream

MOST_HELD = 16 << 20
"""Bytes of unfinished lines and records of one source, over all its streams."""
REST = 1.0
"""Seconds after which a record that could go on is taken to be complete."""

Watcher = Callable[[float, Sequence[bytes], Mapping[int, int], Sequence[LogRecord]], None]
"""Told of each block: unix seconds, its lines (redacted), how many records it had by severity, and the record of each line; none
where all are bare, with neither time nor severity."""


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
        self.spoke: tuple[LogStream, Channel] | None = None
        """Who had a record last: what noise tells of a flood in a silence stands there."""
        self.repeating: dict[Repeats, tuple[LogStream, Channel]] = {}
        """What is still to be told of, and where."""
        self.broke: Callable[[Exception, str], None] = _raise
        """Told of what broke on a bug, and what was done about it."""
        self.resting: dict[LogStream, float] = {}
        """Streams with something unfinished, and when they were fed last."""
        self.held = 0
        """Bytes of it, in all."""
        self._waiting = 0

    def stream(self, uid: bytes, attributes: Mapping[str, str], start: int) -> LogStream:
        return LogStream(self, uid, attributes, start)

    @property
    def waits(self) -> bool:
        """Is there anything to `sweep`, now or later?"""
        return bool(self.resting or self.repeating) or (self.noise is not None and self.noise.waits)

    @property
    def in_hand(self) -> bool:
        """Was something read that no watcher has been told of yet?"""
        return self._waiting > 0 or bool(self.resting)

    async def room(self) -> None:
        """Wait until there is room for the records of what was read."""
        self._waiting += 1
        try:
            await self.delivery.room()
        finally:
            self._waiting -= 1

    @property
    def unfinished(self) -> int:
        """Streams whose last record could go on."""
        return sum(stream.held > 0 for stream in self.resting)

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

    async def shed(self) -> None:
        """So that many streams do not hold much more together than one may: the longest unfinished leave as they are."""
        while self.held > MOST_HELD and self.resting:
            self.counters.errors["too_much_unfinished"] = self.counters.errors.get("too_much_unfinished", 0) + 1
            await max(self.resting, key=lambda stream: stream.held).flush()

    async def flush(self) -> None:
        for stream in list(self.resting):
            await stream.flush()
        self._tell(closing=True)

    def _tell(self, *, closing: bool) -> None:
        if self.noise is None:
            return
        now = self.clock.now()
        for repeats, (stream, channel) in list(self.repeating.items()):
            stream.tell(channel, repeats.due(now, closing))
            if not repeats.waits:
                del self.repeating[repeats]
        if self.spoke is not None:
            stream, channel = self.spoke
            stream.tell(channel, self.noise.due(now, closing))


def _raise(error: Exception, _: str) -> None:
    raise error
