"""gRPC's rules: what a call asks for, and answers as clients read them."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from sidecar.logic import grpc
from sidecar.logic.http2_headers import Fields
from sidecar.logic.http2_stream import Answer
from sidecar.logic.otlp_http import OK, Reply, encode_partial_success, refusal
from sidecar.model.signals import Signal
from tests.sidecar.logic.http2_client import fields_of

TRACES = b"/opentelemetry.proto.collector.trace.v1.TraceService/Export"
METRICS = b"/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
LOGS = b"/opentelemetry.proto.collector.logs.v1.LogsService/Export"


def headers(path: bytes = TRACES, **more: str) -> Fields:
    given: Fields = {b":method": b"POST", b":scheme": b"http", b":path": path, b"content-type": b"application/grpc"}
    return given | {name.replace("_", "-").encode(): value.encode() for name, value in more.items()}


def said(answer: Any) -> dict[str, str]:
    """The fields of an answer without a body."""
    assert isinstance(answer, Answer)
    assert (answer.body, answer.trailers) == (b"", None)
    return fields_of(answer.head[1])


@pytest.mark.parametrize(("path", "signal"), [(TRACES, Signal.TRACES), (METRICS, Signal.METRICS), (LOGS, Signal.LOGS)])
def test_each_signal_has_its_method(path: bytes, signal: Signal) -> None:
    assert grpc.call(headers(path)) == grpc.Call("export", signal)


def test_a_call_names_its_compression_deadline_and_hops() -> None:
    given = headers(grpc_encoding="gzip", outrider_hop="2", content_length="7")
    assert grpc.within(grpc.call(given), b"1500m") == grpc.Call("export", Signal.TRACES, True, 1.5, 2, 7)
    assert not grpc.call(headers(grpc_encoding="identity")).gzip


@pytest.mark.parametrize("kind", ["application/grpc+proto", "application/grpc; charset=x", "Application/gRPC"])
def test_content_types_of_protobuf_are_grpc(kind: str) -> None:
    assert grpc.call(headers(content_type=kind)).kind == "export"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"1H", 3600.0),
        (b"2M", 120.0),
        (b"10S", 10.0),
        (b"250m", 0.25),
        (b"99999999u", 99.999999),
        (b"5n", 5e-9),
        (b"123456789S", None),
        (b"S", None),
        (b"", None),
        (b"1s", None),
        (b"-1S", None),
        (b"1.5S", None),
    ],
)
def test_a_timeout_is_eight_digits_and_a_unit(value: bytes, seconds: float | None) -> None:
    got = grpc.timeout(value)
    assert got == (None if seconds is None else pytest.approx(seconds))


def test_a_method_that_is_none_is_unimplemented() -> None:
    for path in (b"/", b"/v1/traces", TRACES.replace(b"Export", b"Import"), b"/grpc.health.v1.Health/Watch"):
        call = grpc.call(headers(path))
        assert call.kind == "refused"
        assert said(call.refusal)["grpc-status"] == "12"


def test_an_encoding_that_is_unknown_is_unimplemented_and_the_known_are_named() -> None:
    fields = said(grpc.call(headers(grpc_encoding="zstd")).refusal)
    assert fields["grpc-status"] == "12"
    assert fields["grpc-accept-encoding"] == "identity,gzip"
    assert fields["grpc-message"] == "the encoding is zstd, expected gzip or identity"


def test_a_bad_timeout_is_an_invalid_argument_and_a_loop_is_a_failed_precondition() -> None:
    soon = grpc.within(grpc.call(headers()), b"soon")
    assert soon.refusal == refusal(400, "grpc-timeout is not a number and a unit")
    elsewhere = grpc.call(headers(b"/"))
    assert grpc.within(elsewhere, b"soon") is elsewhere
    assert grpc.call(headers(outrider_via="a~1 b~2")).via == "a~1 b~2"
    looped = grpc.call(headers(outrider_hop="5")).refusal
    assert isinstance(looped, Reply)
    assert looped.status == 508
    assert said(grpc.answer(looped))["grpc-status"] == "9"


@pytest.mark.parametrize(
    ("more", "status"),
    [({"content_type": "application/json"}, "415"), ({"content_type": "application/grpc-web"}, "415")],
)
def test_what_is_not_grpc_hears_so_in_http(more: dict[str, str], status: str) -> None:
    call = grpc.call(headers(TRACES, **more))
    assert call.kind == "foreign"
    assert isinstance(call.refusal, Answer)
    assert fields_of(call.refusal.head[1])[":status"] == status
    assert call.refusal.body == b"this port speaks gRPC; OTLP/HTTP is on 4318\n"
    get = grpc.call(headers() | {b":method": b"GET"}).refusal
    assert isinstance(get, Answer)
    assert (fields_of(get.head[1])[":status"], fields_of(get.head[1])["allow"]) == ("405", "POST")


def test_ok_is_an_empty_response_and_trailers() -> None:
    answer = grpc.answer(OK)
    assert fields_of(answer.head[1]) == {":status": "200", "content-type": "application/grpc"}
    assert answer.body == b"\0\0\0\0\0"
    assert answer.trailers is not None
    assert fields_of(answer.trailers[1]) == {"grpc-status": "0"}


def test_a_partial_success_is_a_response() -> None:
    partial = encode_partial_success(3, "three are too old")
    assert grpc.answer(Reply(200, partial)).body == b"\0" + len(partial).to_bytes(4, "big") + partial


@pytest.mark.parametrize(
    ("reply", "code", "retry"),
    [
        (refusal(400, "why"), "3", None),
        (refusal(404, "why"), "12", None),
        (refusal(408, "why"), "4", None),
        (refusal(413, "why"), "8", None),
        (refusal(429, "why", 7), "8", 7),
        (refusal(429, "why"), "8", 1),
        (refusal(500, "why"), "13", None),
        (refusal(503, "why", 2), "14", 2),
        (refusal(503, "why"), "14", None),
        (refusal(508, "why"), "9", None),
    ],
)
def test_each_refusal_has_its_status_and_says_when_to_try_again(reply: Reply, code: str, retry: int | None) -> None:
    fields = said(grpc.answer(reply))
    assert (fields[":status"], fields["content-type"]) == ("200", "application/grpc")
    assert (fields["grpc-status"], fields["grpc-message"]) == (code, "why")
    if retry is None:
        assert not {"grpc-status-details-bin", "google.rpc.retryinfo-bin"} & fields.keys()
        return
    info = RetryInfo.FromString(unpadded(fields["google.rpc.retryinfo-bin"]))
    assert (info.retry_delay.seconds, info.retry_delay.nanos) == (retry, 0)
    status = Status.FromString(unpadded(fields["grpc-status-details-bin"]))
    assert (status.code, status.message) == (int(code), "why")
    (detail,) = status.details
    unpacked = RetryInfo()
    assert detail.Unpack(unpacked)
    assert unpacked == info


def unpadded(value: str) -> bytes:
    assert "=" not in value
    return base64.b64decode(value + "=" * (-len(value) % 4))


def test_a_message_is_percent_encoded_and_short() -> None:
    assert grpc.percent_encoded("50% é\n~".encode()) == b"50%25 %C3%A9%0A~"
    fields = said(grpc.answer(refusal(400, "é" * 1000)))
    assert fields["grpc-message"] == "%C3%A9" * 256
    size = sum(len(name) + len(value) + 32 for name, value in said(grpc.answer(refusal(503, "é" * 1000, 1))).items())
    assert size < 8192, "what clients accept"


@pytest.mark.parametrize(
    "service",
    [
        b"",
        b"opentelemetry.proto.collector.trace.v1.TraceService",
        b"opentelemetry.proto.collector.metrics.v1.MetricsService",
        b"opentelemetry.proto.collector.logs.v1.LogsService",
    ],
)
def test_the_process_and_its_services_are_serving(service: bytes) -> None:
    answer = grpc.check_health(b"\x0a" + bytes((len(service),)) + service if service else b"")
    assert answer.body == b"\0\0\0\0\x02\x08\x01"


def test_health_of_an_unknown_service_is_not_found_and_garbage_is_an_invalid_argument() -> None:
    assert said(grpc.check_health(b"\x0a\x04shop"))["grpc-status"] == "5"
    assert said(grpc.check_health(b"\x0a\x04sho"))["grpc-status"] == "3"
    assert grpc.call(headers(b"/grpc.health.v1.Health/Check")).kind == "health"


def test_http1_hears_where_it_belongs() -> None:
    assert grpc.http1_answer() == (
        b"HTTP/1.1 505 HTTP Version Not Supported\r\nContent-Type: text/plain\r\nContent-Length: 44\r\n"
        b"Connection: close\r\n\r\nthis port speaks gRPC; OTLP/HTTP is on 4318\n"
    )
