"""Timestamps that container runtimes put before or beside each line: RFC 3339 with up to nine digits of a second."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime

_STAMP = re.compile(
    rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d:\d\d)",
)
NANOSECONDS = 1_000_000_000


class Stamps:
    """Reads the stamps of one stream. Most of them are in the same second as the one before: only their fraction is read."""

    def __init__(self) -> None:
        self._second = b""
        self._base = 0

    def read(self, stamp: bytes) -> int:
        """Unix nanoseconds. Raises `ValueError` for what is no stamp."""
        if len(stamp) == 30 and stamp[:20] == self._second and stamp[29] == 90:
            return self._base + int(stamp[20:29])
        return self._other(stamp)

    def read_all(self, stamps: Iterable[bytes]) -> list[int]:
        """The same of many."""
        second, base = self._second, self._base
        times: list[int] = []
        add = times.append
        for stamp in stamps:
            if len(stamp) == 30 and stamp[:20] == second and stamp[29] == 90:
                add(base + int(stamp[20:29]))
            else:
                add(self._other(stamp))
                second, base = self._second, self._base
        return times

    def _other(self, stamp: bytes) -> int:
        """Of another second, with fewer digits (trailing zeros are left out by some), or with an offset."""
        match = _STAMP.fullmatch(stamp)
        if match is None:
            raise ValueError("not a timestamp")
        second, fraction, zone = match.groups()
        if zone != b"Z" or stamp[:20] != self._second:
            base = round(datetime.fromisoformat((second + zone).decode()).timestamp()) * NANOSECONDS
            if zone == b"Z":
                self._second, self._base = second + b".", base
        else:
            base = self._base
        return base + int((fraction or b"0").ljust(9, b"0"))
