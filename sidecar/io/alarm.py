"""One timer for whoever wants to be woken: it rings at the earliest of the times that were asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from .clock import Clock


class Alarm:
    """Asking for a later time than it is set to changes nothing: who is woken looks what is still to come, and asks again."""

    def __init__(self, clock: Clock, ring: Callable[[], None]) -> None:
        self._clock = clock
        self._ring = ring
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._rings = 0.0
        """When, on the loop's clock; uvloop's handles do not always tell."""
        self._stopped = False

    def at(self, when: float) -> None:
        """On the clock's `monotonic`."""
        if self._stopped:
            return
        at = self._loop.time() + max(0.0, when - self._clock.monotonic())
        if self._timer is not None:
            if self._rings <= at:
                return
            self._timer.cancel()
        self._rings = at
        self._timer = self._loop.call_at(at, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._ring()

    def stop(self) -> None:
        """It rings no more."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
