from __future__ import annotations

import pytest

from sidecar.logic.holds import ALL_FLOW, Held, Holds
from sidecar.model.signals import Accepted, Hold, Outcome, PartlyAccepted, Rejected, RetryLater, Signal, Split

TRACES, METRICS, LOGS = Signal.TRACES, Signal.METRICS, Signal.LOGS
ABSENT = Hold("404", of_signal=True)


def test_a_signal_that_the_upstream_does_not_have_is_tried_once_a_minute_and_the_others_flow() -> None:
    holds = ALL_FLOW.step(METRICS, ABSENT, 100.0)
    assert holds == Holds({METRICS: Held(160.0, "404")})
    assert [holds.admits(METRICS, at) for at in (100.0, 159.9, 160.0)] == [False, False, True]
    assert holds.admits(TRACES, 100.0)


def test_a_trial_that_has_started_is_the_only_one_for_a_minute() -> None:
    holds = ALL_FLOW.step(METRICS, ABSENT, 0.0).tried(METRICS, 60.0)
    assert holds == Holds({METRICS: Held(120.0, "404")})
    assert holds.tried(TRACES, 60.0) is holds


@pytest.mark.parametrize("outcome", [Accepted(), PartlyAccepted(1, ""), Rejected("400"), Split("413")])
def test_any_answer_to_our_bytes_ends_the_hold_and_lets_the_other_held_signals_be_tried(outcome: Outcome) -> None:
    holds = ALL_FLOW.step(METRICS, ABSENT, 0.0).step(LOGS, ABSENT, 30.0)
    assert holds.step(LOGS, outcome, 40.0) == Holds({METRICS: Held(40.0, "404")})
    assert holds.step(LOGS, outcome, 40.0).step(METRICS, outcome, 41.0) is ALL_FLOW


@pytest.mark.parametrize("outcome", [RetryLater(None, "down"), Hold("401"), Hold("a loop", looped=True)])
def test_what_is_said_of_the_whole_upstream_changes_nothing(outcome: Outcome) -> None:
    holds = ALL_FLOW.step(METRICS, ABSENT, 0.0)
    assert holds.step(METRICS, outcome, 60.0) is holds
    assert ALL_FLOW.step(METRICS, outcome, 60.0) is ALL_FLOW


def test_what_another_signal_is_answered_changes_nothing() -> None:
    holds = ALL_FLOW.step(METRICS, ABSENT, 0.0)
    assert holds.step(TRACES, Accepted(), 1.0) is holds
