"""Instances make a service, services make the fleet."""

from __future__ import annotations

import pytest

from collector.verdict import combine, fleet_status, service_verdict, unknown_verdict
from sidecar.logic.rollup import rollup
from sidecar.model.health import State

from .sidecars import LETTERS, STATES, check


@pytest.mark.parametrize(
    ("instances", "service"),
    [
        ("", "?"),
        ("+", "+"),
        ("+++", "+"),
        ("++-", "~"),
        ("+?", "~"),
        ("+~", "~"),
        ("~", "~"),
        ("~-", "~"),
        ("~?", "~"),
        ("-", "-"),
        ("--", "-"),
        ("-?", "-"),
        ("?", "?"),
        ("??", "?"),
    ],
)
def test_a_service_is_degraded_while_somebody_serves_and_fails_when_nobody_does(instances: str, service: str) -> None:
    assert LETTERS[combine(STATES[letter] for letter in instances)] == service


@pytest.mark.parametrize(("services", "fleet"), [("", "?"), ("++", "+"), ("+~", "~"), ("~?", "?"), ("?-", "-")])
def test_the_fleet_is_as_well_as_its_worst_service(services: str, fleet: str) -> None:
    assert LETTERS[fleet_status(STATES[letter] for letter in services)] == fleet


def test_reasons_name_the_instance_the_check_and_what_was_seen_worst_first() -> None:
    members = {
        "api-1": rollup([check("ready"), check("cache", "~", "hit ratio 0.1")]),
        "api-2": rollup([check("ready")]),
        "api-3": rollup([check("tcp", "-", "connection refused by 127.0.0.1:8080")]),
    }
    verdict = service_verdict(members, State.UNKNOWN, 0.0, 7.0)
    assert (verdict.status, verdict.since) == (State.WARN, 7.0)
    assert verdict.reasons == (
        "api-3: tcp: connection refused by 127.0.0.1:8080",
        "api-1: cache: hit ratio 0.1",
    )


def test_since_stays_while_the_status_does() -> None:
    members = {"api-1": rollup([check("tcp", "-")])}
    assert service_verdict(members, State.FAIL, 3.0, 7.0).since == 3.0
    assert service_verdict(members, State.WARN, 3.0, 7.0).since == 7.0


def test_many_reasons_end_in_a_count() -> None:
    members = {f"api-{n:02}": unknown_verdict("silent") for n in range(25)}
    reasons = service_verdict(members, State.UNKNOWN, 0.0, 0.0).reasons
    assert reasons[0] == "api-00: silent"
    assert reasons[10:] == ("and 15 more",)
