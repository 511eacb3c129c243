"""The queue of a lane: by signal, in order, and never a byte that it has not."""

from __future__ import annotations

from sidecar.lane.queue import Queue
from sidecar.model.signals import Batch, Signal
from sidecar.parcel import Parcel


def parcel(body: bytes, until: float, signal: Signal = Signal.TRACES) -> Parcel:
    return Parcel(Batch(signal, body, 1), None, until)


def filled(*parcels: Parcel) -> Queue:
    queue = Queue()
    for one in parcels:
        queue.add(one)
    return queue


def bodies(parcels: list[Parcel]) -> bytes:
    return b" ".join(one.batch.body for one in parcels)


def test_a_load_is_of_the_signal_that_has_waited_longest_as_much_as_fits() -> None:
    queue = filled(
        parcel(b"t2", 2.0), parcel(b"l1", 1.0, Signal.LOGS), parcel(b"l333", 3.0, Signal.LOGS), parcel(b"t4", 4.0)
    )
    ready = [queue.by_signal[Signal.TRACES], queue.by_signal[Signal.LOGS]]
    assert bodies(queue.load(ready, 5)) == b"l1"
    assert (len(queue), queue.bytes) == (3, 8)
    assert bodies(queue.load(ready[:1], 4)) == b"t2 t4"
    assert bodies(queue.load(ready[1:], 4)) == b"l333"
    assert (len(queue), queue.bytes) == (0, 0)


def test_what_is_larger_than_a_load_leaves_by_itself() -> None:
    queue = filled(parcel(b"large", 1.0), parcel(b"", 2.0))
    assert bodies(queue.load([queue.by_signal[Signal.TRACES]], 3)) == b"large"


def test_what_comes_back_is_the_first_of_its_signal_again() -> None:
    queue = filled(parcel(b"b", 2.0), parcel(b"m", 1.5, Signal.METRICS))
    queue.add_first(parcel(b"a", 1.0))
    assert bodies(queue.first()) == b"a m"
    assert [queue.pop().batch.body for _ in range(3)] == [b"a", b"m", b"b"]
    assert queue.bytes == 0


def test_one_that_is_removed_twice_or_was_never_here_takes_nothing_with_it() -> None:
    here, never = parcel(b"here", 1.0), parcel(b"never", 1.0)
    queue = filled(here, parcel(b"stays", 2.0))
    for one in (here, here, never):
        queue.remove(one)
    assert (bodies(queue.first()), queue.bytes) == (b"stays", 5)


def test_a_signal_is_cleared_but_for_what_stays() -> None:
    queue = filled(parcel(b"a", 1.0), parcel(b"kept", 2.0), parcel(b"c", 3.0), parcel(b"log", 1.0, Signal.LOGS))
    assert bodies(queue.clear(Signal.TRACES, lambda one: one.batch.body == b"kept")) == b"a c"
    assert (bodies(queue.first()), queue.bytes) == (b"kept log", 7)
