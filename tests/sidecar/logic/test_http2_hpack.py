"""The walk over header blocks: RFC 7541's own examples, and `hpack.Decoder` as the judge of everything else."""

from __future__ import annotations

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.logic.http2_hpack import MAX_LIST, Decoder


def test_the_examples_of_the_rfc() -> None:
    """Appendix C.4: three requests on one connection, with Huffman code."""
    decoder = Decoder()
    first = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"www.example.com")]
    assert decoder.decode(bytes.fromhex("828684418cf1e3c2e5f23a6ba0ab90f4ff")) == first
    assert decoder.changed
    assert decoder.decode(bytes.fromhex("828684be5886a8eb10649cbf")) == [*first, (b"cache-control", b"no-cache")]
    third = decoder.decode(bytes.fromhex("828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf"))
    assert third[3:] == [(b":authority", b"www.example.com"), (b"custom-key", b"custom-value")]


@pytest.mark.parametrize(
    ("block", "changed"),
    [
        (b"\x82\x86\x84", False),
        (b"\x00\x01a\x01b", False),
        (b"\x10\x01a\x01b", False),
        (b"\x40\x01a\x01b", True),
        (b"\x20", True),
        (b"\x3f\xe1\x1f", True),
    ],
)
def test_a_block_says_whether_it_has_changed_the_table(block: bytes, changed: bool) -> None:
    decoder = Decoder()
    decoder.decode(b"\x40\x01x\x01y")
    decoder.decode(block)
    assert decoder.changed is changed


def test_an_insertion_that_evicts_one_of_the_same_size_is_a_change() -> None:
    decoder = Decoder()
    decoder.decode(b"\x3f\x03" + b"\x40\x01a\x01b")  # room for one
    decoder.decode(b"\x40\x01c\x01d")
    assert decoder.changed
    assert decoder.decode(b"\xbe") == [(b"c", b"d")]


@pytest.mark.parametrize(
    "block",
    [
        b"\x80",  # index 0
        b"\xbe",  # an empty table
        b"\x82\x20",  # an update behind a field
        b"\x3f\xe2\x1f",  # 4097
        b"\x00",
        b"\x00\x05a",
        b"\x00\x01a",
        b"\x00\x01a\x7f",
        b"\x00\x01a\x84\xff\xff\xff\xff",  # the code's end
        b"\xff" * 20,
        b"\x7f" + b"\x80" * 20,
    ],
)
def test_what_hpack_forbids_is_an_error(block: bytes) -> None:
    with pytest.raises(hpack.HPACKError):
        Decoder().decode(block)


def test_a_list_is_bounded() -> None:
    decoder = Decoder()
    decoder.decode(b"\x40\x01a\x7f\xb9\x16" + b"v" * 3000)
    with pytest.raises(hpack.OversizedHeaderListError):
        decoder.decode(b"\xbe" * 6)


FIELDS = st.lists(
    st.tuples(
        st.sampled_from(["grpc-timeout", ":path", "x", "content-type"]),
        st.text(alphabet="abc/ 09é", max_size=80),
        st.booleans(),
    ),
    max_size=12,
)


@given(st.lists(st.tuples(FIELDS, st.booleans(), st.sampled_from([None, 0, 60, 4096])), max_size=8))
def test_it_agrees_with_hpack_about_whatever_an_encoder_makes(
    requests: list[tuple[list[tuple[str, str, bool]], bool, int | None]],
) -> None:
    encoder, ours, judge = hpack.Encoder(), Decoder(), hpack.Decoder(MAX_LIST)
    for fields, huffman, size in requests:
        if size is not None:
            encoder.header_table_size = size
        block = encoder.encode([(n, v, s) for n, v, s in fields], huffman=huffman)
        assert ours.decode(block) == [tuple(pair) for pair in judge.decode(block, raw=True)]


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=4))
def test_it_agrees_with_hpack_about_any_bytes(blocks: list[bytes]) -> None:
    ours, judge = Decoder(), hpack.Decoder(MAX_LIST)
    for block in blocks:
        try:
            expected = [tuple(pair) for pair in judge.decode(block, raw=True)]
        except hpack.HPACKError:
            with pytest.raises(hpack.HPACKError):
                ours.decode(block)
            return
        assert ours.decode(block) == expected
