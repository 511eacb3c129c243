"""A source with its pipeline. What breaks in it is its own trouble: it is said, and the source begins again.

A source survives whatever it reads from, so what arrives here is a mistake of ours. The others go on; this one is made anew from
where its lines are settled, after `SHORTEST` seconds, and later and later up to `LONGEST` while it breaks again and again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import structlog

from ..io.clock import Clock
from ..logic.log_watch import Sight
from ..logic.scalars import show_duration
from ..model.counters import LogCounters
from ..model.logs import LogRecord
from .base import Source
from .pipeline import Pipeline

LONGEST_WHY = 500
SHORTEST, LONGEST = 5.0, 60.0
STEADY = 60.0
"""Seconds of reading after which the next break is as the first."""
SHOWN = 120.0
"""Seconds for which what broke is shown."""
LATE = 5.0
"""Seconds for which reading may pause, or be behind, before checks do without its lines."""
ACTIVE = 2.0
"""Seconds after a line for which a source is reading. Later, what is not settled was read, and waits for an answer."""
UNFINISHED = 1 << 20
"""Bytes behind that may be last lines without an end, for which nobody is to blame."""
EVENT = "a source of logs broke on a bug: it begins again, others go on"


class FollowedSource:
    """`run` returns when the source has ended by itself, as standard input does."""

    def __init__(
        self,
        name: str,
        kind: str,
        make: Callable[[Mapping[str, object]], Source],
        pipeline: Pipeline,
        counters: LogCounters,
        remembered: Mapping[str, object],
        clock: Clock,
        log: structlog.typing.FilteringBoundLogger,
    ) -> None:
        """`make` is given what the source is to remember."""
        self.name = name
        self.kind = kind
        self.pipeline = pipeline
        self.counters = counters
        self._make = make
        self._source: Source | None = None
        self._remembered = remembered
        self._clock = clock
        self._log = log
        self._why = ""
        self._broke_at = 0.0
        self._pause = SHORTEST
        self._said: set[str] = set()
        self._noted_at = 0.0
        self._noted_why = ""
        """What kept some of it from being read when the last line came."""
        pipeline.broke = self.broke

    @property
    def why(self) -> str:
        """What broke last, if it was lately; else what keeps it from reading."""
        if self._why and self._clock.monotonic() - self._broke_at < SHOWN:
            return self._why
        return self.counters.why[:LONGEST_WHY]

    def note(
        self, now: float, lines: Sequence[bytes], severities: Mapping[int, int], records: Sequence[LogRecord]
    ) -> None:
        """A watcher of its own pipeline, where checks ask for the `sight`."""
        if lines:
            self._noted_at = self._clock.monotonic()
            self._noted_why = self.why

    def sight(self) -> Sight:
        """What lines come in spite of is told; what none has come since may hide all of them."""
        delivery, counters, now = self.pipeline.delivery, self.counters, self._clock.monotonic()
        in_hand, reads = self.pipeline.in_hand, counters.streams > 0
        if in_hand and delivery.full_since is not None and now - delivery.full_since >= LATE:
            return Sight(f"reading pauses: {delivery.why or 'upstreams take no more'}", True, in_hand, reads)
        unfinished = 0 < counters.lag_bytes < UNFINISHED
        if counters.lag_seconds >= LATE and now - self._noted_at < ACTIVE and not unfinished:
            behind = show_duration(float(round(counters.lag_seconds)))
            return Sight(f"reading is {behind} behind", True, in_hand, reads)
        return Sight(self.why, bool(self.why) and self.why != self._noted_why, in_hand, reads)

    async def run(self) -> None:
        while True:
            began = self._clock.monotonic()
            try:
                self._source = self._make(self._remembered)
                await self._source.run()
                return
            except Exception as error:  # noqa: BLE001 - whatever it is
                if self._clock.monotonic() - began >= STEADY:
                    self._pause = SHORTEST
                self.broke(error)
            self.counters.streams = 0
            await self._clock.sleep(self._pause)  # what it has read before is delivered and settled meanwhile
            self._pause = min(LONGEST, self._pause * 2)
            self._remembered = self.checkpoint()
            self._source = None

    async def sweep(self) -> None:
        try:
            await self.pipeline.sweep()
        except Exception as error:  # noqa: BLE001 - whatever it is
            self.broke(error)

    async def flush(self) -> None:
        try:
            await self.pipeline.flush()
        except Exception as error:  # noqa: BLE001 - whatever it is
            self.broke(error)

    def checkpoint(self) -> Mapping[str, object]:
        if self._source is not None:
            try:
                self._remembered = self._source.checkpoint()
            except Exception as error:  # noqa: BLE001 - whatever it is
                self.broke(error)
        return self._remembered

    def broke(self, error: BaseException, event: str = EVENT) -> None:
        """Count it, show it, and say each kind of it once."""
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        self.counters.errors["broken"] = self.counters.errors.get("broken", 0) + 1
        at = error.__traceback__
        while at is not None and at.tb_next is not None:
            at = at.tb_next
        where = f"{at.tb_frame.f_code.co_filename}:{at.tb_lineno}" if at is not None else ""
        self._broke_at = self._clock.monotonic()
        self._why = f"{type(error).__name__}: {error}"[:LONGEST_WHY]
        if where not in self._said:
            self._said.add(where)
            self._log.error(event, source=self.name, why=self._why, where=where)
