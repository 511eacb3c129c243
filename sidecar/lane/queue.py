"""What waits in memory to leave, each signal by itself, in the order of arrival."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from ..model.signals import Signal
from ..parcel import Parcel


class Queue:
    """`bytes` are of all signals."""

    def __init__(self) -> None:
        self.bytes = 0
        self.by_signal: dict[Signal, deque[Parcel]] = {signal: deque() for signal in Signal}

    def __len__(self) -> int:
        return sum(map(len, self.by_signal.values()))

    def add(self, parcel: Parcel) -> None:
        self.bytes += len(parcel.batch.body)
        self.by_signal[parcel.batch.signal].append(parcel)

    def add_first(self, parcel: Parcel) -> None:
        """It was here before."""
        self.bytes += len(parcel.batch.body)
        self.by_signal[parcel.batch.signal].appendleft(parcel)

    def load(self, ready: Sequence[deque[Parcel]], most: int) -> list[Parcel]:
        """Out of the one among `ready`, none of them empty, whose first has waited longest: that, and what follows it up to
        `most` bytes in all."""
        queue = ready[0] if len(ready) == 1 else min(ready, key=lambda queue: queue[0].until)
        parcels = [queue.popleft()]
        size = len(parcels[0].batch.body)
        while queue and (more := len(queue[0].batch.body)) + size <= most:
            parcels.append(queue.popleft())
            size += more
        self.bytes -= size
        return parcels

    def pop(self) -> Parcel:
        """The one that has waited longest."""
        return self.load([queue for queue in self.by_signal.values() if queue], 0)[0]

    def remove(self, parcel: Parcel) -> None:
        """If it is here."""
        queue = self.by_signal[parcel.batch.signal]
        if parcel in queue:
            queue.remove(parcel)
            self.bytes -= len(parcel.batch.body)

    def clear(self, signal: Signal, stays: Callable[[Parcel], bool]) -> list[Parcel]:
        """Take out all of a signal but what stays."""
        queue = self.by_signal[signal]
        gone = [parcel for parcel in queue if not stays(parcel)]
        self.by_signal[signal] = deque(parcel for parcel in queue if stays(parcel))
        self.bytes -= sum(len(parcel.batch.body) for parcel in gone)
        return gone

    def first(self) -> list[Parcel]:
        """Of each signal."""
        return [queue[0] for queue in self.by_signal.values() if queue]
