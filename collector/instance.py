"""One instance as its heartbeats tell it: a frozen value with `hear(heartbeat, now)` and `expire(now)`.

What is shown follows from three facts. *When* it was last heard: past the lease (`LEASE_INTERVALS` x interval) it is
`unknown` with the flag `stale`, whatever it said last. *Whether we agree*: if the hash over our checks is not the
sidecar's, a heartbeat was lost, and what looks like `pass` is `unknown` until the full one comes. *What it said*: the
rollup of its checks.

`standing` is the status on record. It differs from the one shown only after the collector's own restart: until the
instance is heard again, or the grace is over, the record is neither continued nor broken.
"""

from __future__ import annotations

import msgspec

from sidecar.logic.health_json import rfc3339
from sidecar.logic.rollup import badness, rollup, weight
from sidecar.logic.state_hash import state_hash
from sidecar.model.health import Check, Flag, State, Verdict
from sidecar.model.heartbeat import LEASE_INTERVALS, Heartbeat
from sidecar.model.resource import Attributes

from .events import Moment, Standing
from .rival import TWO_SIDECARS, Rival
from .verdict import unknown_verdict

RESTART_GRACE = 30.0
"""Seconds after the collector's start in which silence of an instance known from before is not yet put on record."""


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    service: str
    resource: Attributes = {}
    epoch: int = -1
    seq: int = -1
    interval_s: float = RESTART_GRACE / LEASE_INTERVALS
    checks: tuple[Check, ...] = ()
    """As last heard, by name."""
    verdict: Verdict
    standing: Standing
    heard: Moment
    """The last heartbeat that counted; of an instance known only from before our restart, that restart."""
    synced: bool = False
    """Nothing was lost since the last full heartbeat."""
    stale: bool = False
    pending: bool = False
    """Known from before our restart and not heard since."""
    rival: Rival | None = None
    """Another life under the same name, heard within the lease: the last one, or a second sidecar."""

    @property
    def lease_s(self) -> float:
        return LEASE_INTERVALS * self.interval_s

    @property
    def is_shared(self) -> bool:
        """A second sidecar that lives reports under this name."""
        return self.rival is not None and self.rival.lives

    @property
    def reasons(self) -> tuple[str, ...]:
        return (TWO_SIDECARS, *self.verdict.reasons) if self.is_shared else self.verdict.reasons

    @property
    def place(self) -> tuple[int, str, str]:
        """In lists: the worst first, then by service and name."""
        return -badness(self.verdict.status), self.service, self.name

    @property
    def shown_checks(self) -> tuple[Check, ...]:
        if not self.stale:
            return self.checks
        return tuple(
            msgspec.structs.replace(
                check,
                state=State.UNKNOWN,
                since=self.verdict.since,
                flags=tuple(sorted({*check.flags, Flag.STALE})),
            )
            for check in self.checks
        )

    @property
    def face(self) -> object:
        """Equal for two values between which nothing changed but outputs and observed values."""
        verdict = self.verdict
        gates = (verdict.status, verdict.live, verdict.ready, verdict.started, verdict.flags)
        checks = tuple((c.name, c.kind, c.role, c.severity, c.state, c.flags) for c in self.checks)
        return self.epoch, self.resource, self.stale, self.is_shared, gates, checks

    def is_news(self, beat: Heartbeat, now: Moment) -> bool:
        """Late and repeated heartbeats are not. After a lease of silence any other epoch is: also a lower one, of a
        sidecar whose clock was set back."""
        rival = self.rival
        if rival is not None and beat.epoch == rival.epoch and beat.seq <= rival.seq:
            return False
        if beat.epoch != self.epoch and now.monotonic - self.heard.monotonic > self.lease_s:
            return True
        return (beat.epoch, beat.seq) > (self.epoch, self.seq)

    def overhear(self, beat: Heartbeat, now: Moment) -> Instance:
        """The value after a heartbeat that is no news."""
        if beat.epoch == self.epoch:
            return self
        if self.rival is None:
            rival = Rival(beat.epoch, beat.seq, now.monotonic, self.seq)
        else:
            rival = self.rival.overheard(beat.epoch, beat.seq, self.seq, now.monotonic)
        return self if rival is self.rival else msgspec.structs.replace(self, rival=rival)

    def is_second(self, beat: Heartbeat) -> bool:
        """Is this heartbeat, which was overheard, the newest one of a second sidecar?"""
        rival = self.rival
        return rival is not None and rival.lives and (beat.epoch, beat.seq) == (rival.epoch, rival.seq)

    def hear(self, beat: Heartbeat, now: Moment) -> Instance:
        """The value after a heartbeat that is news. A delta lands on what was known; a full one replaces it."""
        before = {check.name: check for check in self.checks}
        known = {} if beat.full else dict(before)
        known.update((check.name, _dated(check, before.get(check.name), now.unix)) for check in beat.checks)
        for name in beat.removed:
            known.pop(name, None)
        checks = tuple(known[name] for name in sorted(known))
        # After a full one there is nothing better to ask for, even if a newer sidecar should hash otherwise.
        agreed = beat.full or state_hash(checks) == beat.state_hash
        verdict = rollup(checks)
        if not agreed and verdict.status is State.PASS:
            verdict = unknown_verdict("a heartbeat was lost, the full state is asked for")
        if self.standing.status is verdict.status:
            since = self.standing.since
        elif self.epoch < 0:
            # Heard for the first time: its own account counts, as far as it does not contradict our record.
            since = max(min(now.unix, _onset(checks, verdict.status)), self.standing.since if self.stale else 0.0)
        else:
            since = now.unix
        return Instance(
            name=self.name,
            service=self.service,
            resource=beat.resource or self.resource,
            epoch=beat.epoch,
            seq=beat.seq,
            interval_s=beat.interval_s,
            checks=checks,
            verdict=msgspec.structs.replace(verdict, since=since),
            standing=Standing(verdict.status, since),
            heard=now,
            synced=beat.full or (self.synced and agreed and (beat.epoch, beat.seq) == (self.epoch, self.seq + 1)),
            rival=self._rival_after(beat, now),
        )

    def _rival_after(self, beat: Heartbeat, now: Moment) -> Rival | None:
        if beat.epoch == self.epoch or self.epoch < 0:
            return self.rival
        if self.rival is not None and self.rival.lives and self.rival.epoch != beat.epoch:
            return self.rival  # a restart of the one changes nothing about the other
        return Rival(self.epoch, self.seq, now.monotonic)

    def expire(self, now: Moment) -> Instance:
        """The same value within the lease; past it, stale since the moment at which the lease ended. A rival that is
        silent for as long is gone."""
        if self.rival is not None and now.monotonic - self.rival.heard > self.lease_s:
            return msgspec.structs.replace(self, rival=None).expire(now)
        silence = now.monotonic - self.heard.monotonic
        if silence <= self.lease_s or (self.stale and not self.pending):
            return self
        since = now.unix - (silence - self.lease_s)
        if self.standing.status is State.UNKNOWN:
            since = self.standing.since
        why = f"silent since {rfc3339(self.heard.unix)}, past its lease of {self.lease_s:g} s"
        return msgspec.structs.replace(
            self,
            verdict=unknown_verdict(why, since, Flag.STALE),
            standing=Standing(State.UNKNOWN, since),
            stale=True,
            pending=False,
        )


def newcomer(name: str, service: str, now: Moment) -> Instance:
    """Somebody of whom nothing is known yet."""
    return Instance(
        name=name,
        service=service,
        verdict=unknown_verdict("not heard yet", now.unix),
        standing=Standing(State.UNKNOWN, now.unix),
        heard=now,
    )


def restored(name: str, service: str, standing: Standing, checks: tuple[Check, ...], now: Moment) -> Instance:
    """Somebody whom the collector knew before its restart: unknown until heard, its record kept for the grace."""
    return Instance(
        name=name,
        service=service,
        checks=checks,
        verdict=unknown_verdict("not heard since the collector started", now.unix, Flag.STALE),
        standing=standing,
        heard=now,
        stale=True,
        pending=True,
    )


def _dated(check: Check, before: Check | None, now: float) -> Check:
    """A check of a sidecar whose clock is ahead of ours is as it is since we heard so first."""
    if check.since <= now:
        return check
    since = before.since if before is not None and before.state is check.state else now
    return msgspec.structs.replace(check, since=since)


def _onset(checks: tuple[Check, ...], status: State) -> float:
    """When the status of an instance that is new to us began, by its own account: the last check to pass, or the first
    one not to."""
    begun = [check.since for check in checks if weight(check) is status and check.since > 0]
    if not begun:
        return float("inf")
    return max(begun) if status is State.PASS else min(begun)
