"""What an upstream's answer means, for each status of gRPC and for what is no gRPC at all."""

from __future__ import annotations

import gzip
from base64 import b64encode

import pytest

from sidecar.logic.grpc_outcome import outcome
from sidecar.logic.http2_headers import Fields
from sidecar.logic.otlp_http import encode_partial_success
from sidecar.logic.protobuf import FIELD_1, FIELD_2, encode_field, encode_varint
from sidecar.model.signals import Accepted, Hold, Outcome, PartlyAccepted, Rejected, RetryLater, Split

HEAD = {b":status": b"200", b"content-type": b"application/grpc"}


def of(head: Fields, trailers: Fields | None = None, body: bytes = b"", sent: int = 100) -> Outcome:
    return outcome(head, trailers or {}, body, sent, now=0.0)


def status(code: int, message: str = "", sent: int = 100, **more: bytes) -> Outcome:
    fields = {name.replace("_", "-").encode(): value for name, value in more.items()}
    return of(HEAD, {b"grpc-status": b"%d" % code, b"grpc-message": message.encode(), **fields}, b"", sent)


def framed(message: bytes, flag: bytes = b"\0") -> bytes:
    return flag + len(message).to_bytes(4, "big") + message


def test_ok_is_accepted_whatever_the_message_is() -> None:
    ok = {b"grpc-status": b"0"}
    assert of(HEAD, ok, framed(b"")) == Accepted()
    assert of(HEAD, ok, b"") == Accepted()
    assert of(HEAD, ok, framed(b"\xff\xff")) == Accepted()
    assert of(HEAD | ok) == Accepted()


def test_what_the_upstream_threw_away_is_told_also_when_it_comes_compressed() -> None:
    message = encode_partial_success(3, "too old")
    ok = {b"grpc-status": b"0"}
    assert of(HEAD, ok, framed(message)) == PartlyAccepted(3, "too old")
    packed = framed(gzip.compress(message), b"\1")
    assert of({**HEAD, b"grpc-encoding": b"gzip"}, ok, packed) == PartlyAccepted(3, "too old")
    assert of(HEAD, ok, packed) == Accepted()
    assert of({**HEAD, b"grpc-encoding": b"gzip"}, ok, framed(b"no gzip", b"\1")) == Accepted()


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (1, RetryLater(None, "gRPC CANCELLED: why")),
        (2, Rejected("gRPC UNKNOWN: why")),
        (3, Rejected("gRPC INVALID_ARGUMENT: why")),
        (4, RetryLater(None, "gRPC DEADLINE_EXCEEDED: why")),
        (5, Hold("gRPC NOT_FOUND: why", of_signal=True)),
        (6, Rejected("gRPC ALREADY_EXISTS: why")),
        (7, Hold("gRPC PERMISSION_DENIED: why")),
        (8, Rejected("gRPC RESOURCE_EXHAUSTED: why")),
        (9, Hold("why", looped=True)),
        (10, RetryLater(None, "gRPC ABORTED: why")),
        (11, RetryLater(None, "gRPC OUT_OF_RANGE: why")),
        (12, Hold("gRPC UNIMPLEMENTED: why", of_signal=True)),
        (13, Rejected("gRPC INTERNAL: why")),
        (14, RetryLater(None, "gRPC UNAVAILABLE: why")),
        (15, RetryLater(None, "gRPC DATA_LOSS: why")),
        (16, Hold("gRPC UNAUTHENTICATED: why")),
        (17, Rejected("gRPC UNKNOWN: why")),
        (12345, Rejected("gRPC UNKNOWN: why")),
    ],
)
def test_each_status_has_one_meaning(code: int, expected: Outcome) -> None:
    assert status(code, "why") == expected


def test_a_status_may_come_in_the_head_alone_and_its_message_is_unescaped() -> None:
    fields = {b"grpc-status": b"14", b"grpc-message": b"caf%C3%A9 is%0Aclosed%"}
    assert of({**HEAD, **fields}) == RetryLater(None, "gRPC UNAVAILABLE: café is closed%")
    assert of({**HEAD, b"grpc-status": b"14"}) == RetryLater(None, "gRPC UNAVAILABLE")


# RetryInfo


def duration(seconds: int, nanos: int = 0) -> bytes:
    inner = b"\x08" + encode_varint(seconds) + b"\x10" + encode_varint(nanos)
    return encode_field(FIELD_1, inner)


def details(info: bytes, kind: bytes = b"type.googleapis.com/google.rpc.RetryInfo") -> bytes:
    other = encode_field(FIELD_1, b"type.googleapis.com/google.rpc.DebugInfo") + encode_field(FIELD_2, b"\x0a\x01x")
    detail = encode_field(FIELD_1, kind) + encode_field(FIELD_2, info)
    return b64encode(b"\x08\x0e" + encode_field(3 << 3 | 2, other) + encode_field(3 << 3 | 2, detail))


@pytest.mark.parametrize("code", [8, 14])
def test_retry_info_is_honoured_in_either_header_padded_or_not(code: int) -> None:
    name = "RESOURCE_EXHAUSTED" if code == 8 else "UNAVAILABLE"
    info = duration(3, 500_000_000)
    for value in (details(info), details(info).rstrip(b"=")):
        assert status(code, grpc_status_details_bin=value) == RetryLater(3.5, f"gRPC {name}")
    fields = {b"grpc-status": b"%d" % code, b"google.rpc.retryinfo-bin": b64encode(duration(2)).rstrip(b"=")}
    assert of(HEAD, fields) == RetryLater(2.0, f"gRPC {name}")


def test_retry_info_of_nothing_means_at_once_and_none_means_our_own_time() -> None:
    assert status(14, grpc_status_details_bin=details(duration(0))) == RetryLater(0.0, "gRPC UNAVAILABLE")
    assert status(14, grpc_status_details_bin=details(duration(1), b"x/google.rpc.Other")) == RetryLater(
        None, "gRPC UNAVAILABLE"
    )
    assert status(14, grpc_status_details_bin=b"!not base64!") == RetryLater(None, "gRPC UNAVAILABLE")
    assert status(14, grpc_status_details_bin=b64encode(b"\x1a\x7f")) == RetryLater(None, "gRPC UNAVAILABLE")


def test_an_absurd_or_negative_time_is_cut() -> None:
    long = encode_field(FIELD_1, b"\x08\xff\xff\xff\xff\x7f")
    assert status(14, grpc_status_details_bin=details(long)) == RetryLater(3600.0, "gRPC UNAVAILABLE")
    negative = encode_field(FIELD_1, b"\x08" + b"\xff" * 9 + b"\x01")
    assert status(14, grpc_status_details_bin=details(negative)) == RetryLater(0.0, "gRPC UNAVAILABLE")


# Too large


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (8, "grpc: received message larger than max (5000000 vs. 4194304)"),
        (8, "grpc: received message after decompression larger than max (5000000 vs. 4194304)"),
        (8, "Received message larger than max (5000000 vs. 4194304)"),
        (8, "gRPC message exceeds maximum size 4194304: 5000000"),
        (8, "Received message exceeds the maximum configured message size."),
        (11, "Error, decoded message length too large: found 5000000 bytes, the limit is: 4194304 bytes"),
        (8, "the message has 5000000 bytes, more than 4MiB"),
    ],
    ids=["go", "go after decompression", "core", "java", "net", "tonic", "ours"],
)
def test_a_message_that_is_too_long_is_split_in_every_servers_words(code: int, message: str) -> None:
    assert isinstance(status(code, message), Split)


def test_a_large_message_that_is_refused_for_itself_is_split_before_it_is_given_up() -> None:
    assert status(3, "no", sent=(1 << 20) + 1) == Split("gRPC INVALID_ARGUMENT: no")
    assert status(8, "no", sent=(1 << 20) + 1) == Split("gRPC RESOURCE_EXHAUSTED: no")
    assert status(3, "no", sent=1 << 20) == Rejected("gRPC INVALID_ARGUMENT: no")


# Not gRPC


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (400, Rejected("HTTP 400 without grpc-status, that is INTERNAL")),
        (401, Hold("HTTP 401 without grpc-status, that is UNAUTHENTICATED")),
        (403, Hold("HTTP 403 without grpc-status, that is PERMISSION_DENIED")),
        (404, Hold("HTTP 404 without grpc-status, that is UNIMPLEMENTED", of_signal=True)),
        (429, RetryLater(None, "HTTP 429 without grpc-status, that is UNAVAILABLE")),
        (502, RetryLater(None, "HTTP 502 without grpc-status, that is UNAVAILABLE")),
        (503, RetryLater(None, "HTTP 503 without grpc-status, that is UNAVAILABLE")),
        (504, RetryLater(None, "HTTP 504 without grpc-status, that is UNAVAILABLE")),
    ],
)
def test_an_http_status_stands_for_one_of_grpc(code: int, expected: Outcome) -> None:
    assert of({b":status": b"%d" % code}) == expected


def test_a_proxy_may_say_when_to_come_back() -> None:
    assert of({b":status": b"503", b"retry-after": b"7"}) == RetryLater(
        7.0, "HTTP 503 without grpc-status, that is UNAVAILABLE"
    )


@pytest.mark.parametrize(("code", "kind"), [(200, b"text/html"), (302, b"text/html"), (200, b"application/grpc")])
def test_what_is_no_grpc_server_gets_nothing_until_somebody_looks(code: int, kind: bytes) -> None:
    assert of({b":status": b"%d" % code, b"content-type": kind}) == Hold(
        f"HTTP {code} and {kind.decode()} without grpc-status: not a gRPC server, or a proxy that drops trailers"
    )
