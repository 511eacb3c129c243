"""`application/health+json` (draft-inadarei-api-health-check-06, expired 2022, widely spoken).

The draft knows pass, warn and fail. Our `unknown` is written as `warn` with `unknown` among the flags, so that a reader
who knows only the draft never takes it for green, and the HTTP status stays the gate's to decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from ..model.health import Check, Flag, State, Verdict
from ..model.resource import Resource

CONTENT_TYPE = "application/health+json"


def status_word(state: State) -> str:
    return "warn" if state is State.UNKNOWN else state.value


def rfc3339(at: float) -> str:
    """Unix seconds as RFC 3339 in UTC with milliseconds."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def flags_of(state: State, flags: Sequence[Flag]) -> list[str]:
    return sorted({*flags, *((Flag.UNKNOWN,) if state is State.UNKNOWN else ())})


def wants_text(accept: str, user_agent: str) -> bool:
    """Plain text where it is asked for, or for a terminal's client that takes anything."""
    if "json" in accept:
        return False
    return "text/plain" in accept or ("*/*" in accept and user_agent.lower().startswith(("curl/", "wget/", "httpie/")))


def health_json(verdict: Verdict, checks: Sequence[Check], resource: Resource) -> dict[str, Any]:
    """The document: `checks` are keyed `name:measurement` as the draft says."""
    document: dict[str, Any] = {
        "status": status_word(verdict.status),
        "serviceId": resource.service,
        "description": f"{resource.service} ({resource.instance})",
        "since": rfc3339(verdict.since),
    }
    if "service.version" in resource.attributes:
        document["version"] = resource.attributes["service.version"]
    if flags := flags_of(verdict.status, verdict.flags):
        document["flags"] = flags
    if verdict.reasons:
        document["output"] = "; ".join(verdict.reasons)
    entries: dict[str, list[dict[str, Any]]] = {}
    for check in checks:
        base: dict[str, Any] = {
            "componentId": check.name,
            "componentType": check.kind,
            "status": status_word(check.state),
            "since": rfc3339(check.since),
            "role": check.role.value,
            "severity": check.severity.value,
        }
        if flags := flags_of(check.state, check.flags):
            base["flags"] = flags
        if check.output and check.state is not State.PASS:
            base["output"] = check.output
        for seen in check.observed:
            entries[f"{check.name}:{seen.name}"] = [{**base, "observedValue": seen.value, "observedUnit": seen.unit}]
        if not check.observed:
            entries[check.name] = [base]
    document["checks"] = entries
    return document
