"""Plain counters, owned by the code that counts and read by `telemetry`.

Integers on slotted objects: a hot path adds to them for tens of nanoseconds, and nothing is shared between threads.
Every counter only rises, from the start of the process.
"""

from __future__ import annotations

from typing import TypeVar

from .logs import range_of
from .signals import Signal


class ReceiverCounters:
    """One OTLP listener. `refused` counts requests by HTTP status; `items` are spans, data points, log records."""

    __slots__ = ("bytes", "connections", "items", "refused", "requests")

    def __init__(self) -> None:
        self.requests = dict.fromkeys(Signal, 0)
        self.items = dict.fromkeys(Signal, 0)
        self.bytes = dict.fromkeys(Signal, 0)
        self.refused: dict[int, int] = {}
        self.connections = 0

    def refuse(self, status: int) -> None:
        self.refused[status] = self.refused.get(status, 0) + 1


KEPT = ("accepted", "refused")
"""What became of items that are not lost: the upstream has them, or their producer was told and keeps them."""


class UpstreamCounters:
    """One upstream: items by what became of them, sends by outcome, and the last of each for `/status`.

    `items` end as one of `KEPT`, or are lost, by reason: rejected (by the upstream, also in a partial success), too_large (for
    it), evicted (too much waited), corrupt (the disk changed them), dropped (our own telemetry, which nobody waits for).
    `taken_…` is what was meant for it; `accepted_bytes` is before compression.
    """

    __slots__ = (
        "accepted_bytes",
        "items",
        "last_error",
        "last_error_at",
        "last_success_at",
        "sends",
        "taken_bytes",
        "taken_items",
    )

    def __init__(self) -> None:
        self.taken_items = 0
        self.taken_bytes = 0
        self.accepted_bytes = 0
        self.items: dict[tuple[Signal, str], int] = {}
        self.sends: dict[tuple[Signal, str], int] = {}
        self.last_error = ""
        self.last_error_at: float | None = None
        self.last_success_at: float | None = None

    def settle(self, signal: Signal, outcome: str, items: int) -> None:
        key = (signal, outcome)
        self.items[key] = self.items.get(key, 0) + items

    def sent(self, signal: Signal, outcome: str) -> None:
        key = (signal, outcome)
        self.sends[key] = self.sends.get(key, 0) + 1

    def by_outcome(self) -> dict[str, int]:
        """Items of all signals."""
        found: dict[str, int] = {}
        for (_, outcome), items in self.items.items():
            found[outcome] = found.get(outcome, 0) + items
        return found


class HeartbeatCounters:
    """Heartbeats to the collector by outcome; `failing` is whether the last one failed."""

    __slots__ = ("failed", "failing", "last_error", "last_success_at", "resyncs", "sent")

    def __init__(self) -> None:
        self.sent = 0
        self.failed = 0
        self.failing = False
        self.resyncs = 0
        self.last_error = ""
        self.last_success_at: float | None = None


Counted = TypeVar("Counted", str, tuple[str, str])


class SpoolCounters:
    """The spool: rows by upstream, errors by reason (one word).

    `quarantined` is by upstream and reason: rejected, too_large, corrupt (a body that is not what was written), unreadable (in a
    page that SQLite cannot read; the file is kept).
    """

    __slots__ = ("errors", "evicted", "quarantined", "written")

    def __init__(self) -> None:
        self.written: dict[str, int] = {}
        self.quarantined: dict[tuple[str, str], int] = {}
        self.evicted: dict[str, int] = {}
        self.errors: dict[str, int] = {}

    @staticmethod
    def add(counter: dict[Counted, int], key: Counted, number: int = 1) -> None:
        counter[key] = counter.get(key, 0) + number


class LogCounters:
    """One source of logs. Sources write the second half, the pipeline the first."""

    def __init__(self) -> None:
        self.lines = 0
        """Read, also those that were dropped after that."""
        self.bytes = 0
        self.records: dict[int, int] = {}
        """Made, by OpenTelemetry's severity number; 0 is unknown."""
        self.dropped: dict[str, int] = {}
        """Lines by reason: severity, rate_limit, duplicate, launcher."""
        self.redacted: dict[str, int] = {}
        """Values by rule."""

        self.streams = 0
        """Files or containers that are followed now."""
        self.rotations = 0
        self.truncations = 0
        """Files that became shorter while they were followed: lines written in between may be lost (copytruncate)."""
        self.cut_lines = 0
        """Lines longer than the cap, cut there."""
        self.cut_bytes = 0
        self.lost_bytes = 0
        """Bytes known to have vanished before they could be read."""
        self.lag_bytes = 0
        """Written and not yet settled."""
        self.lag_seconds = 0.0
        """Age of the oldest byte that is not settled, as well as it is known."""
        self.errors: dict[str, int] = {}
        """What the system or the API refused, by a word each."""
        self.why = ""
        """What keeps it from reading now, all or some of it; empty when all is well. Not a counter."""

    def by_range(self) -> dict[str, int]:
        """Records by severity: trace, debug, info, warn, error, fatal or unspecified."""
        found: dict[str, int] = {}
        for severity, count in sorted(self.records.items()):
            name = range_of(severity)
            found[name] = found.get(name, 0) + count
        return found
