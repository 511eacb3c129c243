"""The fields of a request: what is refused, what is joined, and what is remembered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hpack import Decoder, Encoder, HPACKError
from hpack.hpack import encode_integer
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.logic.http2_frames import Code, Fault
from sidecar.logic.http2_headers import CACHED, Fields, HeaderBlocks, Malformed, literal, request, trailers

START = b"\x83\x86\x84"
POST: list[tuple[bytes, bytes]] = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/x")]


class Interpreter:
    """Counts how often a block had to be understood."""

    def __init__(self) -> None:
        self.seen: list[Fields] = []

    def __call__(self, fields: Fields) -> int:
        self.seen.append(fields)
        return len(self.seen)


def test_fields_are_a_mapping_and_repeated_ones_are_joined() -> None:
    assert request([*POST, (b"a", b"1"), (b"b", b"2"), (b"a", b"3")]) == {
        b":method": b"POST",
        b":scheme": b"http",
        b":path": b"/x",
        b"a": b"1, 3",
        b"b": b"2",
    }


@pytest.mark.parametrize(
    "pairs",
    [
        [],
        POST[1:],
        POST[:2],
        [POST[0], POST[2]],
        [*POST[:2], (b":path", b"")],
        [*POST, (b":path", b"/y")],
        [*POST, (b":status", b"200")],
        [*POST, (b":", b"")],
        [*POST, (b"a", b"b"), (b":authority", b"x")],
        [*POST, (b"Upper", b"b")],
        [*POST, (b"", b"b")],
        [*POST, (b"a b", b"c")],
        [*POST, (b"a:b", b"c")],
        [*POST, (b"connection", b"close")],
        [*POST, (b"transfer-encoding", b"chunked")],
        [*POST, (b"te", b"gzip")],
        [*POST, (b"a", b" b")],
        [*POST, (b"a", b"b\t")],
        [*POST, (b"a", b"b\r\nc")],
        [*POST, (b"a", b"\0")],
        [*POST, (b"content-length", b"x")],
        [*POST, (b"content-length", b"-1")],
        [*POST, (b"content-length", b"1"), (b"content-length", b"1")],
        [*POST, (b"content-length", b"1" * 19)],
    ],
)
def test_a_request_that_breaks_a_rule_is_malformed(pairs: Sequence[tuple[bytes, bytes]]) -> None:
    with pytest.raises(Malformed):
        request(list(pairs))


def test_trailers_have_no_pseudo_headers() -> None:
    trailers([(b"a", b"b")])
    with pytest.raises(Malformed):
        trailers([(b":path", b"/")])


def test_a_block_that_is_indexed_throughout_is_understood_once() -> None:
    encoder, seen = Encoder(), Interpreter()
    blocks = HeaderBlocks(seen)
    first = encoder.encode(list(POST))
    assert blocks.read(first) == 1
    indexed = encoder.encode(list(POST))
    assert min(indexed) >= 0x80
    assert [blocks.read(indexed) for _ in range(5)] == [1] * 5
    assert len(seen.seen) == 1


def test_the_same_bytes_mean_something_else_once_the_table_has_changed() -> None:
    """Also when an insertion evicts an entry, so that the table is as long and as large as before."""
    blocks: HeaderBlocks[Fields] = HeaderBlocks(lambda fields: fields)
    start = b"\x83\x86\x84"
    blocks.read(b"\x3f\x03" + start + b"\x40\x01a\x01b")
    assert blocks.read(start + b"\xbe")[b"a"] == b"b"
    assert blocks.read(start + b"\xbe")[b"a"] == b"b"
    blocks.read(start + b"\x40\x01a\x01c")
    assert blocks.read(start + b"\xbe")[b"a"] == b"c"
    blocks.skip(start + b"\x40\x01a\x01d")
    assert blocks.read(start + b"\xbe")[b"a"] == b"d"
    blocks.trailers(b"\x40\x01a\x01e")
    assert blocks.read(start + b"\xbe")[b"a"] == b"e"
    blocks.read(b"\x20\x3f\x03" + start + b"\x40\x01a\x01f")
    assert blocks.read(start + b"\xbe")[b"a"] == b"f"


def test_a_malformed_block_stays_malformed_and_the_table_follows() -> None:
    blocks: HeaderBlocks[Fields] = HeaderBlocks(lambda fields: fields)
    for _ in range(3):
        with pytest.raises(Malformed):
            blocks.read(b"\x83\x86")
    assert blocks.read(b"\x83\x86\x84")[b":path"] == b"/"


def test_what_is_remembered_is_bounded() -> None:
    blocks = HeaderBlocks(Interpreter())
    for n in range(10 * CACHED):
        blocks.read(b"\x83\x86\x84" + b"\x90" * (n % 7) + b"\x00\x01a" + bytes((4,)) + b"%04d" % n)
    assert len(blocks._lists) <= CACHED
    assert len(blocks._blocks) <= CACHED


def test_a_table_that_is_lost_ends_the_connection() -> None:
    blocks = HeaderBlocks(Interpreter())
    with pytest.raises(Fault) as lost:
        blocks.read(b"\x80")
    assert (lost.value.code, lost.value.stream) == (Code.COMPRESSION_ERROR, 0)


@pytest.mark.parametrize("size", [0, 1, 126, 127, 128, 300, 20_000])
def test_our_own_fields_are_literals_without_a_table(size: int) -> None:
    decoder = Decoder(1 << 20)
    (field,) = decoder.decode(literal(b"grpc-message", b"x" * size), raw=True)
    assert tuple(field) == (b"grpc-message", b"x" * size)
    assert not decoder.header_table.dynamic_entries


def number(value: int, bits: int, start: int) -> bytes:
    coded = encode_integer(value, bits)
    return bytes((coded[0] | start,)) + bytes(coded[1:])


FIELD = st.tuples(st.sampled_from([b"grpc-timeout", b"a", b"x-y"]), st.sampled_from([b"", b"1", b"22", b"3" * 60]))
STEPS = st.lists(
    st.one_of(
        st.lists(
            st.one_of(
                st.tuples(st.sampled_from(["insert", "literal", "never"]), FIELD),
                st.tuples(st.just("index"), st.integers(62, 64)),
            ),
            max_size=3,
        ),
        st.sampled_from([130, 4096]),
    ),
    min_size=4,
    max_size=8,
)


@given(STEPS, st.lists(st.integers(0, 7), min_size=10, max_size=40))
@settings(max_examples=300)
def test_a_block_that_was_seen_before_means_what_it_means_to_a_decoder_without_memory(
    steps: list[list[tuple[str, Any]] | int], order: list[int]
) -> None:
    """Insertions, evictions and updates of the table's size, in any order and again."""
    made: list[bytes] = []
    for step in steps:
        if isinstance(step, int):
            made.append(number(step, 5, 0x20) + START)
            continue
        block = START
        for kind, what in step:
            if kind == "index":
                block += number(what, 7, 0x80)
            else:
                block += {"insert": b"\x40", "literal": b"\x00", "never": b"\x10"}[kind] + literal(*what)[1:]
        made.append(block)
    blocks: HeaderBlocks[Fields] = HeaderBlocks(lambda fields: fields)
    judge = Decoder()
    filled = START + b"".join(b"\x40" + literal(b"f", b"%d" % n)[1:] for n in range(3))
    for block in (filled, *(made[at % len(made)] for at in order)):
        try:
            pairs = judge.decode(block, raw=True)
        except HPACKError:
            with pytest.raises(Fault):
                blocks.read(block)
            return
        assert blocks.read(block) == request([(bytes(name), bytes(value)) for name, value in pairs])


@given(st.binary(max_size=6) | st.text("a \t\r\n\0", max_size=6).map(str.encode))
def test_a_value_has_no_line_ends_or_zeros_and_no_white_space_around_it(value: bytes) -> None:
    allowed = not {0, 10, 13} & {*value} and value == value.strip(b" \t")
    try:
        trailers([(b"a", value)])
    except Malformed:
        assert not allowed
    else:
        assert allowed


def test_a_field_that_varies_is_told_apart_and_the_others_are_understood_once() -> None:
    seen = Interpreter()
    blocks: HeaderBlocks[Any] = HeaderBlocks(seen, varying=(b"late", lambda known, value: (known, value)))
    encoder = Encoder()
    for n in range(3):
        assert blocks.read(encoder.encode([*POST, (b"late", b"%d" % n), (b"a", b"b")])) == (1, b"%d" % n)
    assert blocks.read(encoder.encode([*POST, (b"a", b"b")])) == 2
    assert blocks.read(encoder.encode([*POST, (b"late", b"x"), (b"late", b"y")])) == (3, b"x, y")
    assert [fields.get(b"late") for fields in seen.seen] == [b"", None, b", "]
    with pytest.raises(Malformed):
        blocks.read(encoder.encode([POST[0], (b"late", b"1"), *POST[1:]]))
