"""`application/health+json`, literally."""

from __future__ import annotations

from sidecar.logic.health_json import health_json
from sidecar.logic.rollup import rollup
from sidecar.model.health import Check, Flag, Observed, Role, Severity, State
from sidecar.model.resource import Resource

RESOURCE = Resource({"service.name": "api", "service.instance.id": "api-1", "service.version": "1.2"})
CHECKS = [
    Check(
        name="ready",
        kind="http",
        role=Role.READINESS,
        state=State.PASS,
        since=1.0,
        output="GET /readyz: 200",
        observed=(Observed("responseTime", 0.003, "s"),),
    ),
    Check(
        name="cache",
        kind="tcp",
        severity=Severity.WARN,
        state=State.UNKNOWN,
        since=2.5,
        flags=(Flag.STALE,),
        output="cannot resolve cache",
    ),
]


def test_the_whole_document() -> None:
    verdict = rollup(CHECKS, None, 3.0)
    assert health_json(verdict, CHECKS, RESOURCE) == {
        "status": "warn",
        "serviceId": "api",
        "description": "api (api-1)",
        "since": "1970-01-01T00:00:03.000Z",
        "version": "1.2",
        "flags": ["stale"],
        "output": "cache: cannot resolve cache",
        "checks": {
            "ready:responseTime": [
                {
                    "componentId": "ready",
                    "componentType": "http",
                    "status": "pass",
                    "since": "1970-01-01T00:00:01.000Z",
                    "role": "readiness",
                    "severity": "fail",
                    "observedValue": 0.003,
                    "observedUnit": "s",
                }
            ],
            "cache": [
                {
                    "componentId": "cache",
                    "componentType": "tcp",
                    "status": "warn",
                    "since": "1970-01-01T00:00:02.500Z",
                    "role": "none",
                    "severity": "warn",
                    "flags": ["stale", "unknown"],
                    "output": "cannot resolve cache",
                }
            ],
        },
    }


def test_unknown_is_warn_with_a_flag_because_the_draft_has_no_word_for_it() -> None:
    document = health_json(rollup([]), [], RESOURCE)
    assert (document["status"], document["flags"]) == ("warn", ["unknown"])
