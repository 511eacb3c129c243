"""What is inside a frame, read and checked as far as the frame alone tells. RFC 9113, section 6. All raise `Fault`."""

from __future__ import annotations

from struct import unpack_from

from . import http2_frames as f
from .http2_frames import Code, Fault


def unpadded(data: bytes, start: int, stop: int) -> tuple[int, int]:
    """Without the padding; it must be shorter than the frame (section 6.1)."""
    if start == stop:
        raise Fault(Code.FRAME_SIZE_ERROR, "no room for the padding's length")
    padding = data[start]
    if padding >= stop - start:
        raise Fault(Code.PROTOCOL_ERROR, "more padding than frame")
    return start + 1, stop - padding


def fragment(number: int, flags: int, data: bytes, start: int, stop: int) -> tuple[int, int]:
    """Where a HEADERS frame's part of the header block is (section 6.2)."""
    if flags & f.PADDED:
        start, stop = unpadded(data, start, stop)
    if flags & f.WITH_PRIORITY:
        if stop - start < 5:
            raise Fault(Code.FRAME_SIZE_ERROR, "HEADERS too short for its priority")
        if _depends_on(data[start:stop]) == number:
            raise Fault(Code.PROTOCOL_ERROR, "a stream that depends on itself")
        start += 5
    return start, stop


def check_priority(number: int, payload: bytes) -> None:
    """Section 6.3: priorities are without effect."""
    if not number:
        raise Fault(Code.PROTOCOL_ERROR, "PRIORITY of the connection")
    if len(payload) != 5:
        raise Fault(Code.FRAME_SIZE_ERROR, "PRIORITY", number)
    if _depends_on(payload) == number:
        raise Fault(Code.PROTOCOL_ERROR, "a stream that depends on itself", number)


def settings(flags: int, payload: bytes) -> list[tuple[int, int]]:
    """Section 6.5; none in an acknowledgement. The initial window is checked where it is used."""
    if flags & f.ACK and payload:
        raise Fault(Code.FRAME_SIZE_ERROR, "SETTINGS, acknowledged with values")
    if len(payload) % 6:
        raise Fault(Code.FRAME_SIZE_ERROR, "SETTINGS")
    pairs = []
    for at in range(0, len(payload), 6):
        key, value = unpack_from(">HI", payload, at)
        if key == f.ENABLE_PUSH and value > 1:
            raise Fault(Code.PROTOCOL_ERROR, "ENABLE_PUSH is 0 or 1")
        if key == f.MAX_FRAME_SIZE and not f.LEAST_FRAME <= value < 1 << 24:
            raise Fault(Code.PROTOCOL_ERROR, "MAX_FRAME_SIZE out of range")
        pairs.append((key, value))
    return pairs


def increment(payload: bytes) -> int:
    """Section 6.9."""
    if len(payload) != 4:
        raise Fault(Code.FRAME_SIZE_ERROR, "WINDOW_UPDATE")
    return int.from_bytes(payload, "big") & f.MAX_WINDOW


def _depends_on(priority: bytes) -> int:
    return int.from_bytes(priority[:4], "big") & 0x7FFFFFFF
