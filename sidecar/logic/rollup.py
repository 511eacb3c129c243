"""Many checks as one verdict.

Order of badness: pass, warn, unknown, fail. `unknown` stands above `warn` because it must never be taken for green: a
service of which one vital check cannot be seen is not known to be well. A check of severity `warn` can say no more than
`warn`, whatever it sees. A gate (live, ready, started) without any check of its role is `pass`, as in Kubernetes; a
service without any check at all is `unknown`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..model.health import Check, Flag, Role, Severity, State, Verdict

_BADNESS = {State.PASS: 0, State.WARN: 1, State.UNKNOWN: 2, State.FAIL: 3}


def badness(state: State) -> int:
    """A sort key: the greater, the worse."""
    return _BADNESS[state]


def worst(states: Iterable[State], empty: State) -> State:
    return max(states, key=badness, default=empty)


def weight(check: Check) -> State:
    """What a check's state says about its service: a severity of `warn` caps it."""
    if check.severity is Severity.WARN and check.state is not State.PASS:
        return State.WARN
    return check.state


def rollup(
    checks: Sequence[Check], before: Verdict | None = None, now: float = 0.0, empty: State = State.UNKNOWN
) -> Verdict:
    """The verdict over `checks`, `empty` without any; `since` is kept from `before` while the status stays the same."""

    def gate(role: Role) -> State:
        return worst((weight(check) for check in checks if check.role is role), State.PASS)

    status = worst(map(weight, checks), empty)
    unwell = sorted(
        (check for check in checks if weight(check) is not State.PASS),
        key=lambda check: (-badness(weight(check)), check.since, check.name),
    )
    return Verdict(
        status=status,
        live=gate(Role.LIVENESS),
        ready=gate(Role.READINESS),
        started=gate(Role.STARTUP),
        since=before.since if before is not None and before.status is status else now,
        flags=tuple(sorted({flag for check in checks for flag in check.flags} & _VERDICT_FLAGS)),
        reasons=tuple(f"{check.name}: {check.output}" if check.output else check.name for check in unwell)
        or (() if status is State.PASS else ("no checks are configured",)),
    )


_VERDICT_FLAGS = {Flag.STARTING, Flag.MAINTENANCE, Flag.STALE, Flag.DRAINING}


def is_open(state: State, *, fail_on: State = State.FAIL, unknown_passes: bool = False) -> bool:
    """Whether a gate in `state` answers 200. `unknown` closes a readiness gate and leaves a liveness gate open."""
    if state is State.UNKNOWN:
        return unknown_passes
    return badness(state) < badness(fail_on)
