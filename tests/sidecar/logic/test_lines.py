"""Blocks become lines with the marks behind them."""

from __future__ import annotations

import pytest

from sidecar.logic.lines import Lines, opening, split, whole


@pytest.mark.parametrize(
    ("data", "lines", "marks"),
    [
        (b"", [], []),
        (b"partial", [], []),
        (b"\n", [b""], [101]),
        (b"one\ntwo\nthr", [b"one", b"two"], [104, 108]),
        (b"one\r\n\r\ntwo\n", [b"one", b"", b"two"], [105, 107, 111]),
        (b"a\rb\n\r\r\n", [b"a\rb", b"\r"], [104, 107]),
        (b"\0\xff\n", [b"\0\xff"], [103]),
    ],
)
def test_lines_lose_their_end_and_marks_count_it(data: bytes, lines: list[bytes], marks: list[int]) -> None:
    assert split(data, 100, 1000) == Lines(lines, marks)


def test_lines_over_the_cap_are_cut_and_counted() -> None:
    assert split(b"12345\n1234\n123456\r\n", 0, 4) == Lines([b"1234", b"1234", b"1234"], [6, 11, 19], 2, 3)


def test_one_line_may_be_known_in_part() -> None:
    assert whole(b"123\r\n", 5, 4) == Lines([b"123"], [5])
    assert whole(b"12345", 5, 4) == Lines([b"1234"], [5], 1, 1)
    assert whole(b"1234", 1000, 4, missing=995) == Lines([b"1234"], [1000], 1, 995)


@pytest.mark.parametrize(
    ("data", "skipped"),
    [(b"", 0), (b"\xef\xbb\xbfone", 3), (b"\0\0\0one", 3), (b"\0o\0n", 0), (b"\xff\xfeo\0", 0), (b"\0\0", 2)],
)
def test_a_bom_and_a_hole_belong_to_no_line(data: bytes, skipped: int) -> None:
    assert opening(data) == skipped
