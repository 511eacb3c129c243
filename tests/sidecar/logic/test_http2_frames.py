"""Frames as bytes."""

from __future__ import annotations

from sidecar.logic import http2_frames as f
from sidecar.logic.http2_frames import Code


def test_frames_are_the_bytes_of_the_rfc() -> None:
    assert f.frame(f.PING, f.ACK, 0, b"12345678") == b"\0\0\x08\x06\x01\0\0\0\0" + b"12345678"
    assert f.start(0x010203, f.HEADERS, 5) == b"\x01\x02\x03\x01\x05"
    assert f.settings({f.MAX_CONCURRENT_STREAMS: 256}) == b"\0\0\x06\x04\0\0\0\0\0" + b"\0\x03\0\0\x01\0"
    assert f.window_update(5, 1000) == b"\0\0\x04\x08\0\0\0\0\x05" + b"\0\0\x03\xe8"
    assert f.rst_stream(7, Code.CANCEL) == b"\0\0\x04\x03\0\0\0\0\x07" + b"\0\0\0\x08"
    assert f.goaway(9, Code.NO_ERROR, "x") == b"\0\0\x09\x07\0\0\0\0\0" + b"\0\0\0\x09\0\0\0\0x"
