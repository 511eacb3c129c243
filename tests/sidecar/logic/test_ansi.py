"""Colours are taken out of a line, and nothing else is."""

from __future__ import annotations

import pytest

from sidecar.logic.ansi import uncolored


@pytest.mark.parametrize(
    ("line", "plain"),
    [
        (b"plain", b"plain"),
        (b"\x1b[31mred\x1b[0m and \x1b[1;38;5;208mbold\x1b[m", b"red and bold"),
        (b"\x1b[2K\x1b", b"\x1b[2K\x1b"),
        (b"[31m", b"[31m"),
    ],
)
def test_a_line_without_colours(line: bytes, plain: bytes) -> None:
    assert uncolored(line) == plain
