"""What is dropped of a copied stream is dropped in whole lines, and counted."""

from __future__ import annotations

import random

from sidecar.logic.copied import Copied, lines_in
from sidecar.logic.launch import CONTINUES, HEADER, LAST


def test_what_finds_room_goes_as_it_came() -> None:
    copied = Copied()
    assert copied.take(b"one\ntw", True) == (0, 0, 0, b"one\ntw")
    assert copied.take(b"o\n", True) == (6, CONTINUES, 0, b"o\n")
    assert copied.take(b"three", True) == (8, 0, 0, b"three")
    assert copied.last() == (13, LAST | CONTINUES, 0, b"")


def test_a_line_of_which_a_part_is_dropped_is_lost_to_its_end() -> None:
    copied = Copied()
    assert copied.take(b"one\ntw", True) is not None
    assert copied.take(b"o\nthree\nfo", False) is None
    assert copied.take(b"u", True) is None
    assert copied.take(b"r\n", True) is None
    assert copied.take(b"five\n", True) == (19, 0, 3, b"five\n")
    assert copied.last() == (24, LAST, 0, b"")


def test_the_next_line_begins_behind_the_end_of_the_lost_one() -> None:
    copied = Copied()
    copied.take(b"lost", False)
    assert copied.take(b" too\nkept\n", True) == (9, 0, 1, b"kept\n")


def test_a_line_that_is_lost_and_never_ends_counts_as_one() -> None:
    copied = Copied()
    copied.take(b"a\nb", False)
    assert copied.last() == (3, LAST, 2, b"")


def test_lines_that_arrive_and_lines_that_are_lost_are_all_lines() -> None:
    """Whatever the cuts, and whenever there is no room."""
    rng = random.Random(7)
    for _ in range(300):
        lines = [b"x" * rng.randrange(4) for _ in range(rng.randrange(1, 30))]
        text = b"\n".join(lines) + b"\n"
        copied, seen, held, lost, at = Copied(), list[bytes](), b"", 0, 0
        while at < len(text):
            size = rng.randrange(1, 9)
            told = copied.take(text[at : at + size], rng.random() < 0.6)
            at += size
            if told is not None:
                start, flags, dropped, data = told
                assert text[start : start + len(data)] == data
                lost += dropped
                whole = (held if flags & CONTINUES else b"") + data
                *complete, held = whole.split(b"\n")
                seen += complete
        _, flags, dropped, _ = copied.last()
        assert len(seen) + lost + dropped == len(lines)
        rest = iter(lines)
        assert all(line in rest for line in seen), "in order, and none that was not written"


def frame(number: int, flags: int, lost: int, data: bytes) -> bytes:
    return HEADER.pack(number, flags, lost, 0, 0) + data


def test_lines_of_frames_that_nobody_takes_are_counted_with_those_that_have_no_end() -> None:
    assert lines_in([]) == 0
    assert lines_in([frame(1, 0, 5, b"one\ntw"), frame(2, 0, 0, b"wrong\n"), frame(1, CONTINUES, 0, b"o\nthr")]) == 4
    assert lines_in([frame(1, CONTINUES, 0, b"the end of one\n"), frame(1, LAST, 0, b"")]) == 1


def test_a_line_whose_end_was_dropped_is_counted_where_that_is() -> None:
    copied = Copied()
    told = [copied.take(b"one\ntw", True), copied.take(b"o\n", False), copied.last()]
    assert lines_in(frame(1, *t[1:]) for t in told if t is not None) + copied.lost == 2


def test_what_is_lost_is_told_once_and_known_in_all() -> None:
    copied = Copied()
    copied.take(b"one\n", False)
    assert copied.take(b"two\n", True) == (4, 0, 1, b"two\n")
    copied.take(b"three\nfo", False)
    assert copied.last()[2] == 2
    assert copied.lost == 3
