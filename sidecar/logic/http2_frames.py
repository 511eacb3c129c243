"""HTTP/2's numbers, and its frames as bytes. RFC 9113, sections 3.4, 4.1, 6 and 7."""

from __future__ import annotations

from enum import IntEnum
from struct import Struct, pack
from typing import TypeAlias

Piece: TypeAlias = bytes | memoryview
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME_HEADER = 9
MAX_WINDOW = (1 << 31) - 1
LEAST_FRAME = 1 << 14
"""What every receiver takes as a frame's payload (section 4.2)."""
FIRST_WINDOW = 65535
"""Every window's size until a SETTINGS or WINDOW_UPDATE frame says otherwise (section 6.9.2)."""

# Frame types (section 6).
DATA = 0
HEADERS = 1
PRIORITY = 2
RST_STREAM = 3
SETTINGS = 4
PUSH_PROMISE = 5
PING = 6
GOAWAY = 7
WINDOW_UPDATE = 8
CONTINUATION = 9

# Flags.
END_STREAM = 0x1
ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
WITH_PRIORITY = 0x20

# Settings (section 6.5.2).
HEADER_TABLE_SIZE = 1
ENABLE_PUSH = 2
MAX_CONCURRENT_STREAMS = 3
INITIAL_WINDOW_SIZE = 4
MAX_FRAME_SIZE = 5
MAX_HEADER_LIST_SIZE = 6


class Code(IntEnum):
    """Why a stream or a connection ends (section 7)."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11


class Fault(Exception):
    """The other side has broken a rule. Ends the connection (section 5.4.1), or only the stream it names (5.4.2)."""

    def __init__(self, code: Code, why: str, stream: int = 0) -> None:
        super().__init__(why)
        self.code = code
        self.stream = stream


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return start(len(payload), kind, flags) + pack(">I", stream) + payload


def start(size: int, kind: int, flags: int) -> bytes:
    """A frame's first five bytes; the stream follows, then the payload."""
    return pack(">IB", size << 8 | kind, flags)


read_start = Struct(">IBI").unpack_from
"""Of a frame's nine bytes: the payload's size << 8 | the type; flags; the stream, with a reserved bit."""


def settings(values: dict[int, int]) -> bytes:
    return frame(SETTINGS, 0, 0, b"".join(pack(">HI", *pair) for pair in values.items()))


def window_update(stream: int, increment: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, pack(">I", increment))


def rst_stream(stream: int, code: Code) -> bytes:
    return frame(RST_STREAM, 0, stream, pack(">I", code))


def goaway(last: int, code: Code, why: str = "") -> bytes:
    return frame(GOAWAY, 0, 0, pack(">II", last, code) + why.encode())
