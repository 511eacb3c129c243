"""A source with its pipeline. What breaks in it is its own trouble: it is said, and the source begins again.

A source survives whatever it reads from, so what arrives here is a mistake of ours. The others go on; this one is made anew from
where its lines are settled, after `SHORTEST` seconds, and later and later up to `LONGEST` while it breaks again and again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import structlog

from ..io.clock import Clock
from ..model.counters import LogCounters
from .base import Source
from .pipeline import Pipeline

LONGEST_WHY = 500
SHORTEST, LONGEST = 5.0, 60.0
STEADY = 60.0
"""Seconds of reading after which the next break is as the first."""
SHOWN = 120.0
"""Seconds for which what broke is shown."""
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
        pipeline.broke = self.broke

    @property
    def why(self) -> str:
        """What broke last, if it was lately; else what keeps it from reading."""
        if self._why and self._clock.monotonic() - self._broke_at < SHOWN:
            return self._why
        return self.counters.why[:LONGEST_WHY]

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
