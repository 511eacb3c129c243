from __future__ import annotations

import gzip
import random
import struct
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.logic.gzip_body import NotGzip, TooLarge, inflate

LIMIT = 20 << 20


def peak(body: bytes) -> int:
    """Bytes that Python held at most while this body was refused."""
    tracemalloc.start()
    with pytest.raises(TooLarge):
        inflate(body, LIMIT)
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return held


@given(st.lists(st.binary(max_size=1000), min_size=1, max_size=4))
def test_members_in_a_row_are_one_content(members: list[bytes]) -> None:
    assert inflate(b"".join(map(gzip.compress, members)), LIMIT) == b"".join(members)


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 131072, 1 << 20, 3_000_001])
def test_every_size_around_the_pieces_is_whole(size: int) -> None:
    content = random.Random(1).randbytes(size // 2) + bytes(size - size // 2)
    assert inflate(gzip.compress(content, 1), LIMIT) == content


def test_a_bomb_that_tells_its_size_is_not_held() -> None:
    body = gzip.compress(bytes(100 << 20), 1)
    assert peak(body) < 500_000


def test_a_stream_cut_short_is_said_to_be_so_whatever_its_last_bytes_would_mean() -> None:
    body = gzip.compress(random.Random(1).randbytes(100_000))
    for end in range(20, len(body), 997):
        with pytest.raises(NotGzip, match="the gzip stream is cut short"):
            inflate(body[:end], LIMIT)


def test_a_bomb_that_lies_about_its_size_is_not_held() -> None:
    body = gzip.compress(bytes(100 << 20), 1)[:-4] + struct.pack("<I", 500)
    assert peak(body) < 500_000


def test_a_bomb_in_many_members_is_not_held() -> None:
    noise = random.Random(1).randbytes(100_000)
    body = gzip.compress(noise + bytes(5 << 20)) * 10
    assert peak(body) < 7 << 20


def test_a_bomb_within_the_limit_is_stopped_by_its_ratio() -> None:
    assert peak(gzip.compress(bytes(LIMIT - 1), 9)) < 500_000


def test_exactly_the_limit_is_taken_and_a_byte_more_is_not() -> None:
    content = random.Random(1).randbytes(200_000)
    assert inflate(gzip.compress(content), 200_000) == content
    with pytest.raises(TooLarge, match="inflates to more than 199999 bytes"):
        inflate(gzip.compress(content), 199_999)


@pytest.mark.parametrize(
    "body",
    [b"", b"\x1f", b"plain text", gzip.compress(b"x" * 1000)[:-9], gzip.compress(b"x") + b"?"],
    ids=["nothing", "a byte", "text", "cut short", "with more behind it"],
)
def test_what_is_not_gzip_is_said_to_be_so(body: bytes) -> None:
    with pytest.raises((NotGzip, TooLarge)):
        inflate(body, LIMIT)


@given(st.data())
def test_broken_streams_raise_nothing_else(data: st.DataObject) -> None:
    body = bytearray(gzip.compress(data.draw(st.binary(max_size=300))))
    for _ in range(data.draw(st.integers(0, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        inflate(bytes(body), LIMIT)
    except (NotGzip, TooLarge):
        pass
