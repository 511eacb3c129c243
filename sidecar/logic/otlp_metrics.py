"""Our own metrics as the bytes of an OTLP `ExportMetricsServiceRequest`, written by hand.

Written by hand because protobuf's runtime may not be in the sidecar's process; a test reads every message back with
the generated classes. Field numbers: opentelemetry/proto/metrics/v1/metrics.proto, common.proto, resource.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import Final

from ..model.signals import Metric, Point
from .protobuf import encode_field

_GAUGE, _SUM = 5, 7
_CUMULATIVE: Final = b"\x10\x02"  # Sum.aggregation_temporality (2) = CUMULATIVE
_MONOTONIC: Final = b"\x18\x01"  # Sum.is_monotonic (3) = true


def text(number: int, value: str) -> bytes:
    return field(number, value.encode())


def field(number: int, body: bytes) -> bytes:
    """A length-delimited field; all numbers here fit into one byte with their wire type."""
    return encode_field(number << 3 | 2, body)


def key_value(number: int, key: str, value: str) -> bytes:
    """A `KeyValue` with a string value."""
    return field(number, text(1, key) + field(2, text(1, value)))


def resource(attributes: Mapping[str, str]) -> bytes:
    """The fields of a `Resource`."""
    return b"".join(key_value(1, key, value) for key, value in attributes.items())


def _point(point: Point, start: float, now: float) -> bytes:
    return (
        (b"" if not start else b"\x11" + struct.pack("<Q", int(start * 1e9)))
        + b"\x19"
        + struct.pack("<Q", int(now * 1e9))
        + b"\x21"
        + struct.pack("<d", point.value)
        + b"".join(key_value(7, key, value) for key, value in point.attributes)
    )


def _metric(metric: Metric, now: float) -> bytes:
    head = text(1, metric.name) + text(2, metric.description) + text(3, metric.unit)
    start = 0.0 if metric.kind == "gauge" else metric.start
    points = b"".join(field(1, _point(point, start, now)) for point in metric.points)
    match metric.kind:
        case "gauge":
            return head + field(_GAUGE, points)
        case "updowncounter":
            return head + field(_SUM, points + _CUMULATIVE)
        case "counter":
            return head + field(_SUM, points + _CUMULATIVE + _MONOTONIC)


def encode(
    attributes: Mapping[str, str], scopes: Iterable[tuple[str, str, Iterable[Metric]]], now: float
) -> tuple[bytes, int]:
    """One request for one resource; `scopes` are (name, version, metrics). Returns the bytes and the data points."""
    count = 0
    body = [field(1, resource(attributes))]
    for name, version, metrics in scopes:
        parts = [field(1, text(1, name) + text(2, version))]
        for metric in metrics:
            if metric.points:
                count += len(metric.points)
                parts.append(field(2, _metric(metric, now)))
        body.append(field(2, b"".join(parts)))
    return field(1, b"".join(body)), count
