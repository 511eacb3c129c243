"""The wire walk agrees with upb, protobuf's own decoder."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from sidecar.logic.otlp_wire import Splicer, TooMany, check_start, count
from sidecar.logic.protobuf import Malformed
from sidecar.model.signals import Signal

MESSAGES: dict[Signal, Any] = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
}
ADDED = {"service.name": "shop", "host.name": "h1", "": "no key", "note": "x" * 200}
KINDS = ["gauge", "sum", "histogram", "exponential_histogram", "summary"]

keys = st.sampled_from(["service.name", "host.name", "k8s.pod.name", "é", ""])
words = st.text(max_size=300)
attributes = st.lists(st.tuples(keys, words), max_size=4)
sizes = st.lists(st.integers(0, 3), max_size=3)
envelopes = st.lists(st.tuples(st.none() | attributes, sizes, words), max_size=3)


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def field(number: int, payload: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def build(signal: Signal, parts: list[tuple[list[tuple[str, str]] | None, list[int], str]]) -> Any:
    request = MESSAGES[signal]()
    for resource, counts, word in parts:
        if signal is Signal.TRACES:
            outer = request.resource_spans.add()
        elif signal is Signal.METRICS:
            outer = request.resource_metrics.add()
        else:
            outer = request.resource_logs.add()
        outer.schema_url = word
        if resource is not None:
            outer.resource.SetInParent()
            outer.resource.dropped_attributes_count = len(word)
            for key, value in resource:
                outer.resource.attributes.add(key=key).value.string_value = value
        for items in counts:
            if signal is Signal.TRACES:
                scope = outer.scope_spans.add()
                for _ in range(items):
                    scope.spans.add(name=word, trace_id=b"t" * 16, kind=2)
            elif signal is Signal.LOGS:
                scope = outer.scope_logs.add()
                for _ in range(items):
                    scope.log_records.add(severity_text=word).body.string_value = word
            else:
                scope = outer.scope_metrics.add()
                for kind in KINDS[: items + 2]:
                    metric = scope.metrics.add(name=word, unit="s")
                    for _ in range(items):
                        getattr(metric, kind).data_points.add(time_unix_nano=7)
            scope.scope.name = word
    return request


def items_of(signal: Signal, request: Any) -> int:
    if signal is Signal.TRACES:
        return sum(len(s.spans) for r in request.resource_spans for s in r.scope_spans)
    if signal is Signal.LOGS:
        return sum(len(s.log_records) for r in request.resource_logs for s in r.scope_logs)
    total = 0
    for resource in request.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                kind = metric.WhichOneof("data")
                total += len(getattr(metric, kind).data_points) if kind else 0
    return total


def spliced_by_decoding(signal: Signal, body: bytes) -> Any:
    """What splicing must amount to, by way of the generated classes."""
    request = MESSAGES[signal].FromString(body)
    for outer in getattr(request, f"resource_{'spans' if signal is Signal.TRACES else signal.value}"):
        outer.resource.SetInParent()
        there = {attribute.key for attribute in outer.resource.attributes}
        for key, value in ADDED.items():
            if key not in there:
                outer.resource.attributes.add(key=key).value.string_value = value
    return request


@given(st.sampled_from(Signal), envelopes)
@settings(deadline=None)
def test_items_are_counted_as_a_full_decode_counts_them(signal: Signal, parts: Any) -> None:
    request = build(signal, parts)
    assert count(signal, request.SerializeToString()) == items_of(signal, request)


@given(st.sampled_from(Signal), envelopes)
@settings(deadline=None)
def test_splicing_adds_the_missing_attributes_to_each_resource_and_changes_nothing_else(
    signal: Signal, parts: Any
) -> None:
    body = build(signal, parts).SerializeToString()
    assert MESSAGES[signal].FromString(Splicer(ADDED).read(signal, body)[1]) == spliced_by_decoding(signal, body)


@given(st.sampled_from(Signal), envelopes, st.data())
@settings(deadline=None, max_examples=400)
def test_whatever_the_decoder_accepts_is_accepted_and_nothing_crashes_the_walk(
    signal: Signal, parts: Any, data: st.DataObject
) -> None:
    body = bytearray(build(signal, parts).SerializeToString())
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(body)))
        cut = data.draw(st.integers(0, 3))
        body[at : at + cut] = data.draw(st.binary(max_size=4))
    mutated = bytes(body)
    try:
        request = MESSAGES[signal].FromString(mutated)
    except DecodeError:
        request = None
    try:
        counted, spliced = Splicer(ADDED).read(signal, mutated)
    except Malformed:
        assert request is None
        return
    if request is not None:
        assert counted == count(signal, mutated) == items_of(signal, request)
        assert MESSAGES[signal].FromString(spliced) == spliced_by_decoding(signal, mutated)


@given(st.sampled_from(Signal), st.binary(max_size=60))
@settings(max_examples=400)
def test_random_bytes_are_accepted_where_the_decoder_accepts_them(signal: Signal, body: bytes) -> None:
    try:
        request = MESSAGES[signal].FromString(body)
    except DecodeError:
        request = None
    try:
        counted = count(signal, body)
    except Malformed:
        assert request is None
    else:
        assert request is None or counted == items_of(signal, request)


def test_a_resource_in_two_pieces_becomes_one_and_both_guard_their_keys() -> None:
    one = build(Signal.TRACES, [([("service.name", "mine")], [], "")]).resource_spans[0].resource
    two = build(Signal.TRACES, [([("host.name", "theirs")], [], "")]).resource_spans[0].resource
    body = field(1, field(1, one.SerializeToString()) + field(2, b"") + field(1, two.SerializeToString()))
    spliced = Splicer({"service.name": "no", "host.name": "no", "pod": "p"}).read(Signal.TRACES, body)[1]
    (outer,) = ExportTraceServiceRequest.FromString(spliced).resource_spans
    assert [(a.key, a.value.string_value) for a in outer.resource.attributes] == [
        ("service.name", "mine"),
        ("host.name", "theirs"),
        ("pod", "p"),
    ]
    blob = outer.resource.SerializeToString()
    assert spliced == field(1, field(1, blob) + field(2, b""))


def test_a_resource_is_inserted_where_there_is_none() -> None:
    body = field(1, field(2, field(2, b"")))
    assert Splicer({"a": "b"}).read(Signal.TRACES, body) == (
        1,
        field(1, field(1, field(1, field(1, b"a") + field(2, field(1, b"b")))) + field(2, field(2, b""))),
    )


def test_a_key_that_is_there_without_a_value_stays_without() -> None:
    body = field(1, field(1, field(1, field(1, b"a"))))
    assert Splicer({"a": "b"}).read(Signal.TRACES, body) == (0, body)


def test_no_attributes_to_add_means_the_same_bytes() -> None:
    body = build(Signal.LOGS, [(None, [2], "x")]).SerializeToString()
    assert Splicer({}).read(Signal.LOGS, body)[1] is body


def test_a_metric_with_two_kinds_counts_the_last_and_one_kind_twice_is_merged() -> None:
    point = field(1, b"")
    metric = field(5, point * 3) + field(7, point) + field(7, point)
    body = field(1, field(2, field(2, metric)))
    assert count(Signal.METRICS, body) == 2
    assert items_of(Signal.METRICS, ExportMetricsServiceRequest.FromString(body)) == 2


@pytest.mark.parametrize(
    ("body", "offset", "what"),
    [
        (b"\x0a", 1, "the message ends inside a field"),
        (b"\x0a\x05\x12\x03", 4, "the message ends inside a field"),
        (b"\x0a\x02\x12\x03\x12\x01A", 4, "a field reaches over the end of the message around it"),
        (b"\x0a\x7f\x12\x01", 4, "the message ends inside a field"),
        (b"\x0a" + b"\x80" * 10 + b"\x01", 1, "a number longer than 10 bytes"),
        (b"\x00\x00", 0, "an impossible field number"),
        (b"\x0f", 0, "wire type 7 out of place"),
        (b"\x0c", 0, "wire type 4 out of place"),
        (b"\x13" * 200, 100, "wire type 3 out of place"),
    ],
)
def test_bad_framing_is_named_with_its_offset(body: bytes, offset: int, what: str) -> None:
    with pytest.raises(Malformed) as caught:
        count(Signal.TRACES, body)
    assert (caught.value.offset, caught.value.what) == (offset, what)
    with pytest.raises(DecodeError):
        ExportTraceServiceRequest.FromString(body)


def test_the_cache_of_spliced_resources_is_bounded() -> None:
    splicer = Splicer({"a": "b"})
    for number in range(200):
        splicer.read(Signal.TRACES, field(1, field(1, field(1, field(1, b"%d" % number)))))
        assert 1 <= len(splicer._cache) <= 64
    before = len(splicer._cache)
    splicer.read(Signal.TRACES, field(1, field(1, field(1, field(1, b"k" * 9000)))))
    assert len(splicer._cache) == before


def test_a_body_that_is_arriving_shows_by_its_outermost_fields_how_long_it_will_be_and_what_is_garbage() -> None:
    good = field(1, b"x" * 1000)
    at = check_start(good[:500], 0)
    assert at == len(good)
    at = check_start(good * 2 + b"\x0a", at)
    assert at == 2 * len(good)
    with pytest.raises(Malformed, match="an impossible field number at byte 2006"):
        check_start(good * 2 + b"\0" * 20, at)


def test_the_start_of_every_message_passes_however_it_is_cut() -> None:
    body = build(Signal.TRACES, [([("a", "b" * 200)], [2, 3], "word" * 50)] * 5).SerializeToString()
    for step in (1, 7, 100, 1000):
        at = 0
        for end in range(0, len(body) + step, step):
            at = check_start(body[:end], at)
        assert at <= len(body)


def test_the_memory_that_completing_resources_takes_is_bounded() -> None:
    splicer = Splicer({"a": "b"})
    assert splicer.read(Signal.TRACES, b"\x0a\x00" * 60_000)[0] == 0
    with pytest.raises(TooMany):
        splicer.read(Signal.TRACES, b"\x0a\x00" * 70_000)
    full = field(1, field(1, field(1, field(1, b"a"))))
    assert splicer.read(Signal.TRACES, full * 100_000) == (0, full * 100_000)


def test_a_resource_behind_its_scopes_stays_there() -> None:
    added = field(1, field(1, b"a") + field(2, field(1, b"b")))
    scope = field(2, field(2, b""))
    body = field(9, b"x") + field(1, scope + field(1, b"") + scope) + field(1, scope) + field(9, b"y")
    assert Splicer({"a": "b"}).read(Signal.LOGS, body) == (
        3,
        field(9, b"x") + field(1, scope + field(1, added) + scope) + field(1, field(1, added) + scope) + field(9, b"y"),
    )


@pytest.mark.parametrize("length", [b"\x81\x00", b"\x81\x80\x00", b"\x81" + b"\x80" * 8 + b"\x00"])
def test_items_of_lengths_written_with_more_bytes_than_needed_are_items(length: bytes) -> None:
    span = b"\x12" + length + b"\x00"
    body = field(1, field(2, b"\x12\x00" + span * 2 + field(1, b"") + span))
    with pytest.raises(DecodeError):  # inside a span upb does look
        ExportTraceServiceRequest.FromString(body)
    assert count(Signal.TRACES, body) == 4


@given(st.lists(st.integers(0, 40_000), max_size=6))
def test_items_of_any_length_are_counted(lengths: list[int]) -> None:
    body = field(1, field(2, b"".join(field(2, bytes(length)) for length in lengths)))
    assert count(Signal.LOGS, body) == len(lengths)
