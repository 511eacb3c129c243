"""OTLP's JSON as another implementation writes it: protobuf's own `json_format`, corrected where OTLP differs."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor  # type: ignore[import-untyped]
from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]
from google.protobuf.message import Message  # type: ignore[import-untyped]
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from sidecar.model.signals import Signal

REQUESTS: dict[Signal, Any] = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
}
IDS = {"traceId": 16, "spanId": 8, "parentSpanId": 8}
DEEP = 10
"""Messages within messages, in what is generated."""


def as_json(message: Message) -> dict[str, Any]:
    """Enums as numbers, 64-bit integers as strings, ids as hex."""
    given: dict[str, Any] = MessageToDict(message, use_integers_for_enums=True)
    for field, value in message.ListFields():
        if field.json_name in IDS:
            given[field.json_name] = value.hex()
        elif field.message_type and field.is_repeated:
            given[field.json_name] = [as_json(each) for each in value]
        elif field.message_type:
            given[field.json_name] = as_json(value)
    return given


SCALARS: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.TYPE_DOUBLE: st.floats(allow_nan=False) | st.sampled_from([0.0, -0.0, 1e308, 5e-324]),
    FieldDescriptor.TYPE_INT64: st.integers(-(1 << 63), (1 << 63) - 1),
    FieldDescriptor.TYPE_UINT64: st.integers(0, (1 << 64) - 1),
    FieldDescriptor.TYPE_INT32: st.integers(-(1 << 31), (1 << 31) - 1),
    FieldDescriptor.TYPE_FIXED64: st.integers(0, (1 << 64) - 1),
    FieldDescriptor.TYPE_FIXED32: st.integers(0, (1 << 32) - 1),
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_STRING: st.text(max_size=8),
    FieldDescriptor.TYPE_BYTES: st.binary(max_size=8),
    FieldDescriptor.TYPE_UINT32: st.integers(0, (1 << 32) - 1),
    FieldDescriptor.TYPE_ENUM: st.integers(-(1 << 31), (1 << 31) - 1) | st.integers(0, 5),
    FieldDescriptor.TYPE_SFIXED64: st.integers(-(1 << 63), (1 << 63) - 1),
    FieldDescriptor.TYPE_SINT32: st.integers(-(1 << 31), (1 << 31) - 1),
}


@st.composite
def messages(draw: st.DrawFn, signal: Signal) -> Any:
    """A request of which any field may be set to anything."""
    request = REQUESTS[signal]()
    _fill(draw, request, request.DESCRIPTOR, 0)
    return request


def _fill(draw: st.DrawFn, message: Any, descriptor: Descriptor, depth: int) -> None:
    for field in descriptor.fields:
        # Far down something must be there, or nothing would ever be far down.
        if depth < 3 or draw(st.integers(0, 2)) == 0:
            _set(draw, message, field, depth)


def _set(draw: st.DrawFn, message: Any, field: FieldDescriptor, depth: int) -> None:
    if not field.message_type:
        values = SCALARS[field.type]
        if field.json_name in IDS:
            values = st.binary(min_size=IDS[field.json_name], max_size=IDS[field.json_name])
        if field.is_repeated:
            getattr(message, field.name).extend(draw(st.lists(values, max_size=3)))
        else:
            setattr(message, field.name, draw(values))
    elif depth < DEEP:
        if field.is_repeated:
            for _ in range(draw(st.integers(0, 2))):
                _fill(draw, getattr(message, field.name).add(), field.message_type, depth + 1)
        else:
            getattr(message, field.name).SetInParent()
            _fill(draw, getattr(message, field.name), field.message_type, depth + 1)
