"""What a pattern for others' lines may be, so that no line takes long."""

from __future__ import annotations

import re

import pytest

from sidecar.logic.bounded_pattern import parse_bounded
from sidecar.logic.scalars import Invalid


@pytest.mark.parametrize(
    "pattern",
    [
        "OutOfMemoryError|Cannot allocate memory",
        r"(?i)panic: \w{1,40}",
        "[*+{]",
        r"2 \+ 2",
        r"upstream .{0,80} timed out",
        "(?:colou?r)(s)?",
        r"[\]+]x",
    ],
)
def test_what_is_bounded_is_taken_as_it_is(pattern: str) -> None:
    assert parse_bounded(pattern).pattern == pattern


@pytest.mark.parametrize("pattern", [".*timeout", "(a+)+$", r"\w+ x", "a{3,}", "(ab){0,9}", "(a|b){2}", "[^x]*y"])
def test_what_has_no_bound_is_told(pattern: str) -> None:
    with pytest.raises(Invalid, match="repeats without a bound"):
        parse_bounded(pattern)


def test_bounds_that_multiply_are_told() -> None:
    with pytest.raises(Invalid, match=r"can match in 1089 ways from one place"):
        parse_bounded(".{0,32}x.{0,32}y")


def test_what_is_no_pattern_is_told_as_everywhere() -> None:
    with pytest.raises(Invalid, match="is not a regular expression"):
        parse_bounded("(")


def test_the_worst_that_is_taken_ends_soon_on_the_longest_line() -> None:
    pattern = re.compile(parse_bounded(".{0,255}y").pattern.encode())
    assert pattern.search(b"x" * 8192) is None
