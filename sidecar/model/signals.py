"""OTLP in transit: what kind it is, how much of it, and what became of it.

Bodies are the protobuf bytes of an `Export…ServiceRequest` and stay so: nothing on the way decodes them. Requests of
one signal may be joined by concatenation, because protobuf merges repeated fields.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Literal, Protocol, TypeAlias

import msgspec


class Signal(StrEnum):
    """One of OTLP's three signals; the HTTP path is `/v1/` and the value."""

    TRACES = "traces"
    METRICS = "metrics"
    LOGS = "logs"


class Batch(msgspec.Struct, frozen=True):
    """Bytes for one export request: `items` counts spans, data points or log records.

    `hops` is how many Outriders it has been through before this one, `via` their names and our own (`logic.loop`).
    """

    signal: Signal
    body: bytes
    items: int
    hops: int = 0
    via: str = ""


class Accepted(msgspec.Struct, frozen=True):
    """All of it arrived."""


class PartlyAccepted(msgspec.Struct, frozen=True):
    """It arrived, and the upstream threw `rejected` items away. Never retried (OTLP spec, "Partial Success")."""

    rejected: int
    message: str


class RetryLater(msgspec.Struct, frozen=True):
    """Nothing is known to have arrived and a retry can help. `after` is seconds, where the upstream named a time."""

    after: float | None
    why: str


class Hold(msgspec.Struct, frozen=True):
    """The upstream will take nothing from us until somebody acts (credentials, wrong address): keep all of it.

    Where it is `of_signal` that is said of the signal that was sent, and of no other: the upstream does not have it.
    Where it is `looped` the upstream leads back to where the request has been: keep nothing that its producer still has. It
    would wait for an upstream that is ourselves, and "OK" would hide from everybody that nothing leaves.
    """

    why: str
    looped: bool = False
    of_signal: bool = False


class Split(msgspec.Struct, frozen=True):
    """Too large in one piece."""

    why: str


class Rejected(msgspec.Struct, frozen=True):
    """These bytes will never be accepted."""

    why: str


Outcome: TypeAlias = Accepted | PartlyAccepted | RetryLater | Hold | Split | Rejected


class Sink(Protocol):
    """Where batches go. The caller owns timeout, retry and exceptions."""

    async def send(self, batch: Batch) -> Outcome: ...


Kind: TypeAlias = Literal["counter", "updowncounter", "gauge"]


class Point(msgspec.Struct, frozen=True):
    """One series' value now."""

    value: float
    attributes: tuple[tuple[str, str], ...] = ()


class Metric(msgspec.Struct, frozen=True):
    """One metric under its OpenTelemetry name, unit in UCUM. `start` is unix seconds from which counters count."""

    name: str
    kind: Kind
    unit: str
    description: str
    points: tuple[Point, ...]
    start: float = 0.0


class Declared(msgspec.Struct, frozen=True):
    """A metric without its values. `attributes` are the names that its points carry, in order."""

    name: str
    kind: Kind
    unit: str
    description: str
    attributes: tuple[str, ...] = ()

    def of(self, points: Iterable[tuple[tuple[str, ...], float]], start: float = 0.0) -> Metric:
        """The metric with its values, each behind its attributes' values in the declared order."""
        made = tuple(Point(value, tuple(zip(self.attributes, labels, strict=True))) for labels, value in points)
        return Metric(self.name, self.kind, self.unit, self.description, made, start)
