"""How fast counters have risen of late."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

WINDOW = 10.0
"""Seconds. Long enough to be steady at one sample a second, short enough to be of now."""


class Rates(msgspec.Struct, frozen=True):
    """Samples of some counters, the oldest first; it steps with each."""

    samples: tuple[tuple[float, tuple[int, ...]], ...] = ()

    def step(self, counters: Sequence[int], now: float) -> Rates:
        """The oldest sample that stays is `WINDOW` old, or older where nobody looked for long."""
        samples = (*self.samples, (now, tuple(counters)))
        while len(samples) > 2 and samples[1][0] <= now - WINDOW:
            samples = samples[1:]
        return Rates(samples)

    def per_second(self) -> tuple[float, ...]:
        """Over the time between the oldest sample and the newest; empty while there is but one."""
        if len(self.samples) < 2:
            return ()
        (began, first), (ended, last) = self.samples[0], self.samples[-1]
        return tuple(round((b - a) / max(ended - began, 1e-9), 3) for a, b in zip(first, last, strict=True))
