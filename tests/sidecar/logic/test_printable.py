from __future__ import annotations

import pytest

from sidecar.logic.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, größer, 表", "plain text, größer, 表"),
        ("\x1b[31mred\r\n", "\\x1b[31mred\\x0d\\x0a"),
        ("\x00\x7f\x9b", "\\x00\\x7f\\x9b"),
        ("a\u2028b\u202e\U000e0001", "a\\u2028b\\u202e\\U000e0001"),
    ],
)
def test_control_characters_are_shown_and_the_rest_is_left_alone(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_long_text_is_cut_after_it_was_made_safe() -> None:
    assert printable("abcdef", 4) == "abc…"
    assert printable("abcd", 4) == "abcd"
    assert printable("\x1b" * 1_000_000, 9) == "\\x1b\\x1b…"
