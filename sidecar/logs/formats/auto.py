"""Finds out how a stream's lines are written, and goes on looking.

Every line is delivered at once, as the first format that takes it reads it: the stream's favourite, then all in their order,
then `plain`. The favourite is who has taken `VOTES` lines since the last one that the favourite before it took: so a stream may
mix formats, and may change its format for good, and costs no more than its favourite does while it is of one.

Lines that nobody takes are cheap as well: of a first byte that every format has refused `PATIENCE` times, only one line in
`SAMPLE` is still offered to them, and one in `RARE` after `LONG` of such lines. One that is taken makes the byte interesting
again, for long.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ...model.logs import Keep, LogRecord
from ..base import Format, spelled_out

VOTES = 8
PATIENCE = 16
SAMPLE = 32
LONG = 5_000
RARE = 8 * SAMPLE
TRUST = 10_000
"""Refusals that a first byte is forgiven once a format has taken a line that starts with it."""


class Auto:
    """`formats` are names and factories in the order of trial; `plain` among them takes what no other does."""

    def __init__(self, formats: Mapping[str, Callable[[Keep], Format]], keep: Keep) -> None:
        self.favourite = ""
        """The name of the format that is tried first; none as long as none has taken enough lines."""
        self._plain = formats["plain"](keep)
        self._formats = {name: make(keep) for name, make in formats.items() if name != "plain"}
        self._first: Format | None = None
        self._missed = False
        self._votes = dict.fromkeys(self._formats, 0)
        self._refused: dict[bytes, int] = {}
        self._skipped = 0

    def parse(self, line: bytes, now: int) -> LogRecord | None:
        if self._first is not None:
            record = self._first.parse(line, now)
            if record is not None:
                self._missed = False
                return record
            self._miss()
        return self._look(line, now)

    def parse_many(self, lines: Sequence[bytes], now: int) -> list[LogRecord | None] | None:
        if not lines:
            return []
        first = self._first
        records = (first and first.parse_many(lines, now)) or [None] * len(lines)
        if all(records):
            self._missed = False
            return records
        if not any(records) and all(self._refused.get(byte, 0) >= PATIENCE for byte in {line[:1] for line in lines}):
            return self._boring(lines, now)
        for number, record in enumerate(records):
            if self._first is not first:
                records[number] = self.parse(lines[number], now)
            elif record is not None:
                self._missed = False
            else:
                self._miss()
                records[number] = self._look(lines[number], now)
        return records

    def _miss(self) -> None:
        """The favourite, if there is one, has not taken a line."""
        if self._first is not None and not self._missed:
            self._missed = True
            self._votes = dict.fromkeys(self._votes, 0)

    def _look(self, line: bytes, now: int) -> LogRecord | None:
        if self._refused.get(line[:1], 0) >= PATIENCE:
            self._skipped += 1
            if not _is_sample(self._skipped):
                return self._plain.parse(line, now)
        return self._offer(line, now) or self._plain.parse(line, now)

    def _boring(self, lines: Sequence[bytes], now: int) -> list[LogRecord | None] | None:
        """What the favourite has not taken, and begins as what nobody takes."""
        self._miss()
        records = self._plain.parse_many(lines, now)
        for number in range(SAMPLE - 1 - self._skipped % SAMPLE, len(lines), SAMPLE):
            if _is_sample(self._skipped + number + 1) and (record := self._offer(lines[number], now)):
                rest = lines[number + 1 :]
                return [*spelled_out(records, lines)[:number], record, *spelled_out(self.parse_many(rest, now), rest)]
        self._skipped += len(lines)
        return records

    def _offer(self, line: bytes, now: int) -> LogRecord | None:
        for name, format_ in self._formats.items():
            if name != self.favourite:
                record = format_.parse(line, now)
                if record is not None:
                    self._refused[line[:1]] = -TRUST
                    self._skipped = 0
                    self._votes[name] += 1
                    if self._votes[name] == VOTES:
                        self.favourite, self._first = name, format_
                    return record
        self._refused[line[:1]] = self._refused.get(line[:1], 0) + 1
        return None


def _is_sample(number: int) -> bool:
    """Of the lines that may be skipped, counted from 1."""
    return not number % (SAMPLE if number <= LONG else RARE)
