"""Plain counters, owned by the code that counts and read by `telemetry`.

Integers on slotted objects: a hot path adds to them for tens of nanoseconds, and nothing is shared between threads.
Every counter only rises, from the start of the process.
"""

from __future__ import annotations

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


class UpstreamCounters:
    """One upstream: items by what became of them, sends by outcome, and the last of each for `/status`."""

    __slots__ = ("items", "last_error", "last_error_at", "last_success_at", "sends")

    def __init__(self) -> None:
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


class SpoolCounters:
    """The spool: rows by upstream, errors by reason (one word)."""

    __slots__ = ("errors", "evicted", "quarantined", "written")

    def __init__(self) -> None:
        self.written: dict[str, int] = {}
        self.quarantined: dict[str, int] = {}
        self.evicted: dict[str, int] = {}
        self.errors: dict[str, int] = {}

    @staticmethod
    def add(counter: dict[str, int], key: str, number: int = 1) -> None:
        counter[key] = counter.get(key, 0) + number
