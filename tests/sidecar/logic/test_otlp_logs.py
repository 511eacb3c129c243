"""What we write by hand is what the generated classes read."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from sidecar.logic.otlp_logs import Frame, Packer, observed_at
from sidecar.model.logs import ORDINAL_BITS, LogRecord, Value

FRAME = Frame({"service.name": "å" * 100}, "outrider", "1.0")


def request_of(*records: LogRecord, mark: int = 7) -> Any:
    packer = Packer(b"0123456789abcdef", {"log.file.name": "app.log"})
    parts: list[bytes] = []
    size = packer.pack(records, range(mark, mark + len(records)), observed_at(5_000), parts)
    return ExportLogsServiceRequest.FromString(FRAME.around(parts, size))


def read_back(value: Any) -> Value:
    match value.WhichOneof("value"):
        case "array_value":
            return [read_back(item) for item in value.array_value.values]
        case "kvlist_value":
            return {pair.key: read_back(pair.value) for pair in value.kvlist_value.values}
        case None:
            return None
        case kind:
            return getattr(value, kind)  # type: ignore[no-any-return]


def attributes_of(record: Any) -> dict[str, Value]:
    return {pair.key: read_back(pair.value) for pair in record.attributes}


def test_every_field_is_read_back() -> None:
    request = request_of(
        LogRecord(
            b"it broke",
            time=1_700_000_000_123_456_789,
            severity=17,
            severity_text="error",
            attributes={"status": 503},
            trace_id=b"t" * 16,
            span_id=b"s" * 8,
            flags=1,
            dropped=3,
        )
    )
    (logs,) = request.resource_logs
    assert [(a.key, a.value.string_value) for a in logs.resource.attributes] == [("service.name", "å" * 100)]
    (scope,) = logs.scope_logs
    assert (scope.scope.name, scope.scope.version) == ("outrider", "1.0")
    (record,) = scope.log_records
    assert record.time_unix_nano == 1_700_000_000_123_456_789
    assert record.observed_time_unix_nano == 5_000
    assert (record.severity_number, record.severity_text) == (17, "error")
    assert record.body.string_value == "it broke"
    assert (record.trace_id, record.span_id, record.flags) == (b"t" * 16, b"s" * 8, 1)
    assert record.dropped_attributes_count == 3
    assert attributes_of(record) == {
        "status": 503,
        "log.file.name": "app.log",
        "log.record.uid": "0123456789abcdef000000000000000000000007",
    }


@pytest.mark.parametrize("size", [0, 1, 119, 120, 125, 126, 127, 128, 1020, 1023, 1024, 16381, 16384, 300_000])
def test_a_body_and_an_attribute_of_any_size_are_read_back(size: int) -> None:
    (logs,) = request_of(LogRecord(b"x" * size, attributes={"k": "y" * size, "y" * size: 1})).resource_logs
    (record,) = logs.scope_logs[0].log_records
    assert record.body.string_value == "x" * size
    assert record.time_unix_nano == 0
    assert attributes_of(record)["k"] == "y" * size
    assert attributes_of(record)["y" * size] == 1


def test_a_body_that_looks_like_protobuf_stays_a_body() -> None:
    request = request_of(LogRecord(b"\x12\x05\x0a\x03abc"), LogRecord(b"second"))
    records = request.resource_logs[0].scope_logs[0].log_records
    assert [r.body.string_value for r in records] == ["\x12\x05\n\x03abc", "second"]


def test_records_of_one_stream_differ_in_their_uid() -> None:
    records = request_of(LogRecord(b"a"), LogRecord(b"a"), mark=1 << 60).resource_logs[0].scope_logs[0].log_records
    assert [attributes_of(r)["log.record.uid"] for r in records] == [
        "0123456789abcdef000000001000000000000000",
        "0123456789abcdef000000001000000000000001",
    ]


@pytest.mark.parametrize("number", [0, 1, 119, 1023, 1024, -1, (1 << 63) - 1, -(1 << 63)])
def test_integers_stay_integers(number: int) -> None:
    (logs,) = request_of(LogRecord(b"", attributes={"n": number, "list": [number]})).resource_logs
    found = attributes_of(logs.scope_logs[0].log_records[0])
    assert (found["n"], found["list"]) == (number, [number])


def test_what_otlp_cannot_hold_becomes_text() -> None:
    deep: Value = "bottom"
    for _ in range(40):
        deep = [deep]
    (logs,) = request_of(LogRecord(b"", attributes={"n": 1 << 63, "s": "a\ud800b", "deep": deep})).resource_logs
    found = attributes_of(logs.scope_logs[0].log_records[0])
    assert (found["n"], found["s"]) == ("9223372036854775808", "a?b")
    inner: Any = found["deep"]
    for _ in range(16):
        (inner,) = inner
    assert inner == "[" * 24 + "'bottom'" + "]" * 24


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=200),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=4),
    max_leaves=10,
)


@given(st.dictionaries(st.text("keys", max_size=150), VALUES, max_size=6))
def test_attributes_of_every_kind_are_read_back(attributes: dict[str, Value]) -> None:
    (logs,) = request_of(LogRecord(b"", attributes=attributes)).resource_logs
    found = attributes_of(logs.scope_logs[0].log_records[0])
    del found["log.file.name"], found["log.record.uid"]
    assert found == attributes
    assert [type(v) for v in found.values()] == [type(v) for v in attributes.values()]


def test_a_float_that_is_no_number_stays_one() -> None:
    (logs,) = request_of(LogRecord(b"", attributes={"n": math.nan})).resource_logs
    value: Any = attributes_of(logs.scope_logs[0].log_records[0])["n"]
    assert math.isnan(value)


def test_the_mark_of_an_apis_line_fits_until_the_last_nanosecond() -> None:
    mark = (1 << 63) - 1 << ORDINAL_BITS | (1 << ORDINAL_BITS) - 1
    (logs,) = request_of(LogRecord(b"a"), LogRecord(b"b"), mark=mark - 1).resource_logs
    assert [attributes_of(record)["log.record.uid"] for record in logs.scope_logs[0].log_records] == [
        "0123456789abcdef00007ffffffffffffffffffe",
        "0123456789abcdef00007fffffffffffffffffff",
    ]


@given(
    st.lists(
        st.tuples(
            st.binary(max_size=20) | st.sampled_from([b"x" * n for n in (1000, 1023, 1024, 5000, 20000)]),
            st.integers(0, (1 << 96) - 1) | st.integers(0, (1 << 64) - 1),
        ),
        max_size=8,
    )
)
def test_bare_lines_are_packed_as_records_that_are_their_bodies(lines: list[tuple[bytes, int]]) -> None:
    packer = Packer(b"0123456789abcdef", {"log.file.name": "app.log"})
    bodies, marks = [body for body, _ in lines], [mark for _, mark in lines]
    bare: list[bytes] = []
    whole: list[bytes] = []
    size = packer.pack_bare(bodies, marks, observed_at(5_000), bare)
    assert size == packer.pack([LogRecord(body) for body in bodies], marks, observed_at(5_000), whole)
    assert b"".join(bare) == b"".join(whole)
    assert len(b"".join(bare)) == size
