"""The shapes of every answer. `openapi.json` is generated from these types; times are UTC, RFC 3339.

Each answer says `as_of`, the moment it was true, and `revision`, which rises with every change of state in the fleet.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec

from sidecar.model.health import Flag, Observed, Role, Severity, State

from .events import EventKind

_LAST = 253_402_300_799.0
"""The last second of the year 9999, which is the last that can be written."""


def moment(unix: float) -> datetime:
    """Unix seconds as UTC, to the second: what people compare. Total, as `instant` is."""
    return datetime.fromtimestamp(int(_known(unix)), UTC)


def instant(unix: float) -> datetime:
    """Unix seconds as UTC, to the microsecond. Any number is some time: what no calendar holds is its nearest end."""
    return datetime.fromtimestamp(_known(unix), UTC)


def _known(unix: float) -> float:
    # The order of arguments makes nan 0.
    return min(max(0.0, unix), _LAST)


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """What all shapes share: frozen, by keyword."""


class Counts(Resource, frozen=True, kw_only=True):
    """How many instances have which status."""

    pass_: int = msgspec.field(name="pass", default=0)
    warn: int = 0
    fail: int = 0
    unknown: int = 0


class Gates(Resource, frozen=True, kw_only=True):
    """Kubernetes' three questions; a gate without a check of its role is `pass`."""

    live: State
    ready: State
    started: State


class InstanceCheck(Resource, frozen=True, kw_only=True):
    """`state` is after thresholds, `since` its last change. `raw` (what the last probe saw), `output` and `observed` are as
    of the last heartbeat (`heard`): a change of `state` comes at once, without one they are up to an interval old."""

    name: str
    state: State
    since: datetime
    output: str
    raw: State
    kind: str
    role: Role
    severity: Severity
    flags: tuple[Flag, ...]
    observed: tuple[Observed, ...]


class Instance(Resource, frozen=True, kw_only=True):
    """`heard` is the last heartbeat (absent until the first one after the collector's restart)."""

    instance: str
    service: str
    status: State
    since: datetime
    reasons: tuple[str, ...]
    flags: tuple[Flag, ...]
    gates: Gates
    heard: datetime | None
    lease_s: float
    attributes: dict[str, str]
    checks: tuple[InstanceCheck, ...]


class Service(Resource, frozen=True, kw_only=True):
    """`reasons` are `instance: check: output`, the worst first."""

    service: str
    status: State
    since: datetime
    reasons: tuple[str, ...]
    instances: Counts
    flags: tuple[Flag, ...]
    gates: Gates


class Services(Resource, frozen=True, kw_only=True):
    """The worst first, then by name."""

    as_of: datetime
    revision: int
    services: tuple[Service, ...]


class ServiceDetail(Resource, frozen=True, kw_only=True):
    """The worst 1000 instances first. `next` is the cursor with which `/v1/instances?service=` goes on."""

    as_of: datetime
    revision: int
    service: Service
    instances: tuple[Instance, ...]
    next: str | None


class Instances(Resource, frozen=True, kw_only=True):
    """The worst first, then by service and name. `next` is the cursor of the page after this one."""

    as_of: datetime
    revision: int
    instances: tuple[Instance, ...]
    next: str | None


class Event(Resource, frozen=True, kw_only=True):
    """`at` is the collector's clock; `since` is when the status `after` began. Without `check` it is about the instance
    as a whole, without `instance` about the service."""

    id: int
    at: datetime
    kind: EventKind
    service: str
    instance: str | None
    check: str | None
    before: State | None
    after: State | None
    since: datetime | None
    output: str


class Events(Resource, frozen=True, kw_only=True):
    """Newest first. `next` is the cursor of the page after this one, of older events."""

    as_of: datetime
    revision: int
    events: tuple[Event, ...]
    next: str | None


class HealthCheck(Resource, frozen=True, kw_only=True, rename="camel"):
    """A member of `checks` in application/health+json: a service of the fleet, or a check of an instance."""

    component_id: str
    component_type: str
    status: Literal["pass", "warn", "fail"]
    time: datetime
    output: str
    flags: tuple[Flag, ...]


class Health(Resource, frozen=True, kw_only=True):
    """`application/health+json`: `unknown` is written as `warn` with the flag `unknown`. `time` of a check is when its
    status began. Of a service `checks` has those of its 100 worst instances."""

    status: Literal["pass", "warn", "fail"]
    description: str
    output: str
    flags: tuple[Flag, ...]
    as_of: datetime
    since: datetime | None
    revision: int
    checks: dict[str, tuple[HealthCheck, ...]]


class Trace(Resource, frozen=True, kw_only=True):
    """A trace as far as it is held. Root is the span without a parent here; `error` says that any span has one."""

    trace_id: str
    service: str
    name: str
    start: datetime
    duration_ms: float
    spans: int
    error: bool
    services: tuple[str, ...]


class Traces(Resource, frozen=True, kw_only=True):
    """Newest first, by the arrival of their last span."""

    as_of: datetime
    revision: int
    traces: tuple[Trace, ...]


AttributeValue = str | bool | int | float | None | list[Any] | dict[str, Any]


class SpanEvent(Resource, frozen=True, kw_only=True):
    name: str
    time: datetime
    attributes: dict[str, AttributeValue]


class Span(Resource, frozen=True, kw_only=True):
    span_id: str
    parent: str | None
    service: str
    instance: str | None
    name: str
    kind: Literal["unspecified", "internal", "server", "client", "producer", "consumer"]
    start: datetime
    duration_ms: float
    status: Literal["unset", "ok", "error"]
    message: str
    attributes: dict[str, AttributeValue]
    events: tuple[SpanEvent, ...]


class TraceDetail(Resource, frozen=True, kw_only=True):
    as_of: datetime
    revision: int
    trace: Trace
    spans: tuple[Span, ...]
    """By start."""


class Telemetry(Resource, frozen=True, kw_only=True):
    """What came by OTLP since the start. Traces are held in memory; metrics and logs are counted and dropped now."""

    spans: int
    spans_held: int
    metrics_dropped: int
    logs_dropped: int


class Index(Resource, frozen=True, kw_only=True):
    as_of: datetime
    revision: int
    version: str
    status: State
    instances: int
    heartbeats_ignored: int
    """Late, repeated, or from a second sidecar under the name of another; since the start."""
    events_dropped: int
    telemetry: Telemetry
    links: dict[str, str]


class Ok(Resource, frozen=True, kw_only=True):
    status: Literal["ok"] = "ok"


class Problem(Resource, frozen=True, kw_only=True):
    """RFC 9457, `application/problem+json`."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str


# Query parameters


class NoQuery(Resource, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


Limit = Annotated[int, msgspec.Meta(ge=1, le=1000)]


class ServicesQuery(Resource, frozen=True, kw_only=True, forbid_unknown_fields=True):
    status: State | None = None


class InstancesQuery(Resource, frozen=True, kw_only=True, forbid_unknown_fields=True):
    service: str | None = None
    status: State | None = None
    limit: Limit = 1000
    cursor: str | None = None


class EventsQuery(Resource, frozen=True, kw_only=True, forbid_unknown_fields=True):
    service: str | None = None
    limit: Limit = 100
    cursor: str | None = None


class GateQuery(Resource, frozen=True, kw_only=True, forbid_unknown_fields=True):
    fail_on: Literal["fail", "warn", "never"] = "fail"
    probe: Literal["live", "ready", "started"] | None = None


class TracesQuery(Resource, frozen=True, kw_only=True, forbid_unknown_fields=True):
    service: str | None = None
    error: bool | None = None
    limit: Limit = 50
