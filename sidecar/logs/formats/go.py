"""Go's standard `log`: `2024/01/02 03:04:05 listening`, with microseconds and the place in the source where they are asked for
(`2024/01/02 03:04:05.678901 main.go:12: listening`), at a time in the program's zone unless it sets LUTC.

It has no levels: the severity is that of a word at the beginning of the message, if there is one.
"""

from __future__ import annotations

import re

from ...logic.level_guess import guess
from ...model.logs import LogRecord
from .text import TextFormat, text

# nginx's error log begins with the same date.
_LINE = re.compile(
    rb"(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d)(?:\.(\d{6}))? (?!\[[a-z]{4,6}\] \d{1,10}#)(?:([^\s:\"']{1,255}\.go):(\d{1,9}): )?",
    re.ASCII,
)


class Go(TextFormat):
    def parse(self, line: bytes, now: int) -> LogRecord | None:
        found = _LINE.match(line)
        if found is None:
            return None
        second, fraction, file, number = found.groups()
        message = line[found.end() :]
        record = self._record(line, message, self._time(second, fraction or b"", now), *guess(message))
        if file and self._all:
            record.attributes = {"code.file.path": text(file), "code.line.number": int(number)}
        return record
