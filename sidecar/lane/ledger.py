"""What is open between us and an upstream, and the ends that a parcel comes to."""

from __future__ import annotations

import random
from collections.abc import Mapping

from ..io.spool import Spool
from ..model.counters import UpstreamCounters
from ..model.signals import Accepted, Batch, Hold, Outcome, PartlyAccepted, Rejected, RetryLater, Split
from ..model.spool import Key
from ..parcel import Parcel

REFUSED: Mapping[type[Outcome], str] = {Rejected: "rejected", Split: "too_large"}
"""The word for what will never be accepted, in counters and in the quarantine."""


class Ledger:
    """Each parcel is opened once, by `open` or `reopen`, and closed once, by `settle`, `arrived` or `forget`."""

    def __init__(self, name: str, rng: random.Random, spool: Spool | None) -> None:
        """`name` is the upstream's."""
        self.name = name
        self.spool = spool
        self.bytes = 0
        self.own = 0
        """Of them, of our own telemetry."""
        self.claimed: set[int] = set()
        """Rows that are in the air."""
        self.evicted: set[int] = set()
        """Of them, those that the spool has given up meanwhile: they are lost unless they arrive."""
        self.gone: set[int] | None = None
        """While rows are read, those that were evicted since: they are counted, and may be among them."""
        self.counters = UpstreamCounters()
        self._rng = rng

    def open(self, parcel: Parcel) -> None:
        """It is new to us."""
        size = len(parcel.batch.body)
        self.counters.taken_items += parcel.batch.items
        self.counters.taken_bytes += size
        self.bytes += size
        if parcel.own:
            self.own += size

    def refuse(self, batch: Batch) -> None:
        """It was meant for us, and its producer keeps it."""
        self.counters.taken_items += batch.items
        self.counters.taken_bytes += len(batch.body)
        self.counters.settle(batch.signal, "refused", batch.items)

    def reopen(self, parcel: Parcel) -> None:
        """It comes out of the spool, where its row stays until it is settled."""
        parcel.stowed = True
        self.claimed.add(parcel.number)
        self.bytes += len(parcel.batch.body)

    def arrived(self, parcels: list[Parcel], outcome: Accepted) -> None:
        """`settle` for each of them, in short for those that have only been in memory: nearly all."""
        items = 0
        for parcel in parcels:
            if parcel.writing or parcel.stowed or parcel.own or parcel.until < 0:
                self.settle(parcel, outcome, alone=False)
                continue
            parcel.flying = False
            parcel.until = -1.0
            size = len(parcel.batch.body)
            items += parcel.batch.items
            self.bytes -= size
            if parcel.stowable and self.spool is not None:
                self.spool.release(self.name, size)
            self.answer(parcel, outcome, alone=False)
        self.counters.settle(parcels[0].batch.signal, "accepted", items)

    def settle(self, parcel: Parcel, outcome: Outcome, *, alone: bool) -> None:
        """The parcel is done with: count it and tell whoever waits. `alone`: the outcome is of this one only."""
        parcel.flying = False
        if parcel.until < 0:
            return
        parcel.until = -1.0
        batch = parcel.batch
        self.bytes -= len(batch.body)
        if parcel.own:
            self.own -= len(batch.body)
        match outcome:
            case Accepted():
                self.counters.settle(batch.signal, "accepted", batch.items)
            case PartlyAccepted(rejected, _) if alone:
                rejected = min(rejected, batch.items)
                self.counters.settle(batch.signal, "rejected", rejected)
                self.counters.settle(batch.signal, "accepted", batch.items - rejected)
            case PartlyAccepted():
                self.counters.settle(batch.signal, "accepted", batch.items)
            case Rejected() | Split():
                self.counters.settle(batch.signal, REFUSED[type(outcome)], batch.items)
            case RetryLater() | Hold():
                reason = "evicted" if parcel.keep else "dropped" if parcel.own else "refused"
                self.counters.settle(batch.signal, reason, batch.items)
        if parcel.stowable and self.spool is not None:
            self._leave(parcel, outcome, self.spool)
        self.answer(parcel, outcome, alone)

    def partly(self, parcels: list[Parcel], rejected: int) -> None:
        """Of a joined batch so many items were rejected, and nobody knows whose: `settle` counts all of them as accepted."""
        signal = parcels[0].batch.signal
        rejected = min(rejected, sum(parcel.batch.items for parcel in parcels))
        self.counters.settle(signal, "rejected", rejected)
        self.counters.settle(signal, "accepted", -rejected)

    def forget(self, parcel: Parcel) -> None:
        """The spool has it: it leaves memory."""
        parcel.until = -1.0
        if parcel.number in self.evicted:
            self.counters.settle(parcel.batch.signal, "evicted", parcel.batch.items)
        self.unclaim(parcel)
        self.bytes -= len(parcel.batch.body)

    def unclaim(self, parcel: Parcel) -> None:
        """It is in the air no longer."""
        self.claimed.discard(parcel.number)
        self.evicted.discard(parcel.number)

    def lost(self, key: Key, reason: str) -> None:
        """The spool has lost a row that it held for this upstream."""
        if key.id in self.claimed:
            self.evicted.add(key.id)
            return
        self.counters.settle(key.signal, reason, key.items)
        if self.gone is not None:
            self.gone.add(key.id)

    def _leave(self, parcel: Parcel, outcome: Outcome, spool: Spool) -> None:
        """Out of the spool, whether it has a row there, will have one or only a place."""
        written = parcel.stowed or parcel.writing
        if type(outcome) in REFUSED:
            spool.quarantine(parcel.number, self.name, parcel.batch, REFUSED[type(outcome)], why_of(outcome))
        elif written:
            spool.delete(parcel.number)
        if not written:
            spool.release(self.name, len(parcel.batch.body))
        self.unclaim(parcel)

    def answer(self, parcel: Parcel, outcome: Outcome, alone: bool) -> None:
        """Tell whoever waits, once; the parcel may go on."""
        request, parcel.request = parcel.request, None
        if request is not None:
            request.settle(outcome, alone, self._rng)


def why_of(outcome: Outcome) -> str:
    """Empty where nothing is wrong."""
    match outcome:
        case Rejected(why) | Split(why) | RetryLater(_, why) | Hold(why) | PartlyAccepted(_, why):
            return why
    return ""
