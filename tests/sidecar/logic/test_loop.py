from __future__ import annotations

import pytest

from sidecar.logic.loop import MAX_VIA, comes_back, name_of, via_of, via_with


def test_a_name_is_the_instance_and_random_bits_in_what_a_header_may_hold() -> None:
    assert name_of("pod-7/app", 0xBEEF) == "pod-7/app~0000beef"
    assert name_of("é a\nb" + "x" * 99, 1) == "ab" + "x" * 62 + "~00000001"


@pytest.mark.parametrize(
    ("via", "said"),
    [
        ("", ""),
        ("b~2 c~3", ""),
        ("a~11", ""),
        ("a~1", "this upstream is this sidecar's own listener (a~1)"),
        ("s~9 a~1 b~2", "the upstreams form a loop: a~1 -> b~2 -> a~1"),
        ("a~1 b~2 c~3", "the upstreams form a loop: a~1 -> b~2 -> c~3 -> a~1"),
    ],
)
def test_what_has_been_here_before_is_said_with_its_way(via: str, said: str) -> None:
    assert comes_back(via, "a~1") == said


def test_each_adds_its_name() -> None:
    assert via_with("", "a~1") == "a~1"
    assert via_with("a~1", "b~2") == "a~1 b~2"


@pytest.mark.parametrize("value", [b"", b" ", b"a  b", b"a\tb", b"a\xff", b"x" * (MAX_VIA + 1), b"a "])
def test_what_no_outrider_wrote_is_not_handed_on(value: bytes) -> None:
    assert via_of(value) == ""
    assert via_of(b"a~1 b~2") == "a~1 b~2"
