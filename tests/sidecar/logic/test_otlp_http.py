from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from sidecar.logic.otlp_http import (
    OK,
    Reply,
    decode_partial_success,
    decode_status,
    encode_partial_success,
    encode_status,
    outcome,
    refusal,
    reply_as_json,
    retry_after,
)
from sidecar.model.signals import Accepted, Hold, Outcome, PartlyAccepted, Rejected, RetryLater, Signal, Split

NOW = 784111770.0  # Sun, 06 Nov 1994 08:49:30 GMT
SMALL, LARGE = 1000, (1 << 20) + 1


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        (" 120 ", 120.0),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 7.0),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 7.0),
        ("Sun Nov  6 08:49:37 1994", 7.0),
        ("Sun, 06 Nov 1994 08:49:00 GMT", 0.0),
        ("99999999999999999999", 3600.0),
        ("Sun, 06 Nov 2094 08:49:37 GMT", 3600.0),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("²", None),
        ("Sun, 99 Nov 99999999 08:49:37 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, seconds: float | None) -> None:
    assert retry_after(value, NOW) == seconds


@pytest.mark.parametrize(
    ("status", "sent", "meaning"),
    [
        (200, SMALL, Accepted()),
        (202, SMALL, Accepted()),
        (307, SMALL, Hold("HTTP 307")),
        (400, SMALL, Rejected("HTTP 400")),
        (400, LARGE, Split("HTTP 400")),
        (401, SMALL, Hold("HTTP 401")),
        (403, SMALL, Hold("HTTP 403")),
        (404, SMALL, Hold("HTTP 404", of_signal=True)),
        (405, SMALL, Hold("HTTP 405", of_signal=True)),
        (408, SMALL, Rejected("HTTP 408")),
        (413, SMALL, Split("HTTP 413")),
        (422, SMALL, Rejected("HTTP 422")),
        (429, SMALL, RetryLater(None, "HTTP 429")),
        (500, SMALL, Rejected("HTTP 500")),
        (501, SMALL, Hold("HTTP 501", of_signal=True)),
        (502, SMALL, RetryLater(None, "HTTP 502")),
        (503, SMALL, RetryLater(None, "HTTP 503")),
        (504, SMALL, RetryLater(None, "HTTP 504")),
        (505, SMALL, Hold("HTTP 505")),
        (508, SMALL, Hold("HTTP 508", looped=True)),
    ],
)
def test_only_the_four_statuses_of_the_spec_are_retried(status: int, sent: int, meaning: Outcome) -> None:
    assert outcome(status, b"", None, sent, NOW) == meaning


def test_an_upstreams_reason_and_wait_are_kept() -> None:
    body = encode_status(14, "disk full\n on\x07 node 3")
    assert outcome(503, body, "7", SMALL, NOW) == RetryLater(7.0, "HTTP 503: disk full on node 3")


def test_a_partial_success_is_read_as_the_generated_classes_write_it() -> None:
    response = ExportTraceServiceResponse()
    response.partial_success.rejected_spans = 300
    response.partial_success.error_message = "attribute too long"
    body = response.SerializeToString()
    assert outcome(200, body, None, SMALL, NOW) == PartlyAccepted(300, "attribute too long")
    assert encode_partial_success(300, "attribute too long") == body


def test_a_warning_without_rejected_items_is_kept_and_an_empty_partial_success_is_acceptance() -> None:
    assert outcome(200, encode_partial_success(0, "deprecated"), None, SMALL, NOW) == PartlyAccepted(0, "deprecated")
    assert outcome(200, b"\x0a\x00", None, SMALL, NOW) == Accepted()
    assert encode_partial_success(0, "") == b""


def test_the_status_message_is_cut_to_what_a_response_may_carry() -> None:
    assert refusal(413, "é" * 5000) == Reply(413, encode_status(8, "é" * 1024))
    assert decode_status(encode_status(8, "é" * 5000)) == (8, "é" * 1024)


@pytest.mark.parametrize(
    ("reply", "signal", "body"),
    [
        (refusal(400, "no"), Signal.TRACES, b'{"code":3,"message":"no"}'),
        (OK, Signal.TRACES, b"{}"),
        (
            Reply(200, encode_partial_success(3, "too old")),
            Signal.TRACES,
            b'{"partialSuccess":{"rejectedSpans":"3","errorMessage":"too old"}}',
        ),
        (
            Reply(200, encode_partial_success(1, "")),
            Signal.METRICS,
            b'{"partialSuccess":{"rejectedDataPoints":"1"}}',
        ),
        (
            Reply(200, encode_partial_success(2, "")),
            Signal.LOGS,
            b'{"partialSuccess":{"rejectedLogRecords":"2"}}',
        ),
        (
            Reply(200, encode_partial_success(0, "slow down")),
            Signal.LOGS,
            b'{"partialSuccess":{"errorMessage":"slow down"}}',
        ),
    ],
)
def test_a_reply_for_a_json_request_is_json(reply: Reply, signal: Signal, body: bytes) -> None:
    assert reply_as_json(reply, signal) == body


@given(st.binary(max_size=40))
def test_any_response_body_is_read_without_an_exception(body: bytes) -> None:
    decode_status(body)
    rejected, _ = decode_partial_success(body)
    assert 0 <= rejected < 1 << 63


def test_a_port_for_grpc_that_says_so_is_quoted() -> None:
    said = b"this port speaks gRPC; OTLP/HTTP is on 4318\n"
    assert outcome(505, said, None, 100, 0.0) == Hold("HTTP 505: this port speaks gRPC; OTLP/HTTP is on 4318")
