"""What to tell the collector next: the difference to what it is believed to hold, or everything.

A value that steps: `next` makes the heartbeat, `answered` and `failed` say what became of it. After a failure nobody
knows what arrived, so the next one is full; that is also the answer to `resync`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ..model.health import Check
from ..model.heartbeat import Heartbeat, HeartbeatReply
from ..model.resource import Attributes
from .state_hash import state_hash


@dataclass(frozen=True, slots=True)
class Beats:
    """`epoch` is unix nanoseconds of the sidecar's start; `held` is what the collector holds, if it got everything."""

    instance: str
    epoch: int
    interval: float
    resource: Attributes
    seq: int = 0
    held: Mapping[str, Check] | None = None

    def next(self, checks: Sequence[Check], *, leaving: bool = False) -> tuple[Beats, Heartbeat]:
        """The heartbeat to send, and the value that remembers it as sent."""
        now = {check.name: check for check in checks}
        held = self.held
        changed = tuple(checks) if held is None else tuple(c for c in checks if held.get(c.name) != c)
        beat = Heartbeat(
            instance=self.instance,
            epoch=self.epoch,
            seq=self.seq + 1,
            interval_s=self.interval,
            state_hash=state_hash(checks),
            full=held is None,
            resource=self.resource if held is None else {},
            checks=changed,
            removed=() if held is None else tuple(sorted(set(held) - set(now))),
            leaving=leaving,
        )
        return replace(self, seq=self.seq + 1, held=now), beat

    def answered(self, reply: HeartbeatReply) -> Beats:
        return replace(
            self,
            held=None if reply.resync else self.held,
            interval=reply.next_s if 0.5 <= reply.next_s <= 3600 else self.interval,
        )

    def failed(self) -> Beats:
        return replace(self, held=None)
