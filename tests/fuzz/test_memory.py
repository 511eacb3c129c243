"""Memory while hostile bytes are looked at, as Python allocates it: bounded by the bytes, whatever they say."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from struct import pack

import hpack
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.logic.gzip_body import TooLarge
from sidecar.logic.http2 import MAX_BLOCK
from sidecar.logic.http2_hpack import Decoder
from sidecar.logic.otlp_json import PIECE, transcode
from sidecar.logic.otlp_json_scalars import Wrong
from sidecar.logic.otlp_split import halve
from sidecar.logic.otlp_wire import Splicer, TooMany, count
from sidecar.logic.protobuf import Malformed
from sidecar.model.signals import Batch, Signal
from tests.sidecar.logic.http2_client import PREFACE, SETTINGS, Server, frame
from tests.sidecar.logic.test_http2_fuzz import FRAMES
from tests.sidecar.logic.test_otlp_wire import ADDED, field

KIB = 1 << 10
SMALL = 32 * KIB
LIMIT = 1 << 20

PIECES = st.sampled_from(
    [
        b"",
        b"\x00",
        b"\x0a\x00",
        b"\x12\x00",
        b"\x12\x7f",
        b"\x13\x14",
        b"\x13",
        b"\x0a\x80\x80\x80\x80\x00",
        field(1, field(1, b"")),
        field(1, field(1, field(1, b"k"))),
        field(2, field(2, b"")),
        field(2, field(2, field(5, field(1, b"")))),
        field(2, field(2, field(5, b"") + field(7, b""))),
    ]
)
BODIES = st.builds(
    lambda levels, piece, number, tail: wrapped(levels, piece * number) + tail,
    st.lists(st.sampled_from([1, 1, 2, 2, 5]), max_size=5),
    PIECES | st.binary(max_size=8),
    st.integers(0, 30_000),
    st.binary(max_size=4),
)
ELEMENTS = [
    b"{}",
    b"[]",
    b"7",
    b"null",
    b'""',
    b'{"name":"x"}',
    b'{"name":"' + b"x" * 200 + b'"}',
    b'{"x":' + b"[" * 40 + b"]" * 40 + b"}",
    b'{"attributes":[' + b",".join([b"{}"] * 50) + b"]}",
    b'{"events":[{}],"links":[{}],"kind":2}',
    b'{"key":"","value":{"arrayValue":{"values":[{},{},{}]}}}',
    b'"\\ud83d\\ude00"',
]
AROUND = [
    (b"[", b"]"),
    (b'{"resourceSpans":[', b"]}"),
    (b'{"resourceSpans":[{"scopeSpans":[{"spans":[', b"]}]}]}"),
    (b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"attributes":[', b"]}]}]}]}"),
    (b'{"resourceSpans":[{"x":[', b"]}]}"),
    (b'{"resourceSpans":[{"resource":{"attributes":[{"key":"k","value":{"arrayValue":{"values":[', b"]}}}]}}]}"),
]
JSON = st.builds(
    lambda around, element, number, tail: around[0] + b",".join([element] * number) + tail + around[1],
    st.sampled_from(AROUND),
    st.sampled_from(ELEMENTS),
    st.sampled_from([1, 100, 1000, 10_000]),
    st.sampled_from([b"", b"", b"", b",", b"{", b"]", b'"', b',{"name":1}']),
)


def wrapped(levels: list[int], body: bytes) -> bytes:
    for level in levels:
        body = field(level, body)
    return body


def peak(work: Callable[[], object]) -> int:
    """The most bytes that were held at once beyond those held before."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        work()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def within(most: int, work: Callable[[], object]) -> bool:
    """Does it ever hold more? Looked at again where it seems to, because a table of the interpreter may have grown meanwhile."""
    return any(peak(work) <= most for _ in range(3))


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(Signal), BODIES)
def test_counting_holds_nothing(signal: Signal, body: bytes) -> None:
    def work() -> None:
        try:
            count(signal, body)
        except Malformed:
            pass

    assert within(SMALL, work)


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(Signal), BODIES)
def test_splicing_holds_the_result_twice_and_what_is_added_is_bounded(signal: Signal, body: bytes) -> None:
    splicer = Splicer(ADDED)
    splicer.ADDED = 64 * KIB  # its default would be reached by bodies that are too slow to make
    results: list[bytes] = []

    def work() -> None:
        try:
            results.append(splicer.read(signal, body)[1])
        except (Malformed, TooMany):
            pass

    assert within(3 * (len(body) + splicer.ADDED) + SMALL, work)
    assert all(len(result) <= len(body) + splicer.ADDED for result in results)


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(Signal), BODIES)
def test_halving_holds_the_halves_twice(signal: Signal, body: bytes) -> None:
    try:
        items = count(signal, body)
    except Malformed:
        return
    assert within(4 * len(body) + SMALL, lambda: halve(Batch(signal, body, items)))


@settings(deadline=None, max_examples=25)
@given(JSON)
def test_json_holds_the_text_the_result_twice_and_one_piece_decoded(body: bytes) -> None:
    def work() -> None:
        try:
            transcode(Signal.TRACES, body, LIMIT)
        except (Wrong, TooLarge):
            pass

    work()  # the tables are made at the first use
    assert within(4 * len(body) + 48 * PIECE, work)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(FRAMES, st.sampled_from([1, 1, 50, 500])), max_size=5))
def test_frames_leave_no_more_than_the_windows_allow(parts: list[tuple[bytes, int]]) -> None:
    """Of what a connection keeps: the bodies of its streams within their windows, one header block, one piece of a frame."""
    said = b"".join(one * number for one, number in parts)[: 2 << 20]
    server = Server(greeted=False)

    def work() -> None:
        for at in range(0, len(said), 16 * KIB):
            server.connection.receive(said[at : at + 16 * KIB], 0.0)
            server.connection.output.clear()

    server.connection.receive(PREFACE + frame(SETTINGS), 0.0)
    assert within((1 << 20) + 256 * 4 * KIB + 256 * KIB, work)


LARGE = b"\x40\x01a\x7f\xe1\x1e" + b"v" * 4064
"""A field that takes all of the table."""
CODES = st.sampled_from(
    [b"\xbe", b"\x82", b"\x00\x01a\x01b", b"\x40\x01a\x01b", b"\x20", LARGE, b"\x00\x01a\xff\x80\x80\x04"]
)


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(CODES | st.binary(max_size=12), st.integers(1, 400)), max_size=4))
def test_a_header_block_becomes_no_more_than_the_list_that_was_offered(parts: list[tuple[bytes, int]]) -> None:
    """Each time it comes: an index of one byte may stand for the whole table."""
    block = b"".join(piece * number for piece, number in parts)[:MAX_BLOCK]
    decoder = Decoder()
    decoder.decode(LARGE)

    def work() -> None:
        for _ in range(3):
            try:
                decoder.decode(block)
            except hpack.HPACKError:
                pass

    assert within(64 * KIB, work)


def test_a_resource_of_many_different_keys_is_held_once_more_and_none_of_its_keys() -> None:
    body = field(1, field(1, b"".join(field(1, field(1, b"%x" % number)) for number in range(20_000))))
    splicer = Splicer(ADDED)
    assert peak(lambda: splicer.read(Signal.TRACES, body)) <= 4 * len(body) + SMALL


def test_the_measure_sees_what_is_held() -> None:
    assert peak(lambda: pack("100000x")) >= 100_000
