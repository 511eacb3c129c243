"""A second life under the name of an instance: late heartbeats of the life before, or another sidecar that lives. Pure.

What tells them apart is progress. The past repeats itself; another sidecar goes on counting while the one that is heard
does too.
"""

from __future__ import annotations

import msgspec

TWO_SIDECARS = "two sidecars report as this instance: set service.instance"
ENOUGH = 2
"""One heartbeat of the life before may have been on its way when the next one began; two, apart, were not."""


class Rival(msgspec.Struct, frozen=True):
    """`seq` is the greatest seen of `epoch`, `beside` the seq of the instance itself at the last rise, `heard` is
    monotonic."""

    epoch: int
    seq: int
    heard: float
    beside: int = -1
    rises: int = 0

    @property
    def lives(self) -> bool:
        return self.rises >= ENOUGH

    def overheard(self, epoch: int, seq: int, beside: int, now: float) -> Rival:
        """The value after a heartbeat that did not count. Of two rivals the later one is watched."""
        if epoch > self.epoch:
            return Rival(epoch, seq, now, beside)
        if epoch < self.epoch or seq <= self.seq:
            return self
        if beside <= self.beside:
            return msgspec.structs.replace(self, seq=seq, heard=now)
        return Rival(epoch, seq, now, beside, self.rises + 1)
