"""One batch to the upstream, and again in parts where that helps."""

from __future__ import annotations

import asyncio

from ..io import memory
from ..io.clock import Clock
from ..io.deadlines import Deadlines
from ..logic.otlp_split import halve
from ..logic.patience import Patience
from ..model.signals import Accepted, Batch, Hold, Outcome, PartlyAccepted, Rejected, RetryLater, Sink, Split
from ..parcel import Parcel
from .ledger import REFUSED, Ledger, why_of
from .standing import Standing

PATIENCE = 8.0
"""Seconds until a producer is answered, whatever happens: SDKs give a request 10 in all."""
ROOM = 64 << 10
"""Bytes of a batch from which room on the heap pays."""
LARGE = 256 << 10
"""Bytes from which cutting leaves the event loop."""
CUTS = 32
"""Of one rejected request that no producer waits for, at most."""

_TAKEN = (Accepted, PartlyAccepted)


class Sending:
    """What parcels become of it is for the caller."""

    def __init__(self, sink: Sink, standing: Standing, ledger: Ledger, clock: Clock) -> None:
        self.patience = Patience()
        self._sink = sink
        self._standing = standing
        self._ledger = ledger
        self._clock = clock
        self._loop = asyncio.get_running_loop()  # asked for in each call it would be a system call
        self._deadlines = Deadlines()

    async def send(self, batch: Batch, parcels: list[Parcel]) -> Outcome:
        """`batch` is what `parcels` hold, or a part of it."""
        if not self._standing.well and (why := self._standing.starts(batch.signal)) is not None:
            return why
        if len(batch.body) >= ROOM:
            memory.keep_room()
        bounded = [p.until for p in parcels if not p.keep and not p.stowable]
        patience = min(bounded) - self._clock.monotonic() if bounded else None if parcels[0].stowable else PATIENCE
        began = self._loop.time()
        outcome: Outcome
        try:
            if patience is None:  # the sink ends it
                outcome = await self._sink.send(batch)
            else:
                with self._deadlines.within(max(0.0, patience)):
                    outcome = await self._sink.send(batch)
        except TimeoutError:
            outcome = RetryLater(None, f"no answer within {PATIENCE:g} s")
        if isinstance(outcome, _TAKEN):
            self.patience.arrived(self._loop.time() - began)
            self._ledger.counters.accepted_bytes += len(batch.body)
        self._standing.heard(batch.signal, outcome)
        return outcome

    async def in_parts(self, parcel: Parcel, batch: Batch, outcome: Outcome) -> Outcome:
        """Of a parcel that was sent by itself: cut inside where it is too large, and where it is rejected and nobody would
        leave out what is bad in it. The outcome of all."""
        rejected = isinstance(outcome, Rejected) and parcel.cuts > 0
        if not (rejected or isinstance(outcome, Split)) or (halves := await self._halved(batch)) is None:
            return outcome
        parcel.cuts -= rejected
        outcomes = []
        for half in halves:
            said = await self.in_parts(parcel, half, await self.send(half, [parcel]))
            if isinstance(said, RetryLater | Hold):
                return said  # all of it again: the upstream may see the first half twice
            outcomes.append((half, said))
        lost = [(half, said) for half, said in outcomes if isinstance(said, Rejected | Split)]
        if len(lost) == len(outcomes):
            return lost[0][1]
        refused = sum(said.rejected for _, said in outcomes if isinstance(said, PartlyAccepted))
        spool = self._ledger.spool
        for half, said in lost:
            refused += half.items
            if spool is not None and parcel.number:
                spool.quarantine(spool.next_id(), self._ledger.name, half, REFUSED[type(said)], why_of(said))
        why = next((why_of(said) for _, said in outcomes if not isinstance(said, Accepted)), "")
        return PartlyAccepted(refused, why) if refused else Accepted()

    async def _halved(self, batch: Batch) -> tuple[Batch, Batch] | None:
        if len(batch.body) <= LARGE:
            return halve(batch)
        return await self._loop.run_in_executor(None, halve, batch)  # seconds, when its items are tiny
