from __future__ import annotations

import pytest

from sidecar.logic.otlp_http import OK, Reply, encode_partial_success, refusal
from sidecar.logic.verdict import verdict
from sidecar.model.signals import Accepted, Hold, Outcome, PartlyAccepted, Rejected, RetryLater, Split

PARTLY = PartlyAccepted(3, "old")


@pytest.mark.parametrize(
    ("outcomes", "reply"),
    [
        ([], OK),
        ([(Accepted(), True), (Accepted(), False)], OK),
        ([(PARTLY, True)], Reply(200, encode_partial_success(3, "old"))),
        ([(PARTLY, False)], OK),
        ([(PARTLY, True), (Rejected("bad"), True)], refusal(400, "the upstream rejects it: bad")),
        ([(Split("big"), True), (Rejected("bad"), True)], refusal(413, "too large for the upstream: big")),
        ([(RetryLater(None, "down"), True), (Rejected("bad"), True)], refusal(503, "down", 2)),
        ([(RetryLater(0.2, "down"), True)], refusal(503, "down", 1)),
        ([(RetryLater(90.0, "down"), True)], refusal(503, "down", 2)),
        ([(Hold("a loop", looped=True), False), (Split("big"), True)], refusal(508, "a loop")),
        ([(Hold("a loop", looped=True), False), (RetryLater(None, "down"), True)], refusal(503, "down", 2)),
        ([(Hold("HTTP 401"), False), (Accepted(), False)], refusal(503, "the upstream refuses us: HTTP 401", 2)),
    ],
)
def test_the_worst_outcome_is_the_answer(outcomes: list[tuple[Outcome, bool]], reply: Reply) -> None:
    assert verdict(outcomes, wait=2) == reply
