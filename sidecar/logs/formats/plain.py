"""Any line at all: its body is the line."""

from __future__ import annotations

from ...model.logs import Keep, LogRecord


class Plain:
    def __init__(self, keep: Keep) -> None:
        pass

    def parse(self, line: bytes, now: int) -> LogRecord:
        return LogRecord(line)
