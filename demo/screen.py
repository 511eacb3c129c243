"""The terminal: a log that scrolls and, on a TTY, a block below it that is redrawn in place. Plain ANSI."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Mapping
from typing import TextIO

ERASE_BELOW = "\x1b[J"


class Screen:
    """`say` adds a line to the log. `draw` replaces the block; it does nothing when `out` is not a TTY."""

    def __init__(self, out: TextIO, environ: Mapping[str, str]) -> None:
        self.out = out
        self.live = out.isatty() and environ.get("TERM") != "dumb"
        self.colour = self.live and not environ.get("NO_COLOR")
        self._block: list[str] = []
        self._height = 0

    @property
    def width(self) -> int:
        return shutil.get_terminal_size().columns

    def say(self, text: str = "") -> None:
        """On a TTY what is longer than a line goes on below, indented, from the next word."""
        lines = text.split("\n")
        if self.live:
            lines = [piece for line in lines for piece in _wrapped(line, self.width)]
        self._show("".join(f"{line}\n" for line in lines), self._block)

    def draw(self, block: list[str]) -> None:
        if self.live and block != self._block:
            self._show("", block)

    def leave(self) -> None:
        """The block stays where it is, and the log goes on below it."""
        self._block, self._height = [], 0
        if self.live:
            self.out.write("\r" + ERASE_BELOW)  # the terminal's own ^C

    def _show(self, log: str, block: list[str]) -> None:
        # A block higher than the screen could not be found again by moving up.
        block = block[: max(1, shutil.get_terminal_size().lines - 1)]
        up = f"\r\x1b[{self._height}A" if self._height else ""
        erase = ERASE_BELOW if self.live else ""
        self.out.write(up + erase + log + "".join(line + "\n" for line in block))
        self.out.flush()
        self._block, self._height = block, len(block)


def _wrapped(line: str, width: int) -> list[str]:
    if len(line) <= width:
        return [line]
    return textwrap.wrap(line, width, subsequent_indent=" " * 10, break_long_words=False, break_on_hyphens=False)
