"""The sidecar runs: it starts, and stops, in order.

Start: OTLP listeners first (applications begin to send at once), then probes, then the API, then what reports to
others. Stop, on SIGTERM: every listener stays open while the neighbour still runs or sends, until
`drain` has passed; what is in flight goes to the spool first, and is sent; the collector is told; then all is closed.
In Kubernetes a native sidecar
gets SIGTERM only after its application has gone.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from ..config import Loaded
from ..io.clock import Clock, SystemClock
from ..io.descriptors import connections as connections_of
from ..io.descriptors import raise_limit
from ..io.listener import Listener
from ..io.log import configure
from ..logic.otlp_metrics import encode
from ..logs.sources import WRAPPED
from ..model.health import CheckReport, Role, State, Transition, Verdict
from ..model.process import ProcessSample
from ..model.signals import Batch, Metric, Signal
from ..model.status import Status
from ..version import VERSION
from .announcement import announce
from .enduring import enduring
from .metrics import metrics_of
from .parts import Logger, Parts
from .status import status_of

if TYPE_CHECKING:
    from ..logs.sources.child import Copy

QUIET = 0.5
"""While stopping: the drain ends early after so many seconds in which nothing came in and nothing is in flight."""
LAST_LOOK = 1.5
"""The same where files of logs are read: a silent one is looked at once in 0.8 s, and last words are the ones that count."""


class Closing(Protocol):
    """A surface that is open."""

    listener: Listener

    async def close(self) -> None: ...


class Daemon:
    """One sidecar. Everything may be asked before, during and after `run`."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.config = parts.config
        self.clock = parts.clock
        self.log = parts.log
        self.resource = parts.resource
        self.announce: Callable[[], None] = lambda: announce(self.parts, self._api)
        """Says what was found once everything is open; to the log, unless something else is put here."""
        self._surface: Closing | None = None
        self._stop = asyncio.Event()
        self._patient = True
        parts.monitor.listen(self._changed)

    # What the surface asks

    @property
    def process(self) -> ProcessSample:
        """The neighbour's, as it was seen last."""
        return self.parts.neighbour.process

    @property
    def _api(self) -> Listener | None:
        return self._surface.listener if self._surface is not None else None

    def now(self) -> float:
        return self.clock.now()

    def verdict(self, role: Role | None = None) -> Verdict:
        return self.parts.monitor.verdict(role)

    def checks(self) -> Sequence[CheckReport]:
        return self.parts.monitor.checks()

    def unready(self) -> Sequence[str]:
        """What keeps us from being ready: listeners, never an upstream and never the neighbour."""
        return [listener.why for listener in self.parts.listeners.values() if not listener.up]

    def metrics(self) -> Sequence[Metric]:
        """Everything, the neighbour's and our own."""
        return metrics_of(self.parts)

    def status(self) -> Status:
        return status_of(self.parts, self._api)

    # Running

    def stop(self, *, patient: bool) -> None:
        """End `run` with a drain: `patient` waits for the neighbour to end first, as long as `drain` allows."""
        self._patient = patient
        self._stop.set()

    def beside(self, pid: int) -> None:
        """The neighbour is this process, unless the configuration says which."""
        self.parts.neighbour.is_now(pid)

    async def run(self, surface: Callable[[Daemon], Awaitable[Closing]]) -> None:
        """Run until `stop`, then drain. Cancelling it closes everything at once."""
        parts = self.parts
        tasks: list[asyncio.Task[None]] = []
        reading: asyncio.Task[None] | None = None
        if parts.connections.few:
            limit, otlp, api = parts.connections
            why = f"this process may have only {limit} file descriptors"
            self.log.warning("few connections", otlp=otlp, api=api, why=why, remedy="raise RLIMIT_NOFILE (ulimit -n)")
        try:
            await parts.relay.open()
            for listener in parts.listeners.values():
                await listener.start()
            tasks = [
                asyncio.create_task(parts.monitor.run(), name="monitor"),
                self._enduring("process", lambda: parts.neighbour.watch(parts.monitor.service_restarted)),
                self._enduring("watch", parts.watch.run),
                self._enduring("metrics", self._export),
            ]
            if parts.logs is not None and parts.logs.followed:
                reading = asyncio.create_task(parts.logs.run(), name="logs")
                tasks.append(reading)
            self._surface = await surface(self)
            self.announce()
            beating = None
            if parts.heartbeats is not None:
                beating = asyncio.create_task(parts.heartbeats.run(), name="heartbeats")
                tasks.append(beating)
            await self._until_stopped(tasks)
            await self._drain(reading)
            if beating is not None and parts.heartbeats is not None:
                await _cancel([beating])
                await parts.heartbeats.leave()
        finally:
            await _cancel(tasks)
            if parts.logs is not None:
                await parts.logs.close()
            for listener in parts.listeners.values():
                await listener.stop()
            await parts.receiver.drain(QUIET)
            await parts.receiver.close()
            await parts.relay.close()
            if self._surface is not None:
                await self._surface.close()
            self.log.info("stopped")

    def _enduring(self, name: str, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        return asyncio.create_task(enduring(name, work, self.clock, self.log), name=name)

    async def _until_stopped(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        """Wait for `stop`. None of our tasks ends by itself: one that does has broken, and that is said loudly."""
        stopping = asyncio.create_task(self._stop.wait())
        try:
            done, _ = await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopping}:
                task.result()
                raise RuntimeError(f"the task {task.get_name()!r} ended by itself")
        finally:
            stopping.cancel()

    async def _drain(self, reading: asyncio.Task[None] | None) -> None:
        """Let the neighbour finish, send what is in flight. Without an upstream only the rest of its output is waited for."""
        relay, logs, clock = self.parts.relay, self.parts.logs, self.clock
        deadline = clock.monotonic() + self.config.drain
        if not self.parts.upstreams:
            while self._output_is_left and clock.monotonic() < deadline:
                await clock.sleep(0.02)
            await self._end_reading(reading, QUIET)
            return
        self.log.info("draining", for_s=self.config.drain, in_flight_bytes=relay.in_flight)
        relay.spill()
        self._submit(self.metrics())
        seen, since = -1, clock.monotonic()
        followed = logs.followed if logs is not None else []
        quiet = LAST_LOOK if any(one.kind in WRAPPED for one in followed) else QUIET
        while (now := clock.monotonic()) < deadline:
            taken = sum(self.parts.received.requests.values()) + sum(one.counters.lines for one in followed)
            if taken != seen or relay.busy:
                seen, since = taken, now
            elif now - since >= quiet and not (self._output_is_left or (self._patient and self.parts.neighbour.runs)):
                break
            await clock.sleep(min(0.1, deadline - now))
        await self._end_reading(reading, max(QUIET, deadline - clock.monotonic()))
        if reading is not None:  # what was read or lost since then
            self._submit(self.metrics())
        await relay.drain(max(QUIET if reading else 0.0, deadline - clock.monotonic()))

    @property
    def _output_is_left(self) -> bool:
        """Is there a command whose output has not been read to its end and handed on?"""
        return self.parts.logs is not None and not self.parts.logs.is_read_out

    async def _end_reading(self, reading: asyncio.Task[None] | None, timeout: float) -> None:
        if reading is not None and self.parts.logs is not None:
            await _cancel([reading])
            await self.parts.logs.finish(timeout)

    async def _export(self) -> None:
        while True:
            await self.clock.sleep(self.config.metrics.interval)
            self._submit(self.metrics())

    def _submit(self, metrics: Sequence[Metric]) -> None:
        if not self.parts.upstreams:
            return
        body, points = encode(self.resource.attributes, [("outrider", VERSION, metrics)], self.clock.now())
        self.parts.relay.submit(Batch(Signal.METRICS, body, points))

    def _changed(self, transition: Transition) -> None:
        log = self.log.info if transition.after is State.PASS else self.log.warning
        log(
            "check changed",
            check=transition.check,
            before=transition.before.value,
            after=transition.after.value,
            output=transition.output,
        )
        if self.parts.heartbeats is not None:
            self.parts.heartbeats.changed()


def build(
    loaded: Loaded,
    log: Logger | None = None,
    clock: Clock | None = None,
    rng: random.Random | None = None,
    command: Sequence[str] = (),
    copy: Copy | None = None,
) -> Daemon:
    """The sidecar of a configuration, not yet started. Must be called inside the event loop. `command` is what our launcher is
    about to start, `copy` what it writes; `beside` tells that it runs."""
    log = log or configure(loaded.config.log.level.value)
    connections = connections_of(raise_limit())
    return Daemon(Parts(loaded, clock or SystemClock(), rng or random.Random(), log, connections, command, copy))


async def _cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
