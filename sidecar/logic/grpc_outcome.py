"""What the answer to an export over gRPC means for what was sent.

Statuses by OTLP's specification.md, "OTLP/gRPC Response"; an HTTP answer without one by https://github.com/grpc/grpc/blob/
master/doc/http-grpc-status-mapping.md. RetryInfo comes in `grpc-status-details-bin`, and from some servers in
`google.rpc.retryinfo-bin`::

    google.rpc.Status      1: code     2: message     3: google.protobuf.Any, repeated
    google.protobuf.Any    1: type_url                2: value
    google.rpc.RetryInfo   1: google.protobuf.Duration
    google.protobuf.Duration   1: seconds             2: nanos

An answer from something that is no gRPC server holds everything: whatever it says, it is not about what we have sent.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

from ..model.signals import Accepted, Hold, Outcome, PartlyAccepted, Rejected, RetryLater, Split
from .grpc import PREFIX
from .gzip_body import NotGzip, TooLarge, inflate
from .http2_headers import Fields
from .otlp_http import MAX_RETRY_AFTER, ONE_PIECE, decode_partial_success, retry_after, text_of
from .protobuf import FIELD_1, FIELD_2, VARINT_1, Malformed, fields

MAX_MESSAGE = 4 << 20
"""Bytes of a response, also after decompression; the OTLP spec asks for this limit."""

_CODES = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
_RETRIED = frozenset({"CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"})
_HELD = frozenset({"UNAUTHENTICATED", "PERMISSION_DENIED"})
_NO_SERVICE = frozenset({"UNIMPLEMENTED", "NOT_FOUND"})
"""Each signal is a service of its own, and this one is not there."""
_BY_HTTP = {
    400: "INTERNAL",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "UNIMPLEMENTED",
    429: "UNAVAILABLE",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "UNAVAILABLE",
}
_SIZE = re.compile(
    r"larger than max|exceeds (the )?max|length too large|the message has \d+ bytes, more than", re.IGNORECASE
)
"""How servers say that a message is too long (grpc's C core, Go and Node; Java and .NET; tonic; we), which has no status
of its own."""
_VARINT_2 = 2 << 3
_FIELD_3 = 3 << 3 | 2


def outcome(head: Fields, trailers: Fields, body: bytes, sent: int, now: float) -> Outcome:
    """`head` has `:status`; a status without a message comes in the head. `sent` are the bytes before compression, `now`
    is unix seconds."""
    last = trailers if b"grpc-status" in trailers else head
    given = last.get(b"grpc-status")
    if given is None:
        return _http(int(head[b":status"]), head, now)
    number = int(given) if given.isdigit() and len(given) < 3 else 2
    if not number:
        return _accepted(head, body) if len(body) > PREFIX else Accepted()
    code = _CODES[number] if number < len(_CODES) else "UNKNOWN"
    message = text_of(unquote_to_bytes(last.get(b"grpc-message", b"")))
    why = f"gRPC {code}: {message}" if message else f"gRPC {code}"
    after = _retry_info(last)
    too_long = code in ("RESOURCE_EXHAUSTED", "OUT_OF_RANGE") and after is None and _SIZE.search(message)
    if too_long or (code in ("RESOURCE_EXHAUSTED", "INVALID_ARGUMENT") and after is None and sent > ONE_PIECE):
        return Split(why)
    if code in _RETRIED or (code == "RESOURCE_EXHAUSTED" and after is not None):
        return RetryLater(after, why)
    if code == "FAILED_PRECONDITION":  # what an Outrider answers over gRPC where it says 508 over HTTP
        return Hold(message or why, looped=True)
    return _refused(code, why)


def _refused(code: str, why: str) -> Outcome:
    if code in _NO_SERVICE:
        return Hold(why, of_signal=True)
    return Hold(why) if code in _HELD else Rejected(why)


def _http(status: int, head: Fields, now: float) -> Outcome:
    code = _BY_HTTP.get(status)
    if code is None:
        kind = head.get(b"content-type", b"nothing").decode("latin-1")[:80]
        return Hold(f"HTTP {status} and {kind} without grpc-status: not a gRPC server, or a proxy that drops trailers")
    why = f"HTTP {status} without grpc-status, that is {code}"
    if code in _RETRIED:
        header = head.get(b"retry-after")
        return RetryLater(None if header is None else retry_after(header.decode("latin-1"), now), why)
    return _refused(code, why)


def _accepted(head: Fields, body: bytes) -> Outcome:
    """The status is OK: whatever the message is, it arrived."""
    message = body[PREFIX:]
    if body[:1] == b"\x01":
        try:
            message = inflate(message, MAX_MESSAGE) if head.get(b"grpc-encoding") == b"gzip" else b""
        except (NotGzip, TooLarge):
            message = b""
    rejected, text = decode_partial_success(message)
    return PartlyAccepted(rejected, text) if rejected or text else Accepted()


def _retry_info(last: Fields) -> float | None:
    """Seconds to wait, where the server names them."""
    for value in last.get(b"grpc-status-details-bin", b"").split(b","):
        for detail in _parts(_unbase64(value), _FIELD_3):
            kind = next(_parts(detail, FIELD_1), b"")
            if kind.endswith(b"/google.rpc.RetryInfo"):
                return _delay(next(_parts(detail, FIELD_2), b""))
    for value in last.get(b"google.rpc.retryinfo-bin", b"").split(b","):
        if info := _unbase64(value):
            return _delay(info)
    return None


def _delay(info: bytes) -> float:
    seconds = 0.0
    for duration in _parts(info, FIELD_1):
        try:
            for tag, number, _ in fields(duration):
                if number < 1 << 63:  # else it is negative
                    seconds += number if tag == VARINT_1 else number * 1e-9 if tag == _VARINT_2 else 0
        except Malformed:
            break
    return min(seconds, MAX_RETRY_AFTER)


def _parts(message: bytes, tag: int) -> Iterator[bytes]:
    try:
        for found, _, payload in fields(message):
            if found == tag:
                yield payload
    except Malformed:
        return


def _unbase64(value: bytes) -> bytes:
    """Padded or not; nothing for what is not base64."""
    text = value.strip().rstrip(b"=")
    try:
        return b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except ValueError:
        return b""
