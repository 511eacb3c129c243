"""Thresholds as strings: one letter a result (`+` pass, `~` warn, `-` fail, `?` unknown), one a state after it."""

from __future__ import annotations

import pytest

from sidecar.logic.threshold import Threshold
from sidecar.model.health import State

RAW = {"+": State.PASS, "~": State.WARN, "-": State.FAIL, "?": State.UNKNOWN}
LETTER = {State.PASS: "p", State.WARN: "w", State.FAIL: "f", State.UNKNOWN: "u"}


def trace(results: str, success: int = 1, failure: int = 3, period: float = 10.0) -> str:
    """One result each period; a dot is a period without any. The state expires as in the product."""
    threshold = Threshold(success, failure, expire=period * failure)
    states = ""
    for turn, result in enumerate(results, 1):
        now = turn * period
        threshold = threshold.at(now) if result == "." else threshold.step(RAW[result], now)
        states += LETTER[threshold.state]
    return states


@pytest.mark.parametrize(
    ("results", "states", "fact"),
    [
        ("+--+---++", "ppppppfpp", "failures count in a row; one pass clears them"),
        ("+", "p", "the first pass is enough"),
        ("---", "uuf", "failing from the start is unknown until the threshold"),
        ("-+", "up", "two results that contradict do not add up"),
        ("--+--", "uuppp", "a pass out of unknown forgets the failures before it"),
        ("+~~~", "pppw", "warn needs the same run as fail"),
        ("+~-~", "pppw", "warn and fail together are a run of what is no pass"),
        ("+~--~", "pppww", "but not a run of failures"),
        ("+-~-~-", "pppwww", "alternating never fails and does not look green"),
        ("~", "w", "out of unknown, a first warn is told at once"),
        ("+---~", "pppfw", "a warn ends a failure"),
        ("+---~+", "pppfwp", "and a pass ends the warn"),
        ("+~~~---", "pppwwwf", "from warn to fail"),
        ("+---", "pppf", "exactly the threshold"),
    ],
)
def test_runs(results: str, states: str, fact: str) -> None:
    assert trace(results) == states, fact


@pytest.mark.parametrize(
    ("results", "states", "fact"),
    [
        ("+?-?-?-", "ppppppf", "a raw unknown neither counts nor clears"),
        ("+???", "pppu", "after period x failureThreshold without a known result the state is unknown"),
        ("+---???", "pppfffu", "a failure expires too: it is not known any more"),
        ("+??+??", "pppppp", "a known result in between starts the time anew"),
        ("+???--", "pppuuu", "the runs begin anew after unknown"),
        ("+???+", "pppup", "and one pass ends it"),
        ("+...", "pppu", "silence of the prober is the same as unknown results"),
        ("???", "uuu", "never known"),
    ],
)
def test_unknown(results: str, states: str, fact: str) -> None:
    assert trace(results) == states, fact


@pytest.mark.parametrize(
    ("results", "success", "failure", "states"),
    [
        ("+++", 3, 3, "uup"),
        ("++-+++", 2, 1, "upffpp"),
        ("+-+-", 1, 1, "pfpf"),
        ("--", 1, 1, "ff"),
        ("++---+-++", 2, 3, "upppffffp"),
        ("++---~+", 2, 3, "upppffw"),
    ],
)
def test_success_threshold(results: str, success: int, failure: int, states: str) -> None:
    """`successThreshold` asks for that many in a row, out of unknown and out of fail."""
    assert trace(results, success, failure) == states


def test_since_is_the_moment_of_the_change_and_stays() -> None:
    threshold = Threshold(failure=2, expire=20.0)
    seen = []
    for now, result in enumerate("++--+", 100):
        threshold = threshold.step(RAW[result], float(now))
        seen.append((LETTER[threshold.state], threshold.since))
    assert seen == [("p", 100.0), ("p", 100.0), ("p", 100.0), ("f", 103.0), ("p", 104.0)]
