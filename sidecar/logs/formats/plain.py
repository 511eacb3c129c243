"""Any line at all: its body is the line.

The time is that at its beginning, if it is a usual one with a date, also in brackets; the severity that of a word near it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...logic import timestamps
from ...logic.level_guess import guess, leads, tells
from ...model.logs import LogRecord
from .text import TextFormat

_BEHIND = rb"(?!\d)\]?:? ?"
_ISO = re.compile(
    rb"\[?(\d{4}[-/.]\d\d[-/.]\d\d[T ]\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))?(Z| UTC| ?[+-]\d\d:?\d\d(?: UTC)?(?!:))?"
    + _BEHIND,
    re.ASCII,
)
_OTHER = re.compile(
    rb"\[?("
    rb"\d\d[ /-][A-Z][a-z]{2}[ /-]\d{4}[ :]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?: [+-]\d{4})?"
    rb"|(?:[A-Z][a-z]{2},? )?[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:\.\d{1,9})?(?: \d{4}(?![\d:]))?"
    rb"|[A-Z][a-z]{2} \d\d?, \d{4},? \d\d?:\d\d:\d\d [AP]M"
    rb")" + _BEHIND,
    re.ASCII,
)
_DIGITS = frozenset(b"0123[")
_MONTHS_AND_DAYS = frozenset(b"JFMASONDTW[0123")
_BEGINNINGS = frozenset(bytes([byte]) for byte in _MONTHS_AND_DAYS)


class Plain(TextFormat):
    def parse_many(self, lines: Sequence[bytes], now: int) -> list[LogRecord | None]:
        if tells(b"\n".join(lines)):
            return super().parse_many(lines, now)
        return [self.parse(line, now) if line[:1] in _BEGINNINGS or leads(line) else LogRecord(line) for line in lines]

    def parse(self, line: bytes, now: int) -> LogRecord:
        if line:
            first = line[0]
            if first in _DIGITS and (found := _ISO.match(line)):
                second, fraction, zone = found.groups()
                time = self._time(second + zone if zone else second, fraction, now)
                return LogRecord(line, time, *guess(line, found.end()))
            if first in _MONTHS_AND_DAYS and (found := _OTHER.match(line)):
                return LogRecord(line, timestamps.nanoseconds(found[1], now), *guess(line, found.end()))
        return LogRecord(line, 0, *guess(line))
