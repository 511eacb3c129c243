"""What the formats of text lines have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from ...logic import timestamps
from ...model.logs import Keep, LogRecord

_UNIT = tuple(10 ** (9 - digits) for digits in range(10))


class TextFormat(ABC):
    """`keep` decides what `_record` makes of a line; attributes are worth finding where `_all` is set."""

    def __init__(self, keep: Keep = Keep.ALL) -> None:
        self._raw = keep is Keep.LIFTED
        self._all = keep is Keep.ALL
        self._second = b""
        self._nanoseconds = 0

    @abstractmethod
    def parse(self, line: bytes, now: int) -> LogRecord | None: ...

    def parse_many(self, lines: Sequence[bytes], now: int) -> list[LogRecord | None] | None:
        return [self.parse(line, now) for line in lines]

    def _record(self, line: bytes, message: bytes, time: int, severity: int, word: str = "") -> LogRecord:
        return LogRecord(line if self._raw else message, time, severity, word)

    def _time(self, second: bytes, fraction: bytes | None, now: int) -> int:
        """Of a time down to the second, which is calculated once for the lines that share it, and at most nine digits behind
        the point."""
        if second != self._second:
            self._nanoseconds = timestamps.nanoseconds(second, now)
            self._second = second
        if not self._nanoseconds:
            return 0
        return self._nanoseconds + int(fraction) * _UNIT[len(fraction)] if fraction else self._nanoseconds


def text(field: bytes) -> str:
    return field.decode("utf-8", "replace")
