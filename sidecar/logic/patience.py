"""How long a producer waits for an upstream before its request is written to the spool instead."""

from __future__ import annotations

from collections import deque

SHORTEST = 0.05
LONGEST = 0.5
REMEMBERED = 15


class Patience:
    """Twice the median round trip of the last successes, within 50-500 ms; the longest while there were none."""

    def __init__(self) -> None:
        self._trips: deque[float] = deque(maxlen=REMEMBERED)
        self.seconds = LONGEST

    def arrived(self, seconds: float) -> None:
        self._trips.append(seconds)
        self.seconds = min(LONGEST, max(SHORTEST, 2 * sorted(self._trips)[len(self._trips) // 2]))
