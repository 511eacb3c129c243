"""Who said goodbye: kept, because a late heartbeat would bring an instance back as one that is silent."""

from __future__ import annotations

import msgspec

from sidecar.model.heartbeat import LEASE_INTERVALS, Heartbeat

from .events import Moment


class Departed(msgspec.Struct, frozen=True):
    """The last word of an instance; `at` is monotonic."""

    epoch: int
    seq: int
    at: float
    lease_s: float


class Departures:
    """The latest `limit` goodbyes, by service and instance."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._gone: dict[tuple[str, str], Departed] = {}

    def add(self, key: tuple[str, str], beat: Heartbeat, now: Moment) -> None:
        self._gone[key] = Departed(beat.epoch, beat.seq, now.monotonic, LEASE_INTERVALS * beat.interval_s)
        if len(self._gone) > self._limit:
            del self._gone[next(iter(self._gone))]

    def after(self, key: tuple[str, str], beat: Heartbeat, now: Moment) -> Departed | None:
        """The goodbye before which this heartbeat was sent. For a heartbeat of another epoch it counts for a lease."""
        gone = self._gone.get(key)
        if gone is None or (beat.epoch, beat.seq) > (gone.epoch, gone.seq):
            return None
        is_over = beat.epoch != gone.epoch and now.monotonic - gone.at > gone.lease_s
        return None if is_over else gone

    def forget(self, key: tuple[str, str]) -> None:
        self._gone.pop(key, None)
