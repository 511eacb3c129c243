"""When to try an upstream again: one frozen value per upstream that steps with each outcome.

`ok` sends everything. After a failure it is `retrying`, and after a refusal that only a person can lift it is `held`: until
`until` nothing is sent and new requests are refused at once instead of each waiting for its own timeout. Then a single
trial may pass; its outcome is the next step. The wait is full jitter, uniform in 0 .. min(30 s, 1 s * 2^(failures - 1)), which
keeps many sidecars from returning together. A time that the upstream named is waited in full, but where it names hardly any,
failure after failure, the wait grows to 1 s: "at once", or a date that has passed by our clock, is no leave to ask without end.
"""

from __future__ import annotations

from enum import StrEnum
from typing import assert_never

import msgspec

from ..model.signals import Accepted, Hold, Outcome, PartlyAccepted, Rejected, RetryLater, Split

SHORTEST = 0.001
FIRST = 1.0
LONGEST = 30.0
HELD = 60.0


class UpstreamState(StrEnum):
    OK = "ok"
    RETRYING = "retrying"
    HELD = "held"
    FULL = "full"
    """Not of a `Retry`: what waits for the upstream has filled its place in the spool."""


class Retry(msgspec.Struct, frozen=True):
    """`until` is on the clock that `step` is given; `why` is the last failure in a row, empty when all is well. `looped`: the
    upstream leads back to us."""

    state: UpstreamState = UpstreamState.OK
    failures: int = 0
    until: float = 0.0
    why: str = ""
    looped: bool = False

    def step(self, outcome: Outcome, now: float, jitter: float) -> Retry:
        """`jitter` is uniform in 0..1. Anything that shows the upstream reading our requests is a success here; what it says of
        one signal is for `holds`."""
        match outcome:
            case Accepted() | PartlyAccepted() | Rejected() | Split() | Hold(of_signal=True):
                return HEALTHY
            case RetryLater(after, why):
                grown = 2 ** min(self.failures, 16)
                wait = (
                    jitter * min(LONGEST, FIRST * grown)
                    if after is None
                    else max(after, min(FIRST, SHORTEST * (grown - 1)))
                )
                return Retry(UpstreamState.RETRYING, self.failures + 1, now + wait, why)
            case Hold(why, looped):
                return Retry(UpstreamState.HELD, self.failures + 1, now + HELD, why, looped)
            case _:
                assert_never(outcome)

    def admits(self, now: float, flights: int) -> bool:
        """May a send start, `flights` being in the air already?"""
        return self.state is UpstreamState.OK or (flights == 0 and now >= self.until)


HEALTHY = Retry()
