"""The rules of OTLP/HTTP, without the HTTP: paths, statuses, and the three small messages that replies carry.

https://github.com/open-telemetry/opentelemetry-proto/blob/main/docs/specification.md, "OTLP/HTTP". The messages are
encoded by hand, because they have five fields between them::

    google.rpc.Status            1: code (int32)              2: message
    Export…ServiceResponse       1: Export…PartialSuccess
    Export…PartialSuccess        1: rejected_… (int64)        2: error_message
"""

from __future__ import annotations

import msgspec

from ..model.signals import Accepted, Hold, Outcome, PartlyAccepted, Rejected, RetryLater, Signal, Split
from .protobuf import FIELD_1, FIELD_2, VARINT_1, Malformed, encode_field, encode_varint, fields

PATHS = {f"/v1/{signal}".encode(): signal for signal in Signal}
PROTOBUF = b"application/x-protobuf"
JSON = b"application/json"
REJECTED = {
    Signal.TRACES: "rejectedSpans",
    Signal.METRICS: "rejectedDataPoints",
    Signal.LOGS: "rejectedLogRecords",
}
"""What JSON calls the first field of each Export…PartialSuccess."""
HOP_HEADER = "outrider-hop"
"""How many Outriders a request has been through; absent is none."""
VIA_HEADER = "outrider-via"
"""Their names, for `loop`."""
MAX_HOPS = 4

MAX_MESSAGE = 1024
"""Characters of an error message, ours or an upstream's: the spec bounds responses, and people read lines."""
ONE_PIECE = 1 << 20
"""A body above this which gets 400 is split before it is given up: some servers answer 400 where they mean 413."""
MAX_RETRY_AFTER = 3600.0

# https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto
RPC_CODES = {
    400: 3,  # INVALID_ARGUMENT
    401: 16,  # UNAUTHENTICATED
    404: 12,  # UNIMPLEMENTED
    405: 12,
    408: 4,  # DEADLINE_EXCEEDED
    413: 8,  # RESOURCE_EXHAUSTED
    415: 3,
    429: 8,
    431: 3,
    500: 13,  # INTERNAL
    503: 14,  # UNAVAILABLE
    508: 9,  # FAILED_PRECONDITION
}


class Reply(msgspec.Struct, frozen=True):
    """The answer to one export request. `body` is protobuf of the kind that `status` asks for; `retry_after` seconds."""

    status: int
    body: bytes = b""
    retry_after: int | None = None


OK = Reply(200)


def refusal(status: int, message: str, retry_after: int | None = None) -> Reply:
    """A 4xx or 5xx with its `google.rpc.Status`."""
    return Reply(status, encode_status(RPC_CODES[status], message), retry_after)


def encode_status(code: int, message: str) -> bytes:
    return b"\x08" + encode_varint(code) + encode_field(FIELD_2, message[:MAX_MESSAGE].encode())


def decode_status(body: bytes) -> tuple[int, str]:
    """Code and message; zero and nothing for what is not a Status."""
    code, message = 0, b""
    try:
        for tag, number, payload in fields(body):
            if tag == VARINT_1:
                code = number
            elif tag == FIELD_2:
                message = payload
    except Malformed:
        return 0, ""
    return code, text_of(message)


def reply_as_json(reply: Reply, signal: Signal) -> bytes:
    """The same body in the JSON encoding, for a request that came in JSON."""
    if reply.status >= 400:
        code, message = decode_status(reply.body)
        return msgspec.json.encode({"code": code, "message": message})
    rejected, message = decode_partial_success(reply.body)
    partial: dict[str, str] = {}
    if rejected:
        partial[REJECTED[signal]] = str(rejected)
    if message:
        partial["errorMessage"] = message
    return msgspec.json.encode({"partialSuccess": partial} if partial else {})


def encode_partial_success(rejected: int, message: str) -> bytes:
    """An export response; empty when nothing was rejected and nothing is to be said."""
    inner = b"\x08" + encode_varint(rejected) if rejected else b""
    if message:
        inner += encode_field(FIELD_2, message[:MAX_MESSAGE].encode())
    return encode_field(FIELD_1, inner) if inner else b""


def decode_partial_success(body: bytes) -> tuple[int, str]:
    """Rejected items and the message of an export response. A body that is none rejects nothing: the status was 2xx."""
    rejected, message = 0, b""
    try:
        for tag, _, partial in fields(body):
            if tag == FIELD_1:
                for inner, number, payload in fields(partial):
                    if inner == VARINT_1:
                        rejected = number
                    elif inner == FIELD_2:
                        message = payload
    except Malformed:
        return 0, ""
    return (rejected if rejected < 1 << 63 else 0), text_of(message)


def text_of(body: bytes) -> str:
    """One line for a person, from what may be anything."""
    line = " ".join(body[: 4 * MAX_MESSAGE].decode(errors="replace").split())
    return "".join(c for c in line if c.isprintable())[:MAX_MESSAGE]


def retry_after(value: str, now: float) -> float | None:
    """Seconds from now, of a `Retry-After` header: a number of seconds or any of HTTP's three forms of a date."""
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), MAX_RETRY_AFTER)
    from email.utils import mktime_tz, parsedate_tz  # rarely needed, and not small

    try:
        parsed = parsedate_tz(text)
        return None if parsed is None else min(max(0.0, mktime_tz(parsed) - now), MAX_RETRY_AFTER)
    except (ValueError, OverflowError, IndexError):  # a date that is none
        return None


def outcome(status: int, body: bytes, retry_header: str | None, sent: int, now: float) -> Outcome:
    """What an upstream's response means for the `sent` bytes that it answers. `now` is unix seconds."""
    if 200 <= status < 300:
        rejected, message = decode_partial_success(body) if body else (0, "")
        return PartlyAccepted(rejected, message) if rejected or message else Accepted()
    message = decode_status(body)[1]
    why = f"HTTP {status}: {message}" if message else f"HTTP {status}"
    if status in (429, 502, 503, 504):
        return RetryLater(None if retry_header is None else retry_after(retry_header, now), why)
    if status == 508:  # handed on by everybody in the circle, so without a mark of ours
        return Hold(message or why, looped=True)
    if status in (404, 405, 501):  # no such path, or nothing that takes a POST there: each signal has a path of its own
        return Hold(why, of_signal=True)
    if status == 505:  # our own gRPC port says so, and many others'
        return Hold(f"{why}: {text_of(body)}" if body and not message else why)
    if status in (401, 403) or 300 <= status < 400:  # a redirect is a wrong address: nothing is lost by waiting
        return Hold(why)
    if status == 413 or (status == 400 and sent > ONE_PIECE):
        return Split(why)
    return Rejected(why)
