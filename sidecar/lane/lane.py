"""The way to one upstream: what comes is queued, written or refused, and leaves when it may."""

from __future__ import annotations

import random

from ..io.alarm import Alarm
from ..io.clock import Clock
from ..io.spool import OnFull, Spool
from ..logic.holds import SHARE
from ..model.signals import Batch, Hold, RetryLater, Signal
from ..parcel import Parcel, Request, Upstream, UpstreamView
from .backlog import Backlog
from .departures import Departures
from .flights import Flights
from .ledger import Ledger
from .queue import Queue
from .sending import PATIENCE, Sending
from .standing import Standing
from .stowing import Stowing

KEPT = 4 << 20
"""Bytes that wait for an optional upstream."""
OWN = 1 << 20
"""Bytes of our own telemetry that wait for one upstream."""


class Lane:
    """`offer` parcels; `stop` in the end."""

    def __init__(self, upstream: Upstream, clock: Clock, rng: random.Random, spool: Spool | None = None) -> None:
        self.upstream = upstream
        self._clock = clock
        self._spool = spool
        self._queue = Queue()
        self.ledger = Ledger(upstream.name, rng, spool)
        self.standing = Standing(clock, rng, self.ledger.counters, lambda: self.waiting)
        sending = Sending(upstream.sink, self.standing, self.ledger, clock)
        self.patience = sending.patience
        self._stowing = Stowing(self.ledger, self._queue, self.pump)
        self._flights = Flights(sending, self.standing, self.ledger, self._stowing, self._undelivered, self._landed)
        self._departures = Departures(self._queue, self.standing, self._flights, clock, in_order=spool is not None)
        self._alarm = Alarm(clock, self._wake)
        self._backlog = (
            Backlog(spool, self.standing, self.ledger, self._flights, clock, self._alarm) if spool is not None else None
        )

    # What the relay wants to know

    @property
    def moving(self) -> bool:
        """Is something in the air, or could something that waits leave now?"""
        if self._flights.in_air or not self.standing.admits(0):
            return bool(self._flights.in_air)
        rows = self._backlog.rows_to_send if self._backlog else 0
        return not self.standing.holds.signals or bool(self._departures.ready()) or rows > 0

    @property
    def waiting(self) -> int:
        """Rows in the spool."""
        return self._backlog.rows if self._backlog else 0

    def view(self) -> UpstreamView:
        upstream, standing, queue, spool = self.upstream, self.standing, self._queue, self._spool
        standing.mark()
        epoch = self._clock.now() - self._clock.monotonic()
        since = [epoch + first.until - PATIENCE for first in queue.first()]
        if spool and (oldest := spool.oldest(upstream.name)) is not None:
            since.append(oldest)
        return UpstreamView(
            upstream.name,
            upstream.required,
            standing.state,
            standing.why,
            standing.retry_in,
            self.ledger.bytes,
            self.ledger.counters,
            self.waiting + len(queue),
            queue.bytes + (spool.bytes(upstream.name) if spool else 0),
            min(since, default=None),
            standing.held,
            standing.since,
            upstream.endpoint,
            upstream.protocol,
        )

    def crowds(self, batch: Batch) -> bool:
        """Would it, of a held signal, take room in the spool that signals which flow may need?"""
        held, spool = self.standing.holds.signals, self._spool
        if batch.signal not in held or spool is None or spool.config.on_full is OnFull.EVICT_OLDEST:
            return False
        return not self.standing.nothing_flows and spool.share(self.upstream.name, held, len(batch.body)) > SHARE

    # What comes

    def parcel(
        self,
        batch: Batch,
        request: Request | None,
        *,
        keep: bool = False,
        own: bool = False,
        reserved: bool = False,
        cuts: int = 0,
    ) -> Parcel:
        """For this lane; `reserved`: it has a place in the spool."""
        number = self._spool.next_id() if self._spool and reserved else 0
        until = self._clock.monotonic() + PATIENCE
        return Parcel(batch, request, until, keep=keep, own=own, number=number, cuts=cuts)

    def evict(self, spool: Spool, size: int) -> bool:
        """A place in the spool for an optional upstream: the oldest that waits for it makes room."""
        return spool.reserve(self.upstream.name, size, self.ledger.claimed, evict=True)

    def yields(self, spool: Spool, size: int) -> None:
        """Its oldest that wait beyond its quota leave their place to others, where they may be lost at all."""
        if not self.upstream.required or spool.config.on_full is OnFull.EVICT_OLDEST:
            spool.shrink(self.upstream.name, size, self.ledger.claimed)

    def refuse(self, batch: Batch) -> None:
        """There is no place for it: its producer is told."""
        self.ledger.refuse(batch)

    def offer(self, parcel: Parcel) -> None:
        """Take a parcel into the queue, or settle it at once."""
        ledger, standing, signal = self.ledger, self.standing, parcel.batch.signal
        admitted = standing.well or (standing.admits(len(self._flights.in_air)) and standing.takes(signal))
        ledger.open(parcel)
        if parcel.stowable and (not admitted or (signal is Signal.METRICS and self._rows_of_metrics())):
            if standing.retry.looped:
                ledger.settle(parcel, standing.not_now(signal), alone=True)
            else:
                self.stow(parcel)
        elif (not admitted and not parcel.keep) or (parcel.own and ledger.own > OWN):
            why = RetryLater(None, "too much at once") if admitted else standing.not_now(signal)
            ledger.settle(parcel, why, alone=True)
            return
        else:
            self._queue.add(parcel)
            if parcel.keep:
                self._evict()
        self.pump()

    def _rows_of_metrics(self) -> int:
        """Fresh ones queue up behind them."""
        return self._spool.rows(self.upstream.name, Signal.METRICS) if self._spool else 0

    def stow(self, parcel: Parcel) -> None:
        """Write it to the spool, if it has a place there, is not written yet and not done with."""
        self._stowing.stow(parcel)

    # What leaves

    def pump(self) -> None:
        """Start what may start now."""
        if self._queue.bytes:
            self._departures.pump()
        backlog = self._backlog
        if backlog is not None and backlog.spool.rows_in_all and backlog.reading is None:
            backlog.pump()

    def _wake(self) -> None:
        self.pump()
        for signal, held in self.standing.holds.signals.items():
            if self._queue.by_signal[signal] and not self.standing.takes(signal):
                self._alarm.at(held.until)

    def _landed(self) -> None:
        if not self.standing.well:
            self._clear()
        self.pump()

    def _clear(self) -> None:
        """Whoever waits in the queue for what may not be sent now is told, or written to the spool; what is kept stays."""
        standing = self.standing
        admits = standing.admits(len(self._flights.in_air))
        for signal in Signal:
            if admits and standing.takes(signal):
                continue
            why = standing.not_now(signal)
            for parcel in self._queue.clear(signal, self._stowing.kept):
                self._stowing.fail(parcel, why)

    def _undelivered(self, parcels: list[Parcel], why: RetryLater | Hold) -> None:
        """Back into the queue with what is kept there; in reverse, so that its order is the old one."""
        for parcel in reversed(parcels) if parcels[0].keep else parcels:
            if self._stowing.kept(parcel) and not self._departures.draining:
                parcel.flying = False
                self._queue.add_first(parcel)
                self._evict()
                self._alarm.at(self.standing.retry.until)
            else:
                self._stowing.fail(parcel, why)

    def _evict(self) -> None:
        while self._queue.bytes > KEPT:
            self._stowing.fail(self._queue.pop(), RetryLater(None, "evicted: too much waits"))

    # The end

    def drain(self) -> None:
        """Nothing waits for others any more, and what fails is not kept in memory."""
        self._departures.draining = True
        self.pump()

    async def stop(self) -> None:
        """Nothing more is sent; whoever waits is told, or what they sent is written."""
        self._departures.stop()
        self._alarm.stop()
        if self._backlog is not None:
            self._backlog.stop()
        while self._queue.bytes:
            self._stowing.fail(self._queue.pop(), RetryLater(None, "stopping"))
        await self._flights.stop()
