"""From instances to a service, from services to the fleet. Pure.

One instance that passes or warns keeps its service at `warn`: degraded, but somebody is served. Only when nobody passes
or warns is the service `fail`, or `unknown` where nothing but silence is left.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sidecar.logic.rollup import badness, worst
from sidecar.model.health import Flag, State, Verdict

from .admission import MAX_TEXT

MAX_REASONS = 10


def combine(states: Iterable[State]) -> State:
    """The state of a service (or of one of its gates) from those of its instances."""
    found = set(states)
    if found == {State.PASS}:
        return State.PASS
    if found & {State.PASS, State.WARN}:
        return State.WARN
    return State.FAIL if State.FAIL in found else State.UNKNOWN


def unknown_verdict(why: str, since: float = 0.0, *flags: Flag) -> Verdict:
    """Nothing is known, at no gate."""
    unknown = State.UNKNOWN
    return Verdict(
        status=unknown,
        live=unknown,
        ready=unknown,
        started=unknown,
        since=since,
        flags=flags,
        reasons=(why,),
    )


def service_verdict(members: Mapping[str, Verdict], before: State, since: float, now: float) -> Verdict:
    """The verdict over the instances by name; `since` is kept while the status is still `before`."""
    verdicts = members.values()
    status = combine(v.status for v in verdicts)
    return Verdict(
        status=status,
        live=combine(v.live for v in verdicts),
        ready=combine(v.ready for v in verdicts),
        started=combine(v.started for v in verdicts),
        since=since if status is before else now,
        flags=tuple(sorted({flag for v in verdicts for flag in v.flags})),
        reasons=reasons(members),
    )


def reasons(members: Mapping[str, Verdict]) -> tuple[str, ...]:
    """`instance: check: output` for each that is not well: the worst first, of those the earliest."""
    unwell = sorted(
        ((name, v) for name, v in members.items() if v.status is not State.PASS),
        key=lambda item: (-badness(item[1].status), item[1].since, item[0]),
    )
    lines = [f"{name}: {reason}" for name, v in unwell for reason in v.reasons or (v.status.value,)]
    if len(lines) > MAX_REASONS:
        lines[MAX_REASONS:] = [f"and {len(lines) - MAX_REASONS} more"]
    return tuple(lines)


def fleet_status(services: Iterable[State]) -> State:
    """The worst service's: pass, warn, unknown, fail in that order. A fleet without services is `unknown`."""
    return worst(services, State.UNKNOWN)


def gates_of(verdict: Verdict) -> object:
    """Equal for two verdicts between which no gate, and no flag, changed."""
    return verdict.status, verdict.live, verdict.ready, verdict.started, verdict.flags


def why(verdict: Verdict) -> str:
    """One line for an event."""
    return "; ".join(verdict.reasons[:3])[:MAX_TEXT]
