"""gRPC's rules over HTTP/2, without the HTTP/2: what a call asks for, and answers as they go onto the wire.

https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md; errors by https://github.com/googleapis/googleapis/blob/
master/google/rpc/{code,status,error_details}.proto; health by .../grpc/doc/health-checking.md. How OTLP uses them:
specification.md, "OTLP/gRPC": RESOURCE_EXHAUSTED may be tried again only with RetryInfo, UNAVAILABLE always.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Literal, TypeAlias

import msgspec

from ..model.signals import Signal
from .http2_headers import Fields, literal
from .http2_stream import Answer
from .loop import via_of
from .otlp_http import HOP_HEADER, MAX_HOPS, OK, RPC_CODES, VIA_HEADER, Reply, decode_status, encode_status, refusal
from .protobuf import FIELD_1, FIELD_2, Malformed, encode_field, encode_varint, fields

PREFIX = 5
"""Bytes before a message: is it compressed, and its length."""
HTTP_HINT = b"this port speaks gRPC; OTLP/HTTP is on 4318\n"

_HEALTH = b"/grpc.health.v1.Health/"
_SERVICES = {
    signal: f"opentelemetry.proto.collector.{package}.v1.{service}Service"
    for signal, package, service in (
        (Signal.TRACES, "trace", "Trace"),
        (Signal.METRICS, "metrics", "Metrics"),
        (Signal.LOGS, "logs", "Logs"),
    )
}
PATHS = {f"/{service}/Export".encode(): signal for signal, service in _SERVICES.items()}
_SERVING = frozenset({b"", *(service.encode() for service in _SERVICES.values())})

_INVALID_ARGUMENT, _DEADLINE_EXCEEDED, _NOT_FOUND, _RESOURCE_EXHAUSTED, _UNIMPLEMENTED, _UNAVAILABLE = (
    3,
    4,
    5,
    8,
    12,
    14,
)
_RETRYABLE = frozenset({_RESOURCE_EXHAUSTED, _UNAVAILABLE})
_UNITS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_ENCODINGS = b"identity,gzip"
_VIA = VIA_HEADER.encode()
_MESSAGE = 512
"""Bytes of a message: it is said twice, and clients take 8 KiB of headers."""
_RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"

_GRPC = literal(b"content-type", b"application/grpc")
_HEAD = b"\x88" + _GRPC  # :status 200 is the static table's eighth

Kind: TypeAlias = Literal["export", "health", "refused", "foreign"]


class Call(msgspec.Struct, frozen=True):
    """What a request's fields ask for. `refusal` is the answer already, where nothing in the body could change it.

    A `foreign` request is not gRPC: it hears that in HTTP, when it is whole.
    """

    kind: Kind
    signal: Signal = Signal.TRACES
    gzip: bool = False
    timeout: float | None = None
    hops: int = 0
    expected: int = -1
    refusal: Reply | Answer | None = None
    via: str = ""
    authorization: bytes = b""


def call(headers: Fields) -> Call:
    """By the rules of "Requests", with the status that each broken one asks for; its timeout is for `within`."""
    expected = int(headers.get(b"content-length", b"-1"))
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if headers[b":method"] != b"POST":
        return Call("foreign", expected=expected, refusal=_foreign(b"405", HTTP_HINT, (b"allow", b"POST")))
    if kind not in (b"application/grpc", b"application/grpc+proto"):
        return Call("foreign", expected=expected, refusal=_foreign(b"415", HTTP_HINT))
    path = headers[b":path"]
    signal = PATHS.get(path)
    if signal is None and path != _HEALTH + b"Check":
        why = "no such method, expected Export of the OTLP services or grpc.health.v1.Health/Check"
        return Call("refused", expected=expected, refusal=refused(_UNIMPLEMENTED, why))
    encoding = headers.get(b"grpc-encoding", b"identity")
    if encoding not in (b"identity", b"gzip"):
        why = f"the encoding is {encoding[:40].decode('latin-1')}, expected gzip or identity"
        return Call("refused", expected=expected, refusal=refused(_UNIMPLEMENTED, why, accept=True))
    gzip = encoding == b"gzip"
    if signal is None:
        return Call("health", gzip=gzip, expected=expected)
    given = headers.get(HOP_HEADER.encode(), b"0")
    hops = int(given) if given.isdigit() and len(given) < 4 else 0
    if hops > MAX_HOPS:
        why = f"this request has been through {hops} Outriders: their upstreams form a loop"
        return Call("refused", signal, expected=expected, refusal=refusal(508, why))
    via, authorization = via_of(headers.get(_VIA, b"")), headers.get(b"authorization", b"")
    return Call("export", signal, gzip, hops=hops, expected=expected, via=via, authorization=authorization)


def within(call: Call, patience: bytes) -> Call:
    """The same call with a `grpc-timeout`, which differs from request to request."""
    if call.refusal is not None:
        return call
    limit = timeout(patience)
    if limit is None:
        why = "grpc-timeout is not a number and a unit"
        return Call("refused", expected=call.expected, refusal=refusal(400, why))
    return msgspec.structs.replace(call, timeout=limit)


def timeout(value: bytes) -> float | None:
    """Seconds of a `grpc-timeout`: at most eight digits, and a unit. None where it is something else."""
    number, unit = value[:-1], _UNITS.get(value[-1:])
    return int(number) * unit if unit is not None and number.isdigit() and len(number) <= 8 else None


def check_health(message: bytes) -> Answer:
    """The answer to a HealthCheckRequest{1: service}: this process serves, or does not know the service."""
    service = b""
    try:
        for tag, _, payload in fields(message):
            if tag == FIELD_1:
                service = payload
    except Malformed as error:
        return refused(_INVALID_ARGUMENT, f"not a HealthCheckRequest: {error}")
    return HEALTHY if service in _SERVING else refused(_NOT_FOUND, "unknown service")


def answer(reply: Reply) -> Answer:
    """The same, as gRPC says it: a response, or a status without one ("Trailers-Only")."""
    if reply is OK:
        return ANSWER_OK
    if reply.status == 200:
        return response(reply.body)
    code, message = decode_status(reply.body)
    retry_after = 1 if reply.status == 429 and reply.retry_after is None else reply.retry_after
    return refused(code or RPC_CODES.get(reply.status, 2), message, retry_after)


def response(message: bytes) -> Answer:
    return Answer(_HEAD, b"\x00" + len(message).to_bytes(4, "big") + message, literal(b"grpc-status", b"0"))


def refused(code: int, message: str, retry_after: int | None = None, *, accept: bool = False) -> Answer:
    """Trailers-Only. `retry_after` seconds go with a status that may be tried again, both ways that clients read."""
    text = message.encode()[:_MESSAGE].decode(errors="ignore")
    head = _HEAD + literal(b"grpc-status", b"%d" % code) + literal(b"grpc-message", percent_encoded(text.encode()))
    if accept:
        head += literal(b"grpc-accept-encoding", _ENCODINGS)
    if retry_after is not None and code in _RETRYABLE:
        info = encode_field(FIELD_1, b"\x08" + encode_varint(retry_after))  # RetryInfo{1: Duration{1: seconds}}
        detail = encode_field(FIELD_1, _RETRY_INFO.encode()) + encode_field(FIELD_2, info)
        status = encode_status(code, text) + encode_field(3 << 3 | 2, detail)
        head += literal(b"grpc-status-details-bin", _base64(status)) + literal(
            b"google.rpc.retryinfo-bin", _base64(info)
        )
    return Answer(head)


def percent_encoded(text: bytes) -> bytes:
    """For `grpc-message`: what is not printable ASCII, and the percent sign, as %XX."""
    return b"".join(bytes((c,)) if 0x20 <= c < 0x7F and c != 0x25 else b"%%%02X" % c for c in text)


def _base64(value: bytes) -> bytes:
    return b64encode(value).rstrip(b"=")


def _foreign(status: bytes, text: bytes, *more: tuple[bytes, bytes]) -> Answer:
    """For whoever is not a gRPC client (section "Responses": such a request gets an HTTP status)."""
    pairs = [(b":status", status), (b"content-type", b"text/plain"), (b"content-length", b"%d" % len(text)), *more]
    return Answer(b"".join(literal(*pair) for pair in pairs), text)


def http1_answer() -> bytes:
    """For an HTTP/1.1 client on this port."""
    head = (
        "HTTP/1.1 505 HTTP Version Not Supported",
        "Content-Type: text/plain",
        f"Content-Length: {len(HTTP_HINT)}",
        "Connection: close",
    )
    return "\r\n".join([*head, "", ""]).encode() + HTTP_HINT


TIMEOUT = b"grpc-timeout", within
ANSWER_OK = response(b"")
HEALTHY = response(b"\x08\x01")  # HealthCheckResponse{1: SERVING}
TOO_LATE = refused(_DEADLINE_EXCEEDED, "grpc-timeout has passed")
