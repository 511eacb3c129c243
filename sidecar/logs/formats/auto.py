"""Finds out how a stream's lines are written, and goes on looking.

Every line is delivered at once, as the first format that takes it reads it: the stream's favourite, then all in their order,
then `plain`. The favourite is who has taken `VOTES` lines since the last one that the favourite before it took: so a stream may
mix formats, and may change its format for good, and costs no more than its favourite does while it is of one.

Lines that nobody takes are cheap as well: of a first byte that every format has refused `PATIENCE` times, only one line in
`SAMPLE` is still offered to them. One that is taken makes the byte interesting again, for long.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ...model.logs import Keep, LogRecord
from ..base import Format

VOTES = 8
PATIENCE = 16
SAMPLE = 32
TRUST = 10_000
"""Refusals that a first byte is forgiven once a format has taken a line that starts with it."""


class Auto:
    """`formats` are names and factories in the order of trial; `plain` among them takes what no other does."""

    def __init__(self, formats: Mapping[str, Callable[[Keep], Format]], keep: Keep) -> None:
        self.favourite = ""
        """The name of the format that is tried first; none as long as none has taken enough lines."""
        self._plain = formats["plain"](keep).parse
        self._formats = {name: make(keep) for name, make in formats.items() if name != "plain"}
        self._first: Format = _Nobody()
        self._missed = False
        self._votes = dict.fromkeys(self._formats, 0)
        self._refused: dict[int, int] = {}
        self._skipped = 0

    def parse(self, line: bytes, now: int) -> LogRecord | None:
        record = self._first.parse(line, now)
        if record is not None:
            self._missed = False
            return record
        return self._miss(line, now)

    def parse_many(self, lines: Sequence[bytes], now: int) -> list[LogRecord | None]:
        first = self._first
        records = first.parse_many(lines, now)
        if all(records):
            self._missed = False
            return records
        for number, record in enumerate(records):
            if self._first is not first:
                records[number] = self.parse(lines[number], now)
            elif record is None:
                records[number] = self._miss(lines[number], now)
            else:
                self._missed = False
        return records

    def _miss(self, line: bytes, now: int) -> LogRecord | None:
        """The favourite has not taken it."""
        if not self._missed:
            self._missed = True
            self._votes = dict.fromkeys(self._votes, 0)
        return self._look(line, now)

    def _look(self, line: bytes, now: int) -> LogRecord | None:
        byte = line[0] if line else -1
        refused = self._refused.get(byte, 0)
        if refused >= PATIENCE:
            self._skipped += 1
            if self._skipped % SAMPLE:
                return self._plain(line, now)
        for name, format_ in self._formats.items():
            if name != self.favourite:
                record = format_.parse(line, now)
                if record is not None:
                    self._refused[byte] = -TRUST
                    self._votes[name] += 1
                    if self._votes[name] == VOTES:
                        self.favourite, self._first = name, format_
                    return record
        self._refused[byte] = refused + 1
        return self._plain(line, now)


class _Nobody:
    """The favourite as long as there is none."""

    def parse(self, line: bytes, now: int) -> LogRecord | None:
        return None

    def parse_many(self, lines: Sequence[bytes], now: int) -> list[LogRecord | None]:
        return [None] * len(lines)
