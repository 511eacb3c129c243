"""From what the registry knows to what the API shows. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal, cast

from sidecar.logic.health_json import flags_of, status_word
from sidecar.logic.rollup import badness
from sidecar.model import health
from sidecar.model.health import State, Verdict

from . import events, resources
from .instance import Instance
from .registry import Service
from .resources import instant, moment

Word = Literal["pass", "warn", "fail"]
MAX_MEMBERS = 100


def service(known: Service) -> resources.Service:
    verdict = known.verdict
    return resources.Service(
        service=known.name,
        status=verdict.status,
        since=moment(verdict.since),
        reasons=verdict.reasons,
        instances=counts(member.verdict.status for member in known.members),
        flags=verdict.flags,
        gates=gates(verdict),
    )


def instance(known: Instance) -> resources.Instance:
    return resources.Instance(
        instance=known.name,
        service=known.service,
        status=known.verdict.status,
        since=moment(known.verdict.since),
        reasons=known.reasons,
        flags=known.verdict.flags,
        gates=gates(known.verdict),
        heard=None if known.epoch < 0 else moment(known.heard.unix),
        lease_s=known.lease_s,
        attributes=dict(known.resource),
        checks=tuple(check(one) for one in known.shown_checks),
    )


def check(known: health.Check) -> resources.InstanceCheck:
    return resources.InstanceCheck(
        name=known.name,
        state=known.state,
        since=moment(known.since),
        output=known.output,
        raw=known.raw,
        kind=known.kind,
        role=known.role,
        severity=known.severity,
        flags=known.flags,
        observed=known.observed,
    )


def event(number: int, known: events.Event) -> resources.Event:
    return resources.Event(
        id=number,
        at=instant(round(known.at, 3)),
        kind=known.kind,
        service=known.service,
        instance=known.instance or None,
        check=known.check or None,
        before=known.before,
        after=known.after,
        since=None if known.since is None else moment(known.since),
        output=known.output,
    )


def gates(verdict: Verdict) -> resources.Gates:
    return resources.Gates(live=verdict.live, ready=verdict.ready, started=verdict.started)


def counts(states: Iterable[State]) -> resources.Counts:
    found = Counter(states)
    return resources.Counts(
        pass_=found[State.PASS], warn=found[State.WARN], fail=found[State.FAIL], unknown=found[State.UNKNOWN]
    )


def worst_first(known: Iterable[Service]) -> list[Service]:
    return sorted(known, key=lambda one: (-badness(one.verdict.status), one.name))


def word(state: State) -> Word:
    return cast("Word", status_word(state))


def flags(state: State, known: Sequence[health.Flag]) -> tuple[health.Flag, ...]:
    return tuple(health.Flag(flag) for flag in flags_of(state, known))


def fleet_checks(known: Iterable[Service]) -> dict[str, tuple[resources.HealthCheck, ...]]:
    """One entry for each service."""
    return {
        one.name: (
            resources.HealthCheck(
                component_id=one.name,
                component_type="component",
                status=word(one.verdict.status),
                time=moment(one.verdict.since),
                output="; ".join(one.verdict.reasons),
                flags=flags(one.verdict.status, one.verdict.flags),
            ),
        )
        for one in known
    }


def service_checks(known: Service) -> dict[str, tuple[resources.HealthCheck, ...]]:
    """One entry for each check, in it one for each instance, of `MAX_MEMBERS` instances."""
    entries: dict[str, list[resources.HealthCheck]] = {}
    for member in known.members[:MAX_MEMBERS]:
        for one in member.shown_checks:
            entries.setdefault(one.name, []).append(
                resources.HealthCheck(
                    component_id=member.name,
                    component_type=one.kind or "component",
                    status=word(one.state),
                    time=moment(one.since),
                    output=one.output,
                    flags=flags(one.state, one.flags),
                )
            )
    return {name: tuple(found) for name, found in entries.items()}
