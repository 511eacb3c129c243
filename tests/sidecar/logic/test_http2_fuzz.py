"""Whatever bytes come: no exception, no end without a reason, and what is kept stays small."""

from __future__ import annotations

from struct import pack

from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.logic import http2, http2_server
from sidecar.logic.http2_stream import Answer
from tests.sidecar.logic.http2_client import PREFACE, REQUEST, SETTINGS, Server, block, frame

ANSWER = Answer(b"\x88", b"hello", b"\x00\x01a\x01b")

INDEXED = st.binary(min_size=1, max_size=12).map(lambda raw: bytes(byte | 0x80 for byte in raw))
BLOCKS = st.one_of(st.just(b"\x83\x86\x84"), st.just(block(REQUEST)), INDEXED, st.binary(max_size=60))
PAYLOADS = st.one_of(
    BLOCKS,
    st.just(b""),
    st.integers(0, (1 << 32) - 1).map(lambda n: pack(">I", n)),
    st.binary(min_size=8, max_size=8),
    st.builds(lambda k, v: pack(">HI", k, v), st.integers(0, 8), st.integers(0, (1 << 32) - 1)),
    st.integers(0, 70_000).map(bytes),
)
FRAMES = st.builds(
    frame,
    st.integers(0, 11),
    st.one_of(st.integers(0, 255), st.sampled_from([0, 1, 4, 5, 8])),
    st.one_of(st.integers(0, 9), st.integers(0, (1 << 32) - 1)),
    PAYLOADS,
)
SAID = st.lists(st.one_of(FRAMES, FRAMES, FRAMES, st.binary(max_size=30)), max_size=25).map(b"".join)


def sane(server: Server) -> None:
    connection = server.connection
    assert len(connection.streams) <= http2_server.MAX_STREAMS
    assert len(connection._rest) <= http2.MAX_FRAME + 9
    assert len(connection._block or b"") <= http2.MAX_BLOCK
    assert connection.sending.waiting.keys() <= connection.streams.keys()
    said = server.said()
    assert all(len(payload) <= 16384 for *_, payload in said)
    if connection.failed:
        assert not connection.streams


@settings(max_examples=600, deadline=None)
@given(SAID, st.integers(1, 400), st.booleans())
def test_any_frames_in_any_pieces(said: bytes, size: int, at_once: bool) -> None:
    server = Server(ANSWER if at_once else None, greeted=False)
    data = PREFACE + frame(SETTINGS) + said
    for at in range(0, len(data), size):
        server.connection.receive(data[at : at + size], 0.0)
    sane(server)
    for stream in list(server.connection.streams.values()):
        server.connection.answer(stream, ANSWER)
    sane(server)
    server.connection.drain()
    server.connection.lose()
    assert server.connection.streams == {}


@settings(max_examples=200, deadline=None)
@given(SAID, st.integers(1, 400))
def test_the_pieces_make_no_difference(said: bytes, size: int) -> None:
    whole, pieces = Server(ANSWER), Server(ANSWER)
    expected = whole.send(said)
    got = []
    for at in range(0, len(said), size):
        got += pieces.send(said[at : at + size])
    assert got == expected
    assert pieces.events == whole.events


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes(said: bytes) -> None:
    server = Server(greeted=False)
    server.send(said)
    sane(server)
