"""Pairs of a key and a value."""

from __future__ import annotations

import pytest

from sidecar.logic.pairs import pairs, unquoted


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b"", {}),
        (b"a=1", {"a": 1}),
        (b"  a=1\t b=x  ", {"a": 1, "b": "x"}),
        (b'a="x y" b="" c=', {"a": "x y", "b": "", "c": ""}),
        (b"a=1 a=2", {"a": 2}),
        (b"a.b[0]=c=d", {"a.b[0]": "c=d"}),
        (b"\xff=\xff", {"�": "�"}),
        (b"a=-1 b=1.50 c=1. d=.5 e=0x1 f=+1", {"a": -1, "b": 1.5, "c": "1.", "d": ".5", "e": "0x1", "f": "+1"}),
        (b"a=999999999999999999 b=9999999999999999999", {"a": 999999999999999999, "b": "9999999999999999999"}),
    ],
)
def test_a_line_of_pairs(line: bytes, found: dict[str, object]) -> None:
    made = pairs(line)
    assert made == found
    assert [type(value) for value in made.values()] == [type(value) for value in found.values()]


@pytest.mark.parametrize("line", [b"a", b"a=1 b", b"a b=1", b"=1", b'a="', b'a="x"y', b'a="\\"', b'"a"=1', b"a=1\nb=2"])
def test_a_line_with_anything_else_is_none(line: bytes) -> None:
    assert pairs(line) is None


def test_they_begin_where_the_caller_says() -> None:
    assert pairs(b"what happened a=1", 13) == {"a": 1}


def test_they_are_so_many_at_most() -> None:
    assert len(pairs(b" ".join(b"k%d=1" % n for n in range(1024))) or ()) == 1024
    assert pairs(b" ".join(b"k%d=1" % n for n in range(1025))) is None


@pytest.mark.parametrize(
    ("quoted", "text"),
    [
        (rb'"a\nb\tc\\d\"e\q"', 'a\nb\tc\\d"eq'),
        (rb'"\x41\u00e9\U0001f600\ud800"', "Aé😀�"),
        (b'"\xff"', "�"),
        (b'""', ""),
    ],
)
def test_what_stands_in_quotes(quoted: bytes, text: str) -> None:
    assert unquoted(quoted) == text
