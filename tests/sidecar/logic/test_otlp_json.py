"""OTLP's JSON becomes the protobuf that means the same, as protobuf's own decoder reads it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor  # type: ignore[import-untyped]
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidecar.logic import otlp_json
from sidecar.logic.gzip_body import TooLarge
from sidecar.logic.otlp_fields import MESSAGES, REQUESTS
from sidecar.logic.otlp_json import transcode
from sidecar.logic.otlp_json_scalars import Wrong
from sidecar.model.signals import Signal

from . import otlp_json_reference as reference

LIMIT = 20 << 20
TYPES = {
    FieldDescriptor.TYPE_DOUBLE: "double",
    FieldDescriptor.TYPE_INT64: "int64",
    FieldDescriptor.TYPE_UINT64: "uint64",
    FieldDescriptor.TYPE_INT32: "int32",
    FieldDescriptor.TYPE_FIXED64: "fixed64",
    FieldDescriptor.TYPE_FIXED32: "fixed32",
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_BYTES: "bytes",
    FieldDescriptor.TYPE_UINT32: "uint32",
    FieldDescriptor.TYPE_ENUM: "enum",
    FieldDescriptor.TYPE_SFIXED64: "sfixed64",
    FieldDescriptor.TYPE_SINT32: "sint32",
}
IDS = {"traceId": "trace_id", "spanId": "span_id", "parentSpanId": "span_id"}


def parsed(signal: Signal, body: bytes) -> Any:
    return reference.REQUESTS[signal].FromString(transcode(signal, body, LIMIT))


def published(descriptor: Descriptor, into: dict[str, Any]) -> dict[str, Any]:
    """A message of opentelemetry-proto and all within it, in the notation of our table."""
    if descriptor.name not in into:
        into[descriptor.name] = fields = {}
        for field in descriptor.fields:
            kind = field.message_type.name if field.message_type else TYPES[field.type]
            kind = IDS.get(field.json_name, kind)
            if field.is_repeated:
                kind += "*"
            elif field.containing_oneof:
                kind += "?" if field.containing_oneof.name.startswith("_") else "|"
            fields[field.json_name] = (field.number, kind)
            if field.message_type:
                published(field.message_type, into)
    return into


def test_the_table_is_that_of_the_published_protobuf() -> None:
    expected: dict[str, Any] = {}
    for signal, request in reference.REQUESTS.items():
        assert REQUESTS[signal] == request.DESCRIPTOR.name
        published(request.DESCRIPTOR, expected)
    assert expected == MESSAGES


@pytest.mark.parametrize("piece", [0, 64 << 10], ids=["in pieces", "whole"])
@pytest.mark.parametrize("signal", Signal)
@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_message_survives(data: st.DataObject, signal: Signal, piece: int) -> None:
    message = data.draw(reference.messages(signal))
    body = json.dumps(reference.as_json(message), indent=data.draw(st.sampled_from([None, 1]))).encode()
    whole, otlp_json.PIECE = otlp_json.PIECE, piece
    try:
        assert parsed(signal, body) == message
    finally:
        otlp_json.PIECE = whole
