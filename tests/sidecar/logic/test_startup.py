"""The startup gate as strings: one letter a step, and whether the gate is open after it."""

from __future__ import annotations

from sidecar.logic.startup import Startup
from sidecar.model.health import Role, State

STATE = {"p": State.PASS, "w": State.WARN, "f": State.FAIL, "u": State.UNKNOWN}


def trace(steps: str, checks: str = "a") -> str:
    """Steps are pairs of a check's name and its state, or `R!` when the service starts anew."""
    gate = Startup.of(frozenset(checks))
    out = ""
    for name, state in zip(steps[::2], steps[1::2], strict=True):
        gate = gate.restarted() if name == "R" else gate.step(name, STATE[state])
        out += "o" if gate.open else "c"
    return out


def test_the_gate_opens_when_every_startup_check_has_passed_once() -> None:
    assert trace("auafapaf") == "ccoo"
    assert trace("apbfbwaf", "ab") == "ccoo"


def test_it_closes_when_the_service_starts_anew() -> None:
    assert trace("apR!afap") == "occo"


def test_without_startup_checks_it_is_open() -> None:
    assert Startup.of(frozenset()).open
    assert trace("R!", "") == "o"


def test_a_closed_gate_holds_liveness_and_readiness_and_nothing_else() -> None:
    gate = Startup.of(frozenset({"boot"}))
    runs = {role: gate.runs("boot" if role is Role.STARTUP else "x", role) for role in Role}
    assert runs == {Role.LIVENESS: False, Role.READINESS: False, Role.STARTUP: True, Role.NONE: True}


def test_a_startup_check_that_has_passed_is_not_run_again() -> None:
    gate = Startup.of(frozenset({"boot"})).step("boot", State.PASS)
    assert not gate.runs("boot", Role.STARTUP)
    assert gate.restarted().runs("boot", Role.STARTUP)
