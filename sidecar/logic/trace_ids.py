"""Trace context as programs write it in their logs: hex in either case, W3C's traceparent, Google's resource name."""

from __future__ import annotations

from binascii import unhexlify

TRACE, SPAN = 16, 8
_NO_TRACE, _NO_SPAN = bytes(TRACE), bytes(SPAN)


def trace_id(value: object) -> bytes:
    """16 bytes, or none where it is no trace id. The 64-bit ids of B3 and Jaeger are filled up with zeros."""
    if type(value) is not str:
        return b""
    size = len(value)
    if size != 32:
        if value.startswith("projects/") and size <= 256:
            value = value.rpartition("/")[2]
        elif size == 16:
            value = "0" * 16 + value
        if len(value) != 32:
            return b""
    try:
        found = unhexlify(value)
    except ValueError:
        return b""
    return found if found != _NO_TRACE else b""


def span_id(value: object) -> bytes:
    """8 bytes, or none where it is no span id."""
    if type(value) is not str or len(value) != 16:
        return b""
    try:
        found = unhexlify(value)
    except ValueError:
        return b""
    return found if found != _NO_SPAN else b""


def trace_flags(value: object) -> int:
    """The W3C trace flags of a byte, two hex digits, or whether the trace is sampled; 0 where it is something else."""
    if type(value) is int:
        return value if 0 <= value <= 0xFF else 0
    if type(value) is str and len(value) == 2:
        try:
            return unhexlify(value)[0]
        except ValueError:
            return 0
    return 1 if value is True else 0


def traceparent(value: object) -> tuple[bytes, bytes, int]:
    """https://www.w3.org/TR/trace-context/: `00-<trace id>-<span id>-<flags>`."""
    if type(value) is not str or not 55 <= len(value) <= 256:
        return b"", b"", 0
    parts = value.split("-")
    trace = trace_id(parts[1]) if len(parts) >= 4 and len(parts[1]) == 32 else b""
    span = span_id(parts[2]) if trace else b""
    return (trace, span, trace_flags(parts[3])) if span else (b"", b"", 0)
