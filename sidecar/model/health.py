"""The vocabulary of health: what one probe saw, what a check is, what a service is.

Raw and state are kept apart everywhere. *Raw* is what the last probe saw; *state* is what we say after
thresholds (Kubernetes' names and defaults). `unknown` is not a degree of badness: it means that we do not know,
and it is never shown as green.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class State(StrEnum):
    """`pass`, `warn` and `fail` in that order; `unknown` apart (health+json has no word for it)."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"


class Role(StrEnum):
    """Which Kubernetes question a check answers; `none` is shown and counted, but opens no gate."""

    LIVENESS = "liveness"
    READINESS = "readiness"
    STARTUP = "startup"
    NONE = "none"


class Severity(StrEnum):
    """The most that a failing condition or check can say about the service."""

    FAIL = "fail"
    WARN = "warn"


class Flag(StrEnum):
    """What is true beside the state."""

    STARTING = "starting"
    MAINTENANCE = "maintenance"
    FLAPPING = "flapping"
    STALE = "stale"
    SUPPRESSED = "suppressed"
    DRAINING = "draining"
    UNKNOWN = "unknown"


class Observed(msgspec.Struct, frozen=True):
    """One measured value of a probe; the unit is UCUM (`s`, `By`, `1`)."""

    name: str
    value: float
    unit: str


class Result(msgspec.Struct, frozen=True):
    """What one run of a probe saw.

    `output` is one line for a person: what was seen, and what was expected where it differs. A probe that failed
    because of us (no file descriptors, our resolver) answers `unknown`, never `fail`.
    """

    raw: State
    output: str = ""
    observed: tuple[Observed, ...] = ()


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """A check as others see it: in the heartbeat, in the API. `since` is unix seconds of the last change of state."""

    name: str
    kind: str
    role: Role = Role.NONE
    severity: Severity = Severity.FAIL
    state: State = State.UNKNOWN
    raw: State = State.UNKNOWN
    since: float = 0.0
    flags: tuple[Flag, ...] = ()
    output: str = ""
    observed: tuple[Observed, ...] = ()


class CheckReport(Check, frozen=True, kw_only=True):
    """A check as its own sidecar knows it: with the schedule and thresholds that made the state."""

    period: float
    timeout: float
    success_threshold: int
    failure_threshold: int
    failing: int = 0
    """Looks in a row that failed, up to now."""
    runs: int = 0
    last_run: float | None = None
    last_success: float | None = None
    duration: float | None = None


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """A change of state of one check; `at` is unix seconds."""

    check: str
    before: State
    after: State
    at: float
    output: str = ""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Many checks as one answer. `reasons` name the checks that keep `status` from `pass`, worst first."""

    status: State
    live: State
    ready: State
    started: State
    since: float
    flags: tuple[Flag, ...] = ()
    reasons: tuple[str, ...] = ()
