"""Lines that belong together become one record: a stack trace with the line that it explains, indented lines.

The last record may always go on, so it stays behind until the next line shows that it does not, or `flush`; a JSON line never
goes on. What comes out does not depend on how the lines were cut into feeds. Blank lines stay only within a record.

A block is searched once for any sign of a continuation; lines that are away from one are not looked at.
"""

from __future__ import annotations

import operator
from bisect import bisect_right
from collections.abc import Sequence
from enum import StrEnum
from itertools import accumulate

from .needles import holds
from .trace_lines import BESIDE_LETTERS, INDENTED_SIGN, NO_SIGN, SIGN, WORDS, State, first, goes_on

MAX_LINES = 500
MAX_BYTES = 256 << 10


_first = operator.itemgetter(slice(1))


class Mode(StrEnum):
    """`auto` joins stack traces and indented lines, `indent` the latter only, `none` nothing."""

    AUTO = "auto"
    INDENT = "indent"
    NONE = "none"


class Multiline:
    """Of one sequence of lines."""

    def __init__(self, mode: Mode, max_lines: int = MAX_LINES, max_bytes: int = MAX_BYTES) -> None:
        """A record grows up to these bounds; what would pass them begins another one of the same kind."""
        self._mode = mode
        self._max_lines = max_lines
        self._max_bytes = max_bytes
        self._sign = SIGN if mode is Mode.AUTO else INDENTED_SIGN
        self._state = State.ALONE
        self._lines: list[bytes] = []
        self._size = 0
        self._mark = 0
        self.several = False
        """Whether any of what came out last has several lines."""
        self._blank: list[bytes] = []
        """Blank lines behind the record; they are part of it if it goes on."""

    @property
    def pending(self) -> bool:
        """Whether a record waits for what the next line is."""
        return bool(self._lines)

    @property
    def held(self) -> int:
        """Bytes that wait."""
        return self._size if self._lines else 0

    def flush(self) -> tuple[bytes, int] | None:
        """The record that waits, if any; nothing goes on with it any more."""
        if not self._lines:
            return None
        record = b"\n".join(self._lines)
        self.several |= len(self._lines) > 1
        self._lines = []
        self._blank = []
        return record, self._mark

    def feed(
        self, lines: Sequence[bytes], marks: Sequence[int], joined: bytes
    ) -> tuple[Sequence[bytes], Sequence[int]]:
        """The records that are complete, and of each the mark of its last line. `joined` is `b"\\n".join(lines)`."""
        self.several = False
        if self._mode is Mode.NONE or not lines:
            return lines, marks
        signs = self._signs(lines, joined)
        if not signs and not self._lines and first(lines[-1]) is State.JSON:
            return lines, marks
        out: list[bytes] = []
        ends: list[int] = []
        at = 0
        for sign in (*signs, len(lines)):
            # Where what came last tells how a line is to be taken, one line after the other.
            while at < sign and not self._quiet():
                self._step(lines[at], marks[at], out, ends)
                at += 1
            if at < sign:
                self._emit(out, ends)
                out += lines[at : sign - 1]
                ends += marks[at : sign - 1]
                self._begin(lines[sign - 1], marks[sign - 1])
                at = sign
            if at == sign < len(lines):
                self._step(lines[at], marks[at], out, ends)
                at += 1
        if self._state is State.JSON:
            self._emit(out, ends)
        return out, ends

    def _signs(self, lines: Sequence[bytes], joined: bytes) -> list[int]:
        """Numbers of the lines that may go on with what is before them, or begin what goes on in its own way."""
        firsts = set(map(_first, lines))
        if firsts <= NO_SIGN or (
            self._mode is Mode.AUTO
            and firsts.isdisjoint(BESIDE_LETTERS)
            and b"\0" not in joined
            and not lines[0].startswith(b"at ")
            and not any(holds(joined, word) for word in WORDS)
        ):
            return []
        signs = [0] if self._sign.match(b"\n" + lines[0][:2048]) else []
        if found := self._sign.search(joined):
            starts = [0, *accumulate(len(line) + 1 for line in lines)]
            while found:
                number = bisect_right(starts, found.start() + 1) - 1
                signs.append(number)
                found = self._sign.search(joined, starts[number + 1] - 1)
        return signs

    def _quiet(self) -> bool:
        return not self._lines or self._state in (State.ALONE, State.JSON)

    def _step(self, line: bytes, mark: int, out: list[bytes], ends: list[int]) -> None:
        if not line or line.isspace():
            if self._lines and self._size + len(line) < self._max_bytes and len(self._blank) < self._max_lines:
                self._blank.append(line)
                self._size += len(line) + 1
            return
        state = self._after(line)
        if state is None:
            self._emit(out, ends)
            self._begin(line, mark)
            return
        count = len(self._lines) + len(self._blank) + 1
        if count > self._max_lines or self._size + len(line) + 1 > self._max_bytes:
            self._emit(out, ends)
            self._begin(line, mark)
        else:
            self._lines += [*self._blank, line]
            self._blank = []
            self._size += len(line) + 1
            self._mark = mark
        self._state = state

    def _after(self, line: bytes) -> State | None:
        if not self._lines:
            return None
        if self._mode is Mode.AUTO:
            return goes_on(self._state, self._lines[0], line)
        return State.TRACE if self._state is not State.JSON and line[:1].isspace() else None

    def _begin(self, line: bytes, mark: int) -> None:
        if not line or line.isspace():
            return
        self._state = first(line)
        self._lines = [line]
        self._size = len(line)
        self._mark = mark

    def _emit(self, out: list[bytes], ends: list[int]) -> None:
        mark = self._mark
        if record := self.flush():
            out.append(record[0])
            ends.append(mark)
