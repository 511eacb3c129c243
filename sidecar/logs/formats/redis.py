"""Redis, Valkey and KeyDB: `1234:M 02 Jan 2024 03:04:05.678 * Ready to accept connections`: the process, its role, a time and a
character for the level. What a signal makes it say has less: `1234:signal-handler (1704164645) Received SIGTERM`. The banner at
the start is no such line."""

from __future__ import annotations

import re

from ...logic import severity, timestamps
from ...model.logs import LogRecord
from .text import TextFormat

_LINE = re.compile(rb"(\d{1,10}):([XCSM]) (\d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d)\.(\d{3}) ([.*#-]) ", re.ASCII)
_SIGNAL = re.compile(rb"(\d{1,10}):signal-handler \((\d{1,12})\) ", re.ASCII)
_ROLES = {b"X": "sentinel", b"C": "child", b"S": "replica", b"M": "master"}
_LEVELS = {b".": "debug", b"-": "verbose", b"*": "notice", b"#": "warning"}


class Redis(TextFormat):
    def parse(self, line: bytes, now: int) -> LogRecord | None:
        found = _LINE.match(line)
        if found is None:
            return self._signal(line)
        pid, role, second, fraction, level = found.groups()
        word = _LEVELS[level]
        record = self._record(
            line, line[found.end() :], self._time(second, fraction, now), severity.of_word(word), word
        )
        if self._all:
            record.attributes = {"process.pid": int(pid), "redis.role": _ROLES[role]}
        return record

    def _signal(self, line: bytes) -> LogRecord | None:
        found = _SIGNAL.match(line)
        if found is None:
            return None
        record = self._record(line, line[found.end() :], timestamps.nanoseconds(found[2]), 0)
        if self._all:
            record.attributes = {"process.pid": int(found[1])}
        return record
