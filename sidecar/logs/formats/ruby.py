"""Ruby's `Logger`, and Rails': `W, [2024-01-02T03:04:05.678901 #1234]  WARN -- app: message`."""

from __future__ import annotations

import re

from ...logic import severity, timestamps
from ...model.logs import LogRecord, Value
from .text import TextFormat, text

_LINE = re.compile(
    rb"[DIWEFA], \[(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?) #(\d{1,10})\] {1,3}(DEBUG|INFO|WARN|ERROR|FATAL|ANY) -- "
    rb"([^:]{0,255}): ?",
    re.ASCII,
)


class Ruby(TextFormat):
    def parse(self, line: bytes, now: int) -> LogRecord | None:
        found = _LINE.match(line)
        if found is None:
            return None
        time, pid, level, name = found.groups()
        word = level.decode()
        record = self._record(line, line[found.end() :], timestamps.nanoseconds(time), severity.of_word(word), word)
        if self._all:
            made: dict[str, Value] = {"process.pid": int(pid)}
            if name:
                made["logger"] = text(name)
            record.attributes = made
        return record
