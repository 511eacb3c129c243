"""What a producer is told about its request, given what each required upstream said of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from ..model.signals import Accepted, Hold, Outcome, PartlyAccepted, Rejected, RetryLater, Split
from .otlp_http import OK, Reply, encode_partial_success, refusal


def verdict(outcomes: Sequence[tuple[Outcome, bool]], wait: int) -> Reply:
    """The worst outcome is the answer; what a retry can mend is worse than what it cannot, because the producer still
    has the data.

    Beside each outcome stands whether the request was sent alone: of a joined batch nobody can say whose items were
    partly refused, so they are counted and nobody is blamed. `wait` is the seconds to ask for, unless the upstream wants
    less.
    """
    worst, reply = 0, OK
    for outcome, alone in outcomes:
        match outcome:
            case Accepted():
                rank, said = 0, OK
            case PartlyAccepted(rejected, message):
                rank, said = (1, Reply(200, encode_partial_success(rejected, message))) if alone else (0, OK)
            case Rejected(why):
                rank, said = 2, refusal(400, f"the upstream rejects it: {why}")
            case Split(why):
                rank, said = 3, refusal(413, f"too large for the upstream: {why}")
            case Hold(why, True):
                rank, said = 4, refusal(508, why)
            case RetryLater(after, why):
                rank, said = 5, refusal(503, why, wait if after is None else min(wait, max(1, round(after))))
            case Hold(why):
                rank, said = 6, refusal(503, f"the upstream refuses us: {why}", wait)
            case _:
                assert_never(outcome)
        if rank > worst:
            worst, reply = rank, said
    return reply
