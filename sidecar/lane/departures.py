"""When what waits in the queue leaves, and how much of it together."""

from __future__ import annotations

import asyncio
from collections import deque

from ..io.clock import Clock
from ..logic.gathering import Gathering
from ..model.signals import Signal
from ..parcel import Parcel
from .flights import FLIGHTS, LARGEST, Flights
from .queue import Queue
from .sending import PATIENCE
from .standing import Standing

LINGER = 0.005
"""Seconds that requests gather behind a flight, while they are not worth another."""
FULL = 64 << 10
"""Bytes that are."""


class Departures:
    """`pump` whenever something has come or something has landed."""

    def __init__(self, queue: Queue, standing: Standing, flights: Flights, clock: Clock, *, in_order: bool) -> None:
        """`in_order`: one flight of metrics at a time."""
        self.draining = False
        """Nothing waits for others any more."""
        self._queue = queue
        self._standing = standing
        self._flights = flights
        self._clock = clock
        self._in_order = in_order
        self._loop = asyncio.get_running_loop()
        self._lingering: asyncio.TimerHandle | None = None
        self._gathering = Gathering()
        self._departed = 0.0

    def pump(self) -> None:
        """Start what may start now."""
        queue, standing, in_air = self._queue, self._standing, self._flights.in_air
        while queue.bytes and len(in_air) < FLIGHTS:
            if not (standing.well or standing.admits(len(in_air))) or not (ready := self.ready()):
                break
            if queue.bytes < FULL and not self.draining:
                wait = LINGER if in_air else self._gathering.wait(sum(map(len, ready)))
                if wait:
                    if self._lingering is None:
                        self._lingering = self._loop.call_later(wait, self._lingered)
                    break
            self._depart(ready)

    def ready(self) -> list[deque[Parcel]]:
        """Queues of which something may leave, where anything may."""
        blocked = self._in_order and self._flights.metrics
        standing = self._standing
        return [
            waiting
            for signal, waiting in self._queue.by_signal.items()
            if waiting and not (blocked and signal is Signal.METRICS) and (standing.well or standing.takes(signal))
        ]

    def _lingered(self) -> None:
        self._lingering = None
        in_air = self._flights.in_air
        if len(in_air) < FLIGHTS and (ready := self.ready()):
            if self._standing.admits(len(in_air)):
                self._depart(ready)
            self.pump()

    def _depart(self, ready: list[deque[Parcel]]) -> None:
        """The signal whose first request has waited longest, as much of it as fits."""
        parcels = self._queue.load(ready, LARGEST)
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None
        now = self._clock.monotonic()
        self._gathering = self._gathering.step(len(parcels), now - self._departed, now + PATIENCE - parcels[-1].until)
        self._departed = now
        self._flights.launch(parcels)

    def stop(self) -> None:
        """What waits is for the caller."""
        self.draining = True
        if self._lingering is not None:
            self._lingering.cancel()
