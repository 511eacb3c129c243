"""What is in the air: parcels of one signal that were joined into one request, each flight a task."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ..logic.rejections import Rejections
from ..model.signals import Accepted, Batch, Hold, Outcome, PartlyAccepted, Rejected, RetryLater, Signal, Split
from ..parcel import Parcel
from .ledger import Ledger
from .sending import Sending
from .standing import Standing
from .stowing import Stowing

FLIGHTS = 4
"""In the air at a time, at most."""
LARGEST = 1 << 20
"""Bytes of a flight of more than one parcel, at most."""


class Flights:
    """`launch` them; `stop` in the end."""

    def __init__(
        self,
        sending: Sending,
        standing: Standing,
        ledger: Ledger,
        stowing: Stowing,
        undelivered: Callable[[list[Parcel], RetryLater | Hold], None],
        landed: Callable[[], None],
    ) -> None:
        """`undelivered` takes back what the upstream cannot take now, `landed` is called after each flight."""
        self.in_air: dict[asyncio.Task[None], list[Parcel]] = {}
        self.metrics = False
        """Is one of metrics in the air?"""
        self._loop = asyncio.get_running_loop()
        self._sending = sending
        self._standing = standing
        self._ledger = ledger
        self._stowing = stowing
        self._undelivered = undelivered
        self._on_landed = landed
        self._rejections = Rejections()

    def launch(self, parcels: list[Parcel]) -> asyncio.Task[None]:
        """One or more, of one signal. Each has come to an end when the task is done."""
        if parcels[0].batch.signal is Signal.METRICS:
            self.metrics = True
        for parcel in parcels:
            parcel.flying = True
        flight = self._loop.create_task(self._fly(parcels))
        self.in_air[flight] = parcels
        flight.add_done_callback(self._landed)
        return flight

    def _landed(self, flight: asyncio.Task[None]) -> None:
        del self.in_air[flight]
        if not flight.cancelled() and (error := flight.exception()):
            self._loop.call_exception_handler({"message": "a flight failed on a bug", "exception": error})
        self._on_landed()

    async def _fly(self, parcels: list[Parcel]) -> None:
        try:
            await self._deliver(parcels)
        except BaseException:  # cancelled, or a bug: whoever still waits is answered
            self._fail(parcels)
            raise
        finally:
            if parcels[0].batch.signal is Signal.METRICS:
                self.metrics = False

    def _fail(self, parcels: list[Parcel]) -> None:
        """Those that are still in the air."""
        for parcel in parcels:
            if parcel.flying:
                self._stowing.fail(parcel, RetryLater(None, "not sent"))

    async def _deliver(self, parcels: list[Parcel]) -> None:
        """Send as one request; in halves when it is refused for what is in it."""
        outcome = await self._sending.send(_joined(parcels), parcels)
        if type(outcome) is Accepted:
            self._rejections.judge(outcome)
            self._ledger.arrived(parcels, outcome)
            return
        if isinstance(outcome, Rejected | Split) and len(parcels) > 1:
            half = len(parcels) // 2
            await self._deliver(parcels[:half])
            await self._deliver(parcels[half:])
            return
        if len(parcels) == 1:
            outcome = self._judged(await self._sending.in_parts(parcels[0], parcels[0].batch, outcome))
        elif isinstance(outcome, PartlyAccepted):
            self._rejections.judge(outcome)
            self._ledger.partly(parcels, outcome.rejected)
        if isinstance(outcome, RetryLater | Hold):
            self._undelivered(parcels, outcome)
            return
        for parcel in parcels:
            self._ledger.settle(parcel, outcome, alone=len(parcels) == 1)

    def _judged(self, outcome: Outcome) -> Outcome:
        """What an outcome of a request that was sent alone says of the upstream: what comes next has a place in the spool."""
        if self._ledger.spool is None:
            return outcome
        judged = self._rejections.judge(outcome)
        if judged is not outcome:
            self._standing.judged(judged)
        return judged

    async def stop(self) -> None:
        """Cut them; what was in the air is in the spool, or its producer told."""
        flights = self.in_air.copy()
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)
        for parcels in flights.values():
            self._fail(parcels)  # a task that is cancelled before its first step has not run at all


def _joined(parcels: list[Parcel]) -> Batch:
    first = parcels[0].batch
    if len(parcels) == 1:
        return first
    batches = [parcel.batch for parcel in parcels]
    body = b"".join([b.body for b in batches])
    longest = max(batches, key=_hops)
    return Batch(first.signal, body, sum([b.items for b in batches]), longest.hops, longest.via)


def _hops(batch: Batch) -> int:
    return batch.hops
