"""Once a second: how late our loop is, how fast upstreams take, and what has changed about those that we report to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import structlog

from ..export.heartbeat import Heartbeats
from ..io.clock import Clock
from ..io.guard import Guard
from ..io.spool import Spool
from ..logic.rates import Rates
from ..parcel import UpstreamView
from ..relay import Relay
from ..relay_status import sample

if TYPE_CHECKING:
    from ..logs.reading import Logs

WATCH = 1.0

Logger = structlog.typing.FilteringBoundLogger


class Watch:
    """`run()` until cancelled. Each change is said once."""

    def __init__(
        self,
        relay: Relay,
        spool: Spool | None,
        logs: Logs | None,
        heartbeats: Heartbeats | None,
        guards: Mapping[str, Guard],
        clock: Clock,
        log: Logger,
    ) -> None:
        self.loop_lag = 0.0
        """Seconds, of the last time."""
        self.rates = {view.name: Rates() for view in relay.status()}
        """By upstream."""
        self._relay = relay
        self._spool = spool
        self._logs = logs
        self._heartbeats = heartbeats
        self._guards = guards
        self._clock = clock
        self._log = log

    async def run(self) -> None:
        failing: dict[str, str] = {}
        while True:
            before = self._clock.monotonic()
            await self._clock.sleep(WATCH)
            now = self._clock.monotonic()
            self.loop_lag = max(0.0, now - before - WATCH)
            views = self._relay.status()
            for view in views:
                self.rates[view.name] = self.rates[view.name].step(sample(view.counters), now)
            failing, known = dict(self._failures(views)), failing
            self._say_who_fails(known, failing)
            self._say_who_may_speak()

    def _failures(self, views: list[UpstreamView]) -> Iterator[tuple[str, str]]:
        """Each that we cannot deliver to, and why."""
        for view in views:
            if view.state != "ok":
                yield f"upstream {view.name}", view.why or view.state.value
            for signal, why in view.held_signals.items():
                yield f"upstream {view.name}, {signal}", why
        if self._heartbeats is not None and self._heartbeats.counters.failing:
            yield "collector", self._heartbeats.counters.last_error
        if self._spool is not None and self._spool.why:
            yield "spool", self._spool.why
        if self._logs is not None and self._logs.delivery.why:
            yield "logs", f"reading pauses, files are the buffer: {self._logs.delivery.why}"

    def _say_who_fails(self, before: Mapping[str, str], now: Mapping[str, str]) -> None:
        for name in now.keys() - before.keys():
            self._log.warning("cannot deliver", to=name, why=now[name])
        for name in before.keys() - now.keys():
            self._log.info("delivers again", to=name)

    def _say_who_may_speak(self) -> None:
        for name, guard in self._guards.items():
            for news in guard.news():
                log = self._log.info if news.is_good else self._log.warning
                log(news.event, listener=name, why=news.why)
