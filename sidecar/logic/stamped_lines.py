"""Lines that an API tells, each behind the runtime's timestamp: where each stands in its stream, and whether it is new.

A *reading* is one answer of the API, which begins at a whole second. A line's mark is its timestamp and an ordinal
among equal ones. Clocks that step back, and the two outputs of a container that is told as one, make timestamps fall: such a line
counts as written when the one before it was. So every reading gives each line the same mark, if it begins early enough.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from operator import methodcaller
from typing import NamedTuple

from ..model.counters import LogCounters
from ..model.logs import ORDINAL_BITS
from .stamps import NANOSECONDS, Stamps

OVERLAP = 1
"""Seconds before the last line that are asked for again, for lines whose timestamps fell."""


def since(nanoseconds: int) -> int:
    """The unix second at which a reading has to begin to hold all that was written from then on; 0: at the beginning."""
    return max(0, nanoseconds // NANOSECONDS - OVERLAP)


_is_whole = methodcaller("endswith", b"\n")


class Lines(NamedTuple):
    lines: Sequence[bytes]
    marks: Sequence[int]
    times: Sequence[int]


_NONE = Lines((), (), ())


class StampedLines:
    """One stream, over all its readings. `read_to` is the mark of its last line so far."""

    def __init__(self, max_line: int, counters: LogCounters, read_to: int = 0) -> None:
        """Longer lines are cut and counted. Lines at or before `read_to` are not told again."""
        self.read_to = read_to
        self.foreign = b""
        """The last message without a timestamp: the runtime's own words, not the container's."""
        self._max_line = max_line
        self._counters = counters
        self._stamps = Stamps()
        self.begin()

    @property
    def position(self) -> int:
        """The mark of the last line of this reading, also of one that was known; 0 when there was none."""
        return self._last

    def begin(self) -> None:
        """A reading begins; the one before it is over."""
        self._last = 0
        self._part: list[bytes] = []
        self._part_size = 0
        self._part_time = 0

    def feed(self, messages: Sequence[bytes]) -> Lines:
        """Of messages `TIMESTAMP text`, the new lines. A message that does not end in a line feed goes on in the next."""
        if not messages:
            return _NONE
        found = self._block(messages) or self._one_by_one(messages)
        marks = self._marks(found.marks)
        new = bisect_right(marks, self.read_to) if marks and marks[0] <= self.read_to else 0
        if not marks[new:]:
            return _NONE
        self.read_to = marks[-1]
        lines = found.lines[new:]
        if max(map(len, lines)) > self._max_line:
            lines = [self._cut(line) for line in lines]
        return Lines(lines, marks[new:], found.times[new:])

    def _block(self, messages: Sequence[bytes]) -> Lines | None:
        """All of them at once, where all are whole. In place of its mark each has the time by which it is ordered."""
        if self._part or not all(map(_is_whole, messages)):
            return None
        try:
            stamps, texts = zip(*[message.split(b" ", 1) for message in messages], strict=True)
            times = self._stamps.read_all(stamps)
        except ValueError:
            return None
        lines = [text[:-1] for text in texts]
        if b"\r\n" in b"".join(messages):
            lines = [line.removesuffix(b"\r") for line in lines]
        return Lines(lines, times, times)

    def _one_by_one(self, messages: Sequence[bytes]) -> Lines:
        """The same. A line is ordered by the time of its last piece, and was written at that of its first."""
        lines: list[bytes] = []
        firsts: list[int] = []
        lasts: list[int] = []
        for message in messages:
            stamp, _, text = message.partition(b" ")
            try:
                time = self._stamps.read(stamp)
            except ValueError:
                self.foreign = message.rstrip()
                continue
            if not self._part:
                self._part_time, self._part_size = time, 0
            if self._part_size <= self._max_line:
                self._part.append(text)
            else:
                self._counters.cut_bytes += len(text)
            self._part_size += len(text)
            if text[-1:] == b"\n":
                lines.append(b"".join(self._part).removesuffix(b"\n").removesuffix(b"\r"))
                firsts.append(self._part_time)
                lasts.append(time)
                self._part.clear()
        return Lines(lines, lasts, firsts)

    def _marks(self, times: Sequence[int]) -> list[int]:
        last, marks = self._last, []
        for time in times:
            mark = time << ORDINAL_BITS
            last = mark if mark > last else last + 1
            marks.append(last)
        self._last = last
        return marks

    def _cut(self, line: bytes) -> bytes:
        if len(line) > self._max_line:
            self._counters.cut_lines += 1
            self._counters.cut_bytes += len(line) - self._max_line
        return line[: self._max_line]
