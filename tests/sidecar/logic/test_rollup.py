"""Rollup: what many checks say as one. A check is written `state role severity`, e.g. `fRw`."""

from __future__ import annotations

import pytest

from sidecar.logic.rollup import is_open, rollup
from sidecar.model.health import Check, Flag, Role, Severity, State

STATE = {"p": State.PASS, "w": State.WARN, "f": State.FAIL, "u": State.UNKNOWN}
ROLE = {"L": Role.LIVENESS, "R": Role.READINESS, "S": Role.STARTUP, "-": Role.NONE}
SEVERITY = {"f": Severity.FAIL, "w": Severity.WARN}


def checks(text: str) -> list[Check]:
    return [
        Check(
            name=f"c{i}", kind="tcp", state=STATE[word[0]], role=ROLE[word[1]], severity=SEVERITY[word[2]], output=word
        )
        for i, word in enumerate(text.split())
    ]


@pytest.mark.parametrize(
    ("board", "gates"),
    [
        ("", "uppp"),
        ("pLf pRf", "pppp"),
        ("pLf fRf", "fpfp"),
        ("fLf pRf", "ffpp"),
        ("pLf fRw", "wpwp"),
        ("uRf", "upup"),
        ("uRw", "wpwp"),
        ("wRf uLf", "uuwp"),
        ("fRf uRf", "fpfp"),
        ("uSf uRf", "upuu"),
        ("f-f", "fppp"),
        ("p-f", "pppp"),
    ],
)
def test_gates(board: str, gates: str) -> None:
    """overall, live, ready, started"""
    verdict = rollup(checks(board))
    letters = {state: letter for letter, state in STATE.items()}
    assert "".join(letters[s] for s in (verdict.status, verdict.live, verdict.ready, verdict.started)) == gates


def test_reasons_come_worst_first_with_what_was_seen() -> None:
    assert rollup(checks("wRf pRf fRf uLf")).reasons == ("c2: fRf", "c3: uLf", "c0: wRf")


def test_nothing_to_check_is_unknown_and_says_so() -> None:
    assert rollup([]).reasons == ("no checks are configured",)


def test_since_stays_while_the_status_stays() -> None:
    first = rollup(checks("pRf"), None, 10.0)
    second = rollup(checks("pRf"), first, 20.0)
    third = rollup(checks("fRf"), second, 30.0)
    assert [first.since, second.since, third.since] == [10.0, 10.0, 30.0]


def test_starting_is_a_flag_of_the_whole() -> None:
    check = Check(name="a", kind="tcp", flags=(Flag.STARTING, Flag.FLAPPING))
    assert rollup([check]).flags == (Flag.STARTING,)


def test_unknown_closes_a_readiness_gate_and_not_a_liveness_gate() -> None:
    assert not is_open(State.UNKNOWN)
    assert is_open(State.UNKNOWN, unknown_passes=True)
    assert [is_open(state) for state in (State.PASS, State.WARN, State.FAIL)] == [True, True, False]
    assert not is_open(State.WARN, fail_on=State.WARN)
