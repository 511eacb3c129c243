"""Whole lines from a stream that comes in any pieces."""

from __future__ import annotations

import re

from ..model.counters import LogCounters

_LINE = re.compile(rb"[^\n]*\n")


class Carry:
    """Keeps the beginning of a line until its end comes: at most `most` bytes of it, the other bytes are passed over and counted.
    `most` is above the cap of a line, and who cuts it there counts the line."""

    def __init__(self, most: int, counters: LogCounters) -> None:
        self._most = most
        self._counters = counters
        self._pieces: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> bytes:
        """What is whole now: it ends in a line feed, or is nothing."""
        end = data.rfind(b"\n") + 1
        if not end:
            self._keep(data)
            return b""
        if not self._pieces:
            block = data[:end]
        else:
            first = data.index(b"\n")
            self._keep(data[:first])
            block = b"".join(self._pieces) + data[first:end]
        self.drop()
        self._keep(data[end:])
        return block

    def lines(self, data: bytes) -> list[bytes]:
        """The same, line by line, each with its line feed."""
        return _LINE.findall(self.feed(data))

    def rest(self) -> bytes:
        """The last line, which has no end."""
        rest = b"".join(self._pieces)
        self.drop()
        return rest

    def drop(self) -> None:
        """Forget what waits."""
        self._pieces = []
        self._size = 0

    def _keep(self, data: bytes) -> None:
        kept = data[: max(0, self._most - self._size)]
        if kept:
            self._pieces.append(kept)
        if len(kept) < len(data):
            self._counters.cut_bytes += len(data) - len(kept)
        self._size += len(data)
