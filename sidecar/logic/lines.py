"""Blocks of a file to lines, each with the mark behind it (`model.logs`)."""

from __future__ import annotations

import operator
from itertools import accumulate
from typing import NamedTuple

BOM = b"\xef\xbb\xbf"
COMPRESSED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0", b"BZh91AY&SY")
"""How gzip, zstd, xz and bzip2 begin: rotated files that were read before they were packed."""


class Lines(NamedTuple):
    """`marks[n]` is behind `lines[n]` and its line end. Of `cut` lines, longer than the cap, `cut_bytes` are missing."""

    lines: list[bytes]
    marks: list[int]
    cut: int = 0
    cut_bytes: int = 0


def split(data: bytes, mark: int, longest: int) -> Lines:
    """The whole lines of `data`, which begins at `mark`, without LF or CRLF; what follows the last LF is left out."""
    lines = data.split(b"\n")
    lines.pop()
    size = len(lines)
    sizes = list(map(len, lines))
    marks = list(map(operator.add, accumulate(sizes), range(mark + 1, mark + 1 + size)))
    if b"\r" in data:  # a hundred times as fast as a search for both
        lines = [line[:-1] if line.endswith(b"\r") else line for line in lines]
    if max(sizes, default=0) <= longest:
        return Lines(lines, marks)
    over = [len(line) - longest for line in lines if len(line) > longest]
    if over:
        lines = [line[:longest] for line in lines]
    return Lines(lines, marks, len(over), sum(over))


def whole(data: bytes, mark: int, longest: int, missing: int = 0) -> Lines:
    """One line: `data`, and `missing` more bytes that were not kept, up to `mark`. For the longest lines, whose rest is passed
    over, and for the last of a file, which may have no line end."""
    line = data.removesuffix(b"\n").removesuffix(b"\r") if not missing else data
    over = max(0, len(line) - longest) + missing
    return Lines([line[:longest]], [mark], int(over > 0), over)


def opening(data: bytes) -> int:
    """How many bytes at the beginning of a file belong to no line: a BOM of UTF-8, or the NULs that stand there when a program
    goes on writing where it was before its file was truncated."""
    if data.startswith(BOM):
        return len(BOM)
    nuls = len(data) - len(data.lstrip(b"\0"))
    return nuls if nuls > 1 else 0  # one may be half a character of UTF-16
