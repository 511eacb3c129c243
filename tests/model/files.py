"""Files as their writers know them: inodes with lines, whatever their names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

Identity = tuple[int, int]
"""Device and inode."""


class Line:
    """`must` is whether its loss breaks a promise; `volatile`, whether it is lost with the process that holds it;
    `late`, whether its file was at rest by then, and closed."""

    __slots__ = ("file", "late", "must", "number", "text", "volatile")

    def __init__(self, number: int, text: bytes, file: File) -> None:
        self.number, self.text, self.file = number, text, file
        self.must = True
        self.volatile = False
        self.late = False


class Partial(NamedTuple):
    """A line of which the first `size` bytes were written at `since`."""

    line: Line
    size: int
    since: float


class File:
    """One inode. `path` is None when it has no name any more. `lines` are of its present contents, `past` of earlier ones."""

    def __init__(self, path: Path, append: bool) -> None:
        self.path: Path | None = path
        self.handle = os.open(
            path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | (os.O_APPEND if append else 0)
        )
        status = os.fstat(self.handle)
        self.identity = status.st_dev, status.st_ino
        self.lines: list[Line] = []
        self.past: list[Line] = []
        self.partial: Partial | None = None
        self.known = False
        """Seen by the source that lives now."""
        self.remembered = False
        """Part of what was saved last."""

    def write(self, data: bytes) -> None:
        os.write(self.handle, data)

    def close(self) -> None:
        if self.handle >= 0:
            os.close(self.handle)
            self.handle = -1
            self.partial = None
