"""How many requests a flight waits for, and how long: what "busy" means, learned from the flights before.

A flight costs far more than one request more in it, so where requests come closely one after another it pays to wait for some.
Nothing is known of who sends them: ten producers that each wait for their answer are all back soon after it, and to wait for an
eleventh is in vain; where requests come by themselves, a thousand a second, the next one always comes. So the number is tried
upwards one by one, and falls back to what came when the wait was in vain, for `CONTENT` flights. Who sends one request after
another is hardly ever waited for, and where requests are rare nothing is.
"""

from __future__ import annotations

import msgspec

SHORTEST, LONGEST = 0.002, 0.005
"""Seconds: a wait is `GAPS` usual gaps between requests, within these."""
GAPS = 4
CONTENT = 256
"""Flights until a wait in vain is risked again, when several in a row were."""
WEIGHT = 0.2


class Gathering(msgspec.Struct, frozen=True):
    """`wanted` requests go at once, fewer after a wait. `gap` is the moving mean between requests, in seconds."""

    wanted: int = 1
    gap: float = 1.0
    content: int = 0
    in_vain: int = 1

    def wait(self, requests: int) -> float:
        """Seconds from the first of `requests` on; none where they are enough, or another one is not likely to come."""
        if requests >= self.wanted or 2 * self.gap > LONGEST:
            return 0.0
        return min(max(GAPS * self.gap, SHORTEST), LONGEST)

    def step(self, requests: int, since: float, silence: float) -> Gathering:
        """A flight leaves with `requests`, `since` seconds after the one before it; the last request came `silence` ago."""
        gap = self.gap + WEIGHT * (min(since, 1.0) / requests - self.gap)
        if requests < self.wanted:
            if silence > self.wait(requests) / 2:
                return Gathering((self.wanted + requests) // 2, gap, self.in_vain, min(2 * self.in_vain, CONTENT))
            return Gathering(self.wanted, gap, self.content, self.in_vain)
        if self.content:
            return Gathering(self.wanted, gap, self.content - 1, self.in_vain)
        return Gathering(requests + 1, gap, 0, 1 + self.in_vain // 2)
