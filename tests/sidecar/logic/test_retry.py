from __future__ import annotations

from sidecar.logic.retry import HEALTHY, Retry, UpstreamState
from sidecar.model.signals import Accepted, Hold, Outcome, PartlyAccepted, Rejected, RetryLater, Split

OUTCOMES: dict[str, Outcome] = {
    "+": Accepted(),
    "p": PartlyAccepted(1, ""),
    "r": Rejected("400"),
    "s": Split("413"),
    "-": RetryLater(None, "refused"),
    "h": Hold("401"),
}


def trace(marks: str) -> str:
    """The state after each outcome: `.` ok, `r` retrying, `h` held."""
    retry, shown = HEALTHY, ""
    for mark in marks:
        retry = retry.step(OUTCOMES[mark], 0.0, 1.0)
        shown += {UpstreamState.OK: ".", UpstreamState.RETRYING: "r", UpstreamState.HELD: "h"}[retry.state]
    return shown


def waits(marks: str, jitter: float) -> list[float]:
    retry, seen = HEALTHY, []
    for mark in marks:
        retry = retry.step(OUTCOMES[mark], 100.0, jitter)
        seen.append(retry.until - 100.0)
    return seen


def test_any_answer_to_our_bytes_ends_a_row_of_failures() -> None:
    assert trace("+-+--p-r-s-h-h+") == ".r.rr.r.r.rhrh."


def test_the_longest_wait_doubles_to_thirty_seconds_and_a_success_starts_again() -> None:
    assert waits("--------", 1.0) == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    assert waits("----", 0.25) == [0.25, 0.5, 1.0, 2.0]
    assert waits("--", 0.0) == [0.0, 0.0]
    assert waits("--+-", 1.0)[-1] == 1.0
    assert waits("-" * 2000, 1.0)[-1] == 30.0


def test_a_time_that_the_upstream_named_is_waited_in_full() -> None:
    assert HEALTHY.step(RetryLater(90.0, "busy"), 10.0, 0.1) == Retry(UpstreamState.RETRYING, 1, 100.0, "busy")


def test_an_upstream_that_names_no_time_at_all_is_soon_asked_once_a_second() -> None:
    retry, waits = HEALTHY, []
    for after in [0.0] * 12 + [0.3, 5.0]:
        retry = retry.step(RetryLater(after, "Retry-After: 0"), 0.0, 0.1)
        waits.append(retry.until)
    assert waits[:5] == [0.0, 0.001, 0.003, 0.007, 0.015]
    assert waits[9:] == [0.511, 1.0, 1.0, 1.0, 5.0]


def test_a_held_upstream_is_tried_once_a_minute() -> None:
    assert HEALTHY.step(Hold("401"), 10.0, 0.1) == Retry(UpstreamState.HELD, 1, 70.0, "401")


def test_an_upstream_that_lacks_one_signal_answers() -> None:
    broken = HEALTHY.step(RetryLater(5.0, "busy"), 0.0, 0.0)
    assert broken.step(Hold("404", of_signal=True), 5.0, 0.1) == HEALTHY


def test_a_loop_is_remembered_until_the_upstream_answers_something_else() -> None:
    looped = HEALTHY.step(Hold("a loop", looped=True), 10.0, 0.1)
    assert looped == Retry(UpstreamState.HELD, 1, 70.0, "a loop", looped=True)
    assert looped.step(RetryLater(5.0, "busy"), 70.0, 0.1) == Retry(UpstreamState.RETRYING, 2, 75.0, "busy")
    assert looped.step(Accepted(), 70.0, 0.1) == HEALTHY


def test_after_a_failure_nothing_passes_until_its_time_and_then_one_trial() -> None:
    assert HEALTHY.admits(0.0, 3)
    broken = HEALTHY.step(RetryLater(5.0, "busy"), 0.0, 0.0)
    assert not broken.admits(4.9, 0)
    assert broken.admits(5.0, 0)
    assert not broken.admits(5.0, 1)
