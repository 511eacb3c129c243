"""The process beside us: looked at now and then, and what changes about it is said once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from ..config import Config, kind_of
from ..io.clock import Clock
from ..metrics.process import Config as ProcessConfig
from ..metrics.process import ProcessMetrics
from ..model.process import ProcessSample

SAMPLING = 5.0
"""Seconds between looks; less where an export or a check of kind process asks for less."""

Logger = structlog.typing.FilteringBoundLogger


class Neighbour:
    """`process` is how it was seen last, `await watch()` looks again and again."""

    def __init__(self, config: Config, clock: Clock, log: Logger, processes: ProcessMetrics | None = None) -> None:
        self._config = config
        self._clock = clock
        self._log = log
        self._processes = processes or ProcessMetrics(config.target.process, config.target.url)
        self.process = self._processes.sample(clock.now())
        self._said: set[tuple[str, str]] = set()

    def is_now(self, pid: int) -> None:
        """Unless the configuration says which it is."""
        if self._config.target.process is None:
            self._processes = ProcessMetrics(ProcessConfig(pid=pid), None)
        self.process = self._processes.sample(self._clock.now())

    @property
    def runs(self) -> bool:
        """Looked at for this."""
        return self._processes.sample(self._clock.now()).runs

    async def watch(self, restarted: Callable[[], None]) -> None:
        """Until cancelled; `restarted` is called when it has started anew. The search of a large /proc is slow, so it leaves the
        loop."""
        kinds = [check.period for check in self._config.probes.values() if kind_of(check) == "process"]
        pause = min([SAMPLING, self._config.metrics.interval, *kinds])
        while True:
            processes, now = self._processes, self._clock.now()
            seen = await asyncio.to_thread(processes.sample, now)
            if processes is self._processes:  # else `is_now` has told of another, and looked itself
                before, self.process = self.process, seen
                if seen.restarts > before.restarts:
                    self._log.warning("the service has started anew", pid=seen.pid, restarts=seen.restarts)
                    restarted()
                self._say(before, seen)
            await self._clock.sleep(pause)

    def _say(self, before: ProcessSample, after: ProcessSample) -> None:
        if after.runs != before.runs:
            log = self._log.info if after.runs else self._log.warning
            event, why = ("process found", after.why) if after.runs else ("process gone", after.trouble or after.why)
            log(event, pid=after.pid or before.pid, why=why)
        if before.unseen is None:  # not to see it at all is news whenever it begins
            self._said = {(field, remedy) for field, remedy in self._said if field != "process"}
        self._said.update((missing.field, missing.remedy) for missing in before.missing)
        # By what would help: the reason names a pid, which is another one for each worker and after each restart.
        for missing in after.missing:
            if (missing.field, missing.remedy) not in self._said:
                self._log.warning(
                    "cannot be measured", field=missing.field, reason=missing.reason, remedy=missing.remedy
                )
