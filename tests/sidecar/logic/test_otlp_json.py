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


def span(**fields: Any) -> bytes:
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [{}, fields]}]}]}).encode()


def value(**any_value: Any) -> bytes:
    return span(attributes=[{"key": "k", "value": any_value}])


def test_a_trace_written_by_hand() -> None:
    body = b"""{
      "resourceSpans": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "checkout"}}]},
        "scopeSpans": [{
          "scope": {"name": "shop", "version": "2.1", "attributes": [{"key": "debug", "value": {"boolValue": false}}]},
          "spans": [{
            "traceId": "0AF7651916CD43DD8448EB211C80319C",
            "spanId": "b7ad6b7169203331",
            "parentSpanId": "B7ad6b7169203332",
            "traceState": "a=1",
            "flags": 257,
            "name": "POST /orders",
            "kind": 2,
            "startTimeUnixNano": "1700000000000000001",
            "endTimeUnixNano": 1700000000000000002,
            "attributes": [
              {"key": "rows", "value": {"arrayValue": {"values": [{"intValue": "-1"}, {"doubleValue": 0}, {}]}}},
              {"key": "tree", "value": {"kvlistValue": {"values": [{"key": "x", "value": {"bytesValue": "_-8"}}]}}}
            ],
            "droppedAttributesCount": 3,
            "events": [{"timeUnixNano": "7", "name": "refused"}],
            "links": [{"traceId": "0af7651916cd43dd8448eb211c80319d", "spanId": "b7ad6b7169203333", "flags": 1}],
            "status": {"code": 2, "message": "no stock"}
          }]
        }],
        "schemaUrl": "https://opentelemetry.io/schemas/1.37.0"
      }]
    }"""
    expected = reference.REQUESTS[Signal.TRACES]()
    resource = expected.resource_spans.add(schema_url="https://opentelemetry.io/schemas/1.37.0")
    resource.resource.attributes.add(key="service.name").value.string_value = "checkout"
    scope = resource.scope_spans.add()
    scope.scope.name, scope.scope.version = "shop", "2.1"
    scope.scope.attributes.add(key="debug").value.bool_value = False
    one = scope.spans.add(
        trace_id=bytes.fromhex("0af7651916cd43dd8448eb211c80319c"),
        span_id=bytes.fromhex("b7ad6b7169203331"),
        parent_span_id=bytes.fromhex("b7ad6b7169203332"),
        trace_state="a=1",
        flags=257,
        name="POST /orders",
        kind=2,
        start_time_unix_nano=1700000000000000001,
        end_time_unix_nano=1700000000000000002,
        dropped_attributes_count=3,
    )
    rows = one.attributes.add(key="rows").value.array_value.values
    rows.add().int_value = -1
    rows.add().double_value = 0.0
    rows.add()
    tree = one.attributes.add(key="tree").value.kvlist_value.values
    tree.add(key="x").value.bytes_value = b"\xff\xef"
    one.events.add(time_unix_nano=7, name="refused")
    one.links.add(trace_id=one.trace_id[:-1] + b"\x9d", span_id=one.span_id[:-1] + b"\x33", flags=1)
    one.status.code, one.status.message = 2, "no stock"
    assert parsed(Signal.TRACES, body) == expected


def test_metrics_written_by_hand() -> None:
    body = b"""{"resourceMetrics": [{"scopeMetrics": [{"metrics": [
      {"name": "queue.length", "unit": "1", "description": "waiting", "gauge": {"dataPoints": [
        {"timeUnixNano": "5", "asDouble": "NaN"}, {"timeUnixNano": "5", "asInt": "0"}]}},
      {"name": "orders", "sum": {"aggregationTemporality": 2, "isMonotonic": true, "dataPoints": [
        {"startTimeUnixNano": "1", "asInt": "-3", "exemplars": [
          {"spanId": "b7ad6b7169203331", "traceId": "0af7651916cd43dd8448eb211c80319c", "asDouble": 1.5,
           "filteredAttributes": [{"key": "k", "value": {"stringValue": ""}}]}]}]}},
      {"name": "took", "histogram": {"aggregationTemporality": 1, "dataPoints": [
        {"count": "3", "sum": 0, "min": -1, "bucketCounts": ["1", 2, 0], "explicitBounds": [0, 1.5, "Infinity"]}]}},
      {"name": "size", "exponentialHistogram": {"dataPoints": [
        {"count": 2, "scale": -3, "zeroCount": "1", "zeroThreshold": 1e-9, "flags": 1,
         "positive": {"offset": -2, "bucketCounts": ["1", "0"]}, "negative": {}}]}},
      {"name": "rpc", "summary": {"dataPoints": [
        {"count": "9", "sum": 4.5, "quantileValues": [{"quantile": 0.99, "value": 1}, {}]}]}}
    ]}]}]}"""
    expected = reference.REQUESTS[Signal.METRICS]()
    metrics = expected.resource_metrics.add().scope_metrics.add().metrics
    gauge = metrics.add(name="queue.length", unit="1", description="waiting").gauge.data_points
    gauge.add(time_unix_nano=5).as_double = float("nan")
    gauge.add(time_unix_nano=5).as_int = 0
    sums = metrics.add(name="orders").sum
    sums.aggregation_temporality, sums.is_monotonic = 2, True
    exemplar = sums.data_points.add(start_time_unix_nano=1, as_int=-3).exemplars.add(as_double=1.5)
    exemplar.span_id, exemplar.trace_id = (
        bytes.fromhex("b7ad6b7169203331"),
        bytes.fromhex("0af7651916cd43dd8448eb211c80319c"),
    )
    exemplar.filtered_attributes.add(key="k").value.string_value = ""
    histogram = metrics.add(name="took").histogram
    histogram.aggregation_temporality = 1
    histogram.data_points.add(
        count=3, sum=0.0, min=-1.0, bucket_counts=[1, 2, 0], explicit_bounds=[0.0, 1.5, float("inf")]
    )
    point = metrics.add(name="size").exponential_histogram.data_points.add(
        count=2, scale=-3, zero_count=1, zero_threshold=1e-9, flags=1
    )
    point.positive.offset = -2
    point.positive.bucket_counts.extend([1, 0])
    point.negative.SetInParent()
    summary = metrics.add(name="rpc").summary.data_points.add(count=9, sum=4.5)
    summary.quantile_values.add(quantile=0.99, value=1.0)
    summary.quantile_values.add()
    # As bytes, since NaN is not equal to itself.
    assert parsed(Signal.METRICS, body).SerializeToString() == expected.SerializeToString()


def test_logs_written_by_hand() -> None:
    body = b"""{"resourceLogs": [{"scopeLogs": [{"logRecords": [
      {"timeUnixNano": "1", "observedTimeUnixNano": "2", "severityNumber": 17, "severityText": "ERROR", "flags": 1,
       "body": {"stringValue": "no stock \\ud83d\\ude00"}, "eventName": "refused", "droppedAttributesCount": 1,
       "traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "", "attributes": [{"key": "n", "value": {"intValue": 7}}]},
      {"body": {"kvlistValue": {"values": []}}}
    ]}]}]}"""
    expected = reference.REQUESTS[Signal.LOGS]()
    records = expected.resource_logs.add().scope_logs.add().log_records
    record = records.add(
        time_unix_nano=1,
        observed_time_unix_nano=2,
        severity_number=17,
        severity_text="ERROR",
        flags=1,
        event_name="refused",
        dropped_attributes_count=1,
        trace_id=bytes.fromhex("0af7651916cd43dd8448eb211c80319c"),
    )
    record.body.string_value = "no stock \N{GRINNING FACE}"
    record.attributes.add(key="n").value.int_value = 7
    records.add().body.kvlist_value.SetInParent()
    assert parsed(Signal.LOGS, body) == expected


SAME = [
    (
        span(name="a"),
        span(name="a", startTimeUnixNano="0", kind=0, traceId="", attributes=[], droppedAttributesCount=0),
    ),
    (span(name="a"), span(name="a", status=None, kind=None, events=None, traceId=None)),
    (span(name="a"), span(name="a", start_time_unix_nano=5, Name="b", x={"y": [1, None, {"z": []}]})),
    (span(name="a"), span(name="b").replace(b'"name"', b'"name": "c", "name": "a", "_"')),
    (span(name="a"), b" \r\n\t" + span(name="a") + b"\n"),
    (span(kind=3), span(kind=3.0)),
    (span(flags=3), span(flags="3")),
    (span(startTimeUnixNano=100), span(startTimeUnixNano=1e2)),
    (value(doubleValue=1.5), value(doubleValue="1.5")),
    (value(doubleValue=1500), value(doubleValue="1.5e3")),
    (value(stringValue="a"), value(stringValue="a", intValue=None)),
    (value(bytesValue="/+8="), value(bytesValue="_-8")),
]


@pytest.mark.parametrize(("plain", "other"), SAME)
def test_two_ways_to_say_the_same(plain: bytes, other: bytes) -> None:
    assert parsed(Signal.TRACES, other) == parsed(Signal.TRACES, plain)


@pytest.mark.parametrize("signal", Signal)
@pytest.mark.parametrize(
    "body", [b"{}", b'{"x": 1}', b'{"resourceSpans": [], "resourceMetrics": [], "resourceLogs": []}']
)
def test_an_empty_request_is_empty(body: bytes, signal: Signal) -> None:
    assert transcode(signal, body, LIMIT) == b""


SPAN = "resourceSpans[0].scopeSpans[0].spans[1]"
VALUE = f"{SPAN}.attributes[0].value"
INT32 = "a whole number from -2147483648 to 2147483647"
INT64 = "a whole number from -9223372036854775808 to 9223372036854775807"
FIXED64 = "a whole number from 0 to 18446744073709551615"
NUMBER = 'a number, "NaN", "Infinity" or "-Infinity"'
BAD: list[tuple[bytes, str]] = [
    (b"", "Input data was truncated"),
    (b"[]", "an array, expected an object"),
    (b"null", "null, expected an object"),
    (b"\x0a\x00", "JSON is malformed: invalid character (byte 1)"),
    (b'{"resourceSpans": [}', "JSON is malformed: invalid character (byte 19)"),
    (b'{"resourceSpans": NaN}', "JSON is malformed: invalid character (byte 18)"),
    (b'{"a": "\xff"}', "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
    (b'{"a": ' + b"[" * 5000 + b"]" * 5000 + b"}", "nested too deep"),
    (b'{"resourceSpans": {}}', "resourceSpans: an object, expected an array"),
    (b'{"resourceSpans": [null]}', "resourceSpans[0]: null, expected an object"),
    (b'{"resourceSpans": [{}, 7]}', "resourceSpans[1]: 7, expected an object"),
    (b'{"resourceSpans": [{"resource": "x"}]}', 'resourceSpans[0].resource: "x", expected an object'),
    (span(traceId="abc"), f'{SPAN}.traceId: "abc", expected 32 hex digits'),
    (span(traceId="g" * 32), f'{SPAN}.traceId: "{"g" * 32}", expected 32 hex digits'),
    (span(traceId="b7ad6b7169203331"), f'{SPAN}.traceId: "b7ad6b7169203331", expected 32 hex digits'),
    (span(traceId="0a " * 11)[:-1] + b"}", f'{SPAN}.traceId: "{"0a " * 11}", expected 32 hex digits'),
    (span(spanId="a" * 100), f'{SPAN}.spanId: "{"a" * 40}…", expected 16 hex digits'),
    (span(parentSpanId=5), f"{SPAN}.parentSpanId: 5, expected 16 hex digits"),
    (span(links=[{}, {"spanId": "0"}]), f'{SPAN}.links[1].spanId: "0", expected 16 hex digits'),
    (
        span(kind="SPAN_KIND_SERVER"),
        f'{SPAN}.kind: "SPAN_KIND_SERVER", expected a number: OTLP\'s JSON has no names of enum values',
    ),
    (span(kind=1 << 31), f"{SPAN}.kind: 2147483648, expected {INT32}"),
    (span(kind=True), f"{SPAN}.kind: true, expected {INT32}"),
    (span(name=7), f"{SPAN}.name: 7, expected a string"),
    (span(flags=-1), f"{SPAN}.flags: -1, expected a whole number from 0 to 4294967295"),
    (span(startTimeUnixNano="1 "), f'{SPAN}.startTimeUnixNano: "1 ", expected {FIXED64}'),
    (span(startTimeUnixNano=1.5), f"{SPAN}.startTimeUnixNano: 1.5, expected {FIXED64}"),
    (value(intValue=1 << 63), f"{VALUE}.intValue: 9223372036854775808, expected {INT64}"),
    (value(intValue="٣"), f'{VALUE}.intValue: "٣", expected {INT64}'),
    (value(intValue=10**40), f"{VALUE}.intValue: a number of more than 64 bits, expected {INT64}"),
    (value(boolValue="true"), f'{VALUE}.boolValue: "true", expected true or false'),
    (value(doubleValue="nan"), f'{VALUE}.doubleValue: "nan", expected {NUMBER}'),
    (value(doubleValue="1e999"), f'{VALUE}.doubleValue: "1e999", expected {NUMBER}'),
    (value(doubleValue=False), f'{VALUE}.doubleValue: false, expected {NUMBER}'),
    (
        value(doubleValue=10**400),
        f"{VALUE}.doubleValue: a number of more than 64 bits, expected a number in the range of a double",
    ),
    (value(bytesValue="a"), f'{VALUE}.bytesValue: "a", expected base64'),
    (value(bytesValue="AA=A"), f'{VALUE}.bytesValue: "AA=A", expected base64'),
    (value(bytesValue=[1]), f"{VALUE}.bytesValue: an array, expected base64"),
    (value(stringValue="", intValue=0), f"{VALUE}: stringValue and intValue are given, expected one of them"),
    (value(arrayValue={"values": [{}, None]}), f"{VALUE}.arrayValue.values[1]: null, expected an object"),
    (span(attributes="x"), f'{SPAN}.attributes: "x", expected an array'),
    (
        b'{"resourceSpans": [{"resource": {"entityRefs": [{"idKeys": ["a", 1]}]}}]}',
        "resourceSpans[0].resource.entityRefs[0].idKeys[1]: 1, expected a string",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("body", "problem"), BAD)
def test_what_is_wrong_is_named_with_its_place(body: bytes, problem: str) -> None:
    with pytest.raises(Wrong) as caught:
        transcode(Signal.TRACES, body, LIMIT)
    assert str(caught.value) == problem


def histogram(point: bytes) -> bytes:
    metric = b'{"histogram": {"dataPoints": [%b]}}' % point
    return b'{"resourceMetrics": [{"scopeMetrics": [{"metrics": [%b]}]}]}' % metric


def test_numbers_in_a_list_are_named_by_their_index() -> None:
    with pytest.raises(Wrong) as caught:
        transcode(Signal.METRICS, histogram(b'{"bucketCounts": ["1", "x"]}'), LIMIT)
    assert str(caught.value) == (
        "resourceMetrics[0].scopeMetrics[0].metrics[0].histogram.dataPoints[0].bucketCounts[1]: "
        f'"x", expected {FIXED64}'
    )


def nested(levels: int) -> bytes:
    """A log record whose body is so many arrays in each other: 4 + 1 + 2 * levels messages within each other."""
    inner: dict[str, Any] = {}
    for _ in range(levels):
        inner = {"arrayValue": {"values": [inner]}}
    return json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": inner}]}]}]}).encode()


def test_nesting_ends_where_protobuf_runtimes_end_it() -> None:
    parsed(Signal.LOGS, nested(48))
    with pytest.raises(Wrong, match=r"nested too deep, expected at most 100 messages within each other$"):
        transcode(Signal.LOGS, nested(49), LIMIT)


def test_a_large_request_is_as_good_as_a_small_one_and_its_errors_name_the_place() -> None:
    spans: list[dict[str, Any]] = [
        {"name": f'{n} [{{"', "kind": n % 5, "events": [{"name": "}"}] * 3} for n in range(9000)
    ]
    spans[4000]["attributes"] = [{"key": "x" * 100_000, "value": {"stringValue": "\\" * 70_000}}]
    request = {
        "resourceSpans": [{"schemaUrl": "a"}, {"scopeSpans": [{}, {"spans": spans, "scope": {"name": "s"}}], "no": {}}]
    }
    message = parsed(Signal.TRACES, json.dumps(request).encode())
    scope = message.resource_spans[1].scope_spans[1]
    assert [one.name for one in scope.spans] == [one["name"] for one in spans]
    assert scope.spans[4000].attributes[0].value.string_value == "\\" * 70_000
    assert scope.scope.name == "s"
    spans[8000]["spanId"] = "?"
    with pytest.raises(Wrong) as caught:
        transcode(Signal.TRACES, json.dumps(request).encode(), LIMIT)
    assert str(caught.value) == 'resourceSpans[1].scopeSpans[1].spans[8000].spanId: "?", expected 16 hex digits'


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b'["%b"]', "expected an object"),
        (b'{"resourceSpans": "%b"}', "resourceSpans: expected an array"),
        (b'{"resourceSpans": [{}, "%b"]}', "resourceSpans[1]: expected an object"),
        (b'{"resourceSpans": [{}, 3, "%b"]}', "resourceSpans[1]: 3, expected an object"),
        (b'{"resourceSpans": ["%b"', "Input data was truncated"),
        (
            b'{"resourceSpans": [{"resource": {"droppedAttributesCount": 1e999}, "schemaUrl": "%b"}]}',
            "resourceSpans[0].resource: Number out of range",
        ),
    ],
)
def test_a_large_request_of_the_wrong_shape_is_told_so(body: bytes, problem: str) -> None:
    with pytest.raises(Wrong) as caught:
        transcode(Signal.TRACES, body % (b"x" * 70_000), LIMIT)
    assert str(caught.value) == problem


@pytest.mark.parametrize("levels", range(880, 1000, 3))
def test_a_large_request_that_is_nested_as_deep_as_can_be_decoded_is_read_or_refused(levels: int) -> None:
    deep = b"[" * levels + b"]" * levels
    body = b'{"resourceSpans": [{"scopeSpans": [{"x": %b, "spans": [{"x": %b, "name": "%b"}]}]}]}'
    try:
        assert parsed(Signal.TRACES, body % (deep, deep, b"x" * 70_000)).ByteSize() > 70_000
    except Wrong as error:
        assert error.args == ("nested too deep",)  # noqa: PT017


def test_the_result_has_a_limit_too() -> None:
    for points in (b'{"bucketCounts": [' + b"0," * 200 + b"0]}", b"{}," * 900 + b"{}"):
        assert len(transcode(Signal.METRICS, histogram(points), 3000)) < 3000
        with pytest.raises(TooLarge, match=r"^becomes more than 1000 bytes of protobuf$"):
            transcode(Signal.METRICS, histogram(points), 1000)


keys = st.sampled_from([key for fields in MESSAGES.values() for key in fields] + ["x", ""])
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4)
    | st.sampled_from(["0a" * 16, "0a" * 8, "17", "-1", "NaN", "AAAA", 1 << 64, -(1 << 63)])
)
documents = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4), max_leaves=40
)


def shaped(draw: st.DrawFn, name: str, depth: int) -> Any:
    """Mostly of the right shape, so that the fuzz gets somewhere."""
    if depth > 8 or draw(st.integers(0, 9)) == 0:
        return draw(documents)
    out: dict[str, Any] = {}
    for key in draw(st.lists(st.sampled_from(sorted(MESSAGES[name])), max_size=3, unique=True)):
        kind = MESSAGES[name][key][1]
        inner = kind.strip("*?|")
        one = shaped(draw, inner, depth + 1) if inner in MESSAGES else draw(scalars)
        out[key] = [one] if kind.endswith("*") else one
    return out


@pytest.mark.parametrize("piece", [0, 64 << 10], ids=["in pieces", "whole"])
@settings(deadline=None, max_examples=300, suppress_health_check=list(HealthCheck))
@given(data=st.data(), signal=st.sampled_from(Signal))
def test_any_json_becomes_what_protobuf_reads_or_an_error(data: st.DataObject, signal: Signal, piece: int) -> None:
    draw: Any = data.draw
    body = json.dumps(shaped(draw, REQUESTS[signal], 0)).encode()
    whole, otlp_json.PIECE = otlp_json.PIECE, piece
    try:
        parsed(signal, body)
    except Wrong:
        pass
    finally:
        otlp_json.PIECE = whole


@settings(deadline=None, max_examples=300)
@given(
    at=st.integers(0, 250),
    cut=st.integers(0, 3),
    put=st.sampled_from(
        [b"", b"{", b"}", b"[", b"]", b'"', b"\\", b",", b":", b"\xff", b"\0", b"\\ud800", b"7", b"null"]
    ),
    piece=st.sampled_from([0, 100, 1000]),
)
def test_a_damaged_text_is_read_or_refused(at: int, cut: int, put: bytes, piece: int) -> None:
    body = span(name='a"b\\', attributes=[{"key": "[", "value": {"stringValue": "}"}}], x=[[1, {}], "y"], kind=1)
    whole, otlp_json.PIECE = otlp_json.PIECE, piece
    try:
        parsed(Signal.TRACES, body[:at] + put + body[at + cut :])
    except Wrong:
        pass
    finally:
        otlp_json.PIECE = whole


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=40))
def test_any_bytes_are_refused_or_empty(body: bytes) -> None:
    try:
        assert parsed(Signal.TRACES, body).ByteSize() == 0
    except Wrong:
        pass
