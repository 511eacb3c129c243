"""Python's `logging` in the layouts that it and its frameworks have made common.

- the default: `WARNING:root:message`
- `2024-01-02 03:04:05,678 - name - WARNING - message`, also without the name
- Flask: `[2024-01-02 03:04:05,678] WARNING in module: message`
- Gunicorn: `[2024-01-02 03:04:05 +0000] [12] [INFO] message`
- Celery: `[2024-01-02 03:04:05,678: INFO/MainProcess] message`
- Airflow: `[2024-01-02T03:04:05.678+0000] {dag.py:12} INFO - message`
- Uvicorn: `INFO:     message`
- Loguru: `2024-01-02 03:04:05.678 | INFO     | module:function:12 - message`
"""

from __future__ import annotations

import re

from ...logic import severity, timestamps
from ...logic.ansi import uncolored
from ...model.logs import LogRecord
from .text import TextFormat, text

_STAMP = r"(?P<time>\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d{3,6})?(?: ?[+-]\d\d:?\d\d|Z)?)"
_LEVEL = r"(?P<level>CRITICAL|ERROR|WARNING|INFO|DEBUG|TRACE|SUCCESS|NOTSET)"
_LAYOUTS = {
    "letter": (
        _LEVEL + r":(?P<logger>[^\s:]{1,255}):",
        # Filled up to ten columns.
        r"(?P<level>INFO(?=: {5}\S)|(?:ERROR|DEBUG|TRACE)(?=: {4}\S)|WARNING(?=: {2}\S)|CRITICAL(?=: \S)): {1,5}",
    ),
    "digit": (
        _STAMP + r" - (?:(?P<logger>\S{1,255}) - )?" + _LEVEL + " - ",
        _STAMP
        + r" \| "
        + _LEVEL
        + r" {0,4} \| (?P<logger>[^\s:]{1,255}):(?P<function>[^\s:]{1,255}):(?P<number>\d{1,9}) - ",
    ),
    "[": (
        r"\[" + _STAMP + r"\] " + _LEVEL + r" in (?P<logger>[^\s:]{1,255}): ",
        r"\[" + _STAMP + r"\] \[(?P<pid>\d{1,10})\] \[" + _LEVEL + r"\] ",
        r"\[" + _STAMP + ": " + _LEVEL + r"/(?P<process>[^\s\]]{1,64})\] ",
        r"\[" + _STAMP + r"\] \{(?P<file>[^\s:}]{1,255}):(?P<number>\d{1,9})\} " + _LEVEL + " - ",
    ),
}
_PATTERNS = {kind: tuple(re.compile(form.encode(), re.ASCII) for form in forms) for kind, forms in _LAYOUTS.items()}
_BY_BYTE = {
    **dict.fromkeys(b"CEWIDTSN", _PATTERNS["letter"]),
    **dict.fromkeys(b"12", _PATTERNS["digit"]),
    ord("["): _PATTERNS["["],
}
_TEXTS = {
    "logger": "logger",
    "function": "code.function.name",
    "file": "code.file.path",
    "process": "processName",
}
_NUMBERS = {"number": "code.line.number", "pid": "process.pid"}


class Python(TextFormat):
    def parse(self, line: bytes, now: int) -> LogRecord | None:
        plain = uncolored(line)
        for pattern in _BY_BYTE.get(plain[0], ()) if plain else ():
            if found := pattern.match(plain):
                return self._made(line, plain[found.end() :], found.groupdict())
        return None

    def _made(self, line: bytes, message: bytes, at: dict[str, bytes]) -> LogRecord:
        word = at["level"].decode()
        time = timestamps.nanoseconds(at["time"]) if "time" in at else 0
        record = self._record(line, message, time, severity.of_word(word), word)
        if self._all:
            named = {attribute: text(at[group]) for group, attribute in _TEXTS.items() if at.get(group)}
            numbers = {attribute: int(at[group]) for group, attribute in _NUMBERS.items() if at.get(group)}
            record.attributes = {**named, **numbers}
        return record
