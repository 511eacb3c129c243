"""Any line at all: its body is the line.

The time is that at its beginning, if it is a usual one with a date, also in brackets; the severity that of a word near it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from operator import itemgetter

from ...logic import timestamps
from ...logic.level_guess import WORDS, guess, leads, tells
from ...model.logs import LogRecord
from .text import TextFormat

_BEHIND = rb"(?!\d)\]?:? ?"
# Whether it is a time is found out once for each second. The level that usually follows is taken along.
_ISO = re.compile(
    rb"\[?([12][0-9/.-]{9}[T ][0-9:]{8})(?:[.,](\d{1,9}))?(Z| UTC| ?[+-]\d\d:?\d\d(?: UTC)?(?!:))?"
    + _BEHIND
    + rb"(?:(TRACE|DEBUG|INFO|WARN(?:ING)?|ERROR|FATAL|CRITICAL)(?![A-Za-z0-9_]))?",
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
_DIGITS = frozenset(b"12[")
_MONTHS_AND_DAYS = frozenset(b"JFMASONDTW[0123")
_head = itemgetter(slice(3))
_BEGINNINGS = frozenset(bytes([byte]) for byte in _MONTHS_AND_DAYS)


class Plain(TextFormat):
    def parse_many(self, lines: Sequence[bytes], now: int) -> list[LogRecord | None] | None:
        if tells(b"\n".join(lines)):
            return super().parse_many(lines, now)
        heads = list(map(_head, lines))
        telling = {head for head in set(heads) if head[:1] in _BEGINNINGS or leads(head)}
        if not telling:
            return None
        return [
            self.parse(line, now) if head in telling else LogRecord(line)
            for line, head in zip(lines, heads, strict=True)
        ]

    def parse(self, line: bytes, now: int) -> LogRecord:
        if line:
            first = line[0]
            if first in _DIGITS and (found := _ISO.match(line)):
                second, fraction, zone, level = found.groups()
                time = self._time(second + zone if zone else second, fraction, now)
                number, word = WORDS[level] if level else guess(line, found.end())
                return LogRecord(line, time, number, word)
            if first in _MONTHS_AND_DAYS and (found := _OTHER.match(line)):
                number, word = guess(line, found.end())
                return LogRecord(line, timestamps.nanoseconds(found[1], now), number, word)
        number, word = guess(line)
        return LogRecord(line, 0, number, word)
