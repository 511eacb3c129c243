"""From memory into the spool: what its producer shall not wait for any longer, and what did not arrive."""

from __future__ import annotations

from collections.abc import Callable

from ..model.signals import Accepted, Hold, RetryLater, Signal
from ..parcel import Parcel
from .ledger import Ledger
from .queue import Queue


class Stowing:
    """`pump` is called when there is something new in the spool that may leave."""

    def __init__(self, ledger: Ledger, queue: Queue, pump: Callable[[], None]) -> None:
        self._ledger = ledger
        self._spool = ledger.spool
        self._queue = queue
        self._pump = pump

    def stow(self, parcel: Parcel) -> None:
        """Write it to the spool, if it has a place there, is not written yet and not done with."""
        spool = self._spool
        if spool is None or not parcel.stowable or parcel.writing or parcel.stowed or parcel.until < 0:
            return
        if parcel.flying:
            self._ledger.claimed.add(parcel.number)
        else:
            self._queue.remove(parcel)
        parcel.writing = True
        done = spool.write(parcel.number, self._ledger.name, parcel.batch)
        done.add_done_callback(lambda done: self._written(parcel, done.result()))
        if parcel.batch.signal is Signal.METRICS:  # those behind it may not overtake it
            for behind in [behind for behind in self._queue.by_signal[Signal.METRICS] if behind.stowable]:
                self.stow(behind)

    def _written(self, parcel: Parcel, done: bool) -> None:
        parcel.writing = False
        ledger = self._ledger
        if parcel.until < 0:  # settled meanwhile
            if not done and self._spool is not None:
                self._spool.release(ledger.name, len(parcel.batch.body))
            return
        if done:
            parcel.stowed = True
            ledger.answer(parcel, Accepted(), alone=False)
            if not parcel.flying:
                ledger.forget(parcel)
                self._pump()
            return
        ledger.claimed.discard(parcel.number)
        why = self._spool.why if self._spool else ""
        failed = RetryLater(None, f"not sent, and not written to the spool: {why or 'full'}")
        if parcel.flying:
            ledger.answer(parcel, failed, alone=True)
        else:
            ledger.settle(parcel, failed, alone=True)

    def fail(self, parcel: Parcel, why: RetryLater | Hold) -> None:
        """It did not arrive: it stays in the spool, or goes there, or its producer is told."""
        parcel.flying = False
        if parcel.until < 0:
            return
        looped = isinstance(why, Hold) and why.looped
        if parcel.stowed:
            self._ledger.forget(parcel)
        elif parcel.writing:
            self._ledger.claimed.discard(parcel.number)  # `_written` forgets it
        elif parcel.stowable and self._spool is not None and self._spool.usable and not looped:
            self.stow(parcel)
        else:
            self._ledger.settle(parcel, why, alone=True)

    def kept(self, parcel: Parcel) -> bool:
        """Does it wait in memory for better days, the spool having no place for it?"""
        return parcel.keep and not (parcel.stowable and self._spool is not None and self._spool.usable)
