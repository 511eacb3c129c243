"""What waits in the spool for an upstream, read again and sent: one flight at a time, the oldest of each signal first."""

from __future__ import annotations

import asyncio
from collections import deque

from ..io.alarm import Alarm
from ..io.clock import Clock
from ..io.spool import Spool
from ..model.signals import Signal
from ..parcel import Parcel
from .flights import FLIGHTS, LARGEST, Flights
from .ledger import Ledger
from .sending import CUTS, PATIENCE
from .standing import Standing

BACKLOG = 16 << 20
"""Bytes a second that are sent out of the spool to one upstream."""
AGAIN = 0.2
"""Seconds until rows are looked at again that could not be read."""


class Backlog:
    """`pump` whenever rows may have come and whenever something has landed; it sets the alarm where that is for later."""

    def __init__(
        self, spool: Spool, standing: Standing, ledger: Ledger, flights: Flights, clock: Clock, alarm: Alarm
    ) -> None:
        self.reading: asyncio.Task[None] | None = None
        self.spool = spool
        self._standing = standing
        self._ledger = ledger
        self._flights = flights
        self._clock = clock
        self._alarm = alarm
        self._loop = asyncio.get_running_loop()
        self._turns: deque[Signal] = deque(Signal)
        self._stopped = False

    @property
    def rows(self) -> int:
        """Also those that are in the air."""
        return self.spool.rows(self._ledger.name)

    @property
    def rows_to_send(self) -> int:
        """Those of signals that are not held now."""
        if not self._standing.holds.signals:
            return self.rows
        return sum(self.spool.rows(self._ledger.name, signal) for signal in Signal if self._standing.takes(signal))

    def pump(self) -> None:
        """Begin to read, if that is to be done and may be done now."""
        claimed = len(self._ledger.claimed)
        if self.reading is not None or self._stopped or self.rows <= claimed:
            return
        standing, in_air = self._standing, self._flights.in_air
        if not standing.admits(len(in_air)):
            if not in_air:
                self._alarm.at(standing.retry.until)
        elif self.rows_to_send <= claimed:  # the rest is of held signals
            name, held = self._ledger.name, standing.holds.signals.items()
            self._alarm.at(min(h.until for s, h in held if self.spool.rows(name, s) and not standing.takes(s)))
        elif len(in_air) < FLIGHTS:
            self.reading = self._loop.create_task(self._read())
            self.reading.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.reading = None
        if not task.cancelled() and (error := task.exception()):
            self._loop.call_exception_handler({"message": "the backlog failed on a bug", "exception": error})
        if self.rows > len(self._ledger.claimed):  # it failed, or the spool cannot be read now
            self._alarm.at(max(self._standing.retry.until, self._clock.monotonic() + AGAIN))

    async def _read(self) -> None:
        """A flight at a time, until nothing is left or the upstream fails."""
        name, claimed = self._ledger.name, self._ledger.claimed
        idle = 0
        while idle < len(Signal) and self._admits():
            signal = self._turns[0]
            self._turns.rotate(-1)
            idle += 1
            if not self.spool.rows(name, signal) or not self._may_send(signal):
                continue
            began = self._loop.time()
            gone = self._ledger.gone = set()
            found = await self.spool.read(name, signal, claimed, LARGEST)
            self._ledger.gone = None
            rows = [row for row in found if row.id not in claimed and row.id not in gone]
            del found
            if not rows or not self._admits() or not self._may_send(signal):
                continue
            idle = 0
            parcels = []
            for row in rows:
                parcel = Parcel(row.batch, None, self._clock.monotonic() + PATIENCE, number=row.id, cuts=CUTS)
                self._ledger.reopen(parcel)
                parcels.append(parcel)
            size = sum(len(row.batch.body) for row in rows)
            del rows
            flight = self._flights.launch(parcels)
            del parcels
            await asyncio.wait([flight])
            pause = size / BACKLOG - (self._loop.time() - began)
            if pause > 0:
                await asyncio.sleep(pause)

    def _admits(self) -> bool:
        return self._standing.admits(len(self._flights.in_air))

    def _may_send(self, signal: Signal) -> bool:
        return not (signal is Signal.METRICS and self._flights.metrics) and self._standing.takes(signal)

    def stop(self) -> None:
        """What it has in the air is the flights' to end."""
        self._stopped = True
        if self.reading is not None:
            self.reading.cancel()
