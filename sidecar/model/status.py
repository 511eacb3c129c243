"""`/status`: everything that a sidecar knows about its neighbour and itself, as one document.

Times are RFC 3339 in UTC; durations end in `_s` (seconds), sizes in `_bytes`.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from .health import Flag, Observed, Role, Severity, State
from .resource import Attributes


class CheckStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One check: `raw` is what the last look saw, `state` what it means after the thresholds."""

    name: str
    kind: str
    role: Role
    severity: Severity
    state: State
    raw: State
    since: datetime
    flags: tuple[Flag, ...]
    output: str
    observed: tuple[Observed, ...]
    period_s: float
    timeout_s: float
    success_threshold: int
    failure_threshold: int
    failing: int
    runs: int
    last_run: datetime | None
    last_success: datetime | None
    last_success_age_s: float | None
    duration_s: float | None


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict over all checks, and the three gates of Kubernetes."""

    status: State
    since: datetime
    live: State
    ready: State
    started: State
    flags: tuple[Flag, ...]
    reasons: tuple[str, ...]


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """One value under its OpenTelemetry name."""

    name: str
    unit: str
    value: float
    attributes: Attributes


class MissingField(msgspec.Struct, frozen=True, kw_only=True):
    """What cannot be measured, why, and what would help."""

    field: str
    reason: str
    remedy: str


class ProcessStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The neighbour's process and its whole tree; `why` says how it was found, or why not."""

    found: bool
    why: str
    pid: int | None
    name: str
    command_line: str
    state: str
    started: datetime | None
    restarts: int
    processes: int
    metrics: tuple[Series, ...]
    missing: tuple[MissingField, ...]


class ListenerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One port of ours: `why` says what keeps it from listening, `warning` which file of a certificate or token cannot be used
    now. `refused_handshakes` by reason, where it speaks TLS."""

    name: str
    address: str
    up: bool
    why: str
    warning: str
    refused_handshakes: dict[str, int]


class ReceiverStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What applications have sent us; items are spans, data points and log records; refusals by HTTP status."""

    connections: int
    requests: dict[str, int]
    items: dict[str, int]
    bytes: dict[str, int]
    refused: dict[str, int]


class UpstreamRates(msgspec.Struct, frozen=True):
    """Over the last 10 s: in is what was meant for the upstream, out what it has accepted. Bytes are those before compression."""

    in_items_per_s: float
    in_bytes_per_s: float
    out_items_per_s: float
    out_bytes_per_s: float


class UpstreamStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Where telemetry goes: `endpoint` as it is configured but for credentials, `protocol` is grpc or http/protobuf. `state` has
    been the same since `since`: ok, retrying, held (it refuses us until somebody acts) or full (its place in the spool is used
    up: producers are answered 429). `why` is the reason, `retry_at` when it is tried again. `held_signals` are those that it
    says it does not have, with its words: they wait, `retry_at` is their next trial, and the state is held only if it has taken
    no other.

    `queue_…`: what waits, in the spool and in memory. `items` are accepted, or refused: their producers were told and keep them.
    `lost` items by reason: rejected (by the upstream), too_large (for it), evicted (too much waited), corrupt (the disk changed
    them), dropped (our own telemetry).
    """

    name: str
    endpoint: str
    protocol: str
    state: str
    since: datetime
    why: str
    held_signals: dict[str, str]
    required: bool
    retry_at: datetime | None
    retry_in_s: float | None
    in_flight_bytes: int
    queue_rows: int
    queue_bytes: int
    queue_oldest_age_s: float | None
    rates: UpstreamRates | None
    items: dict[str, int]
    lost: dict[str, int]
    last_success: datetime | None
    last_success_age_s: float | None
    last_error: str
    last_error_at: datetime | None


class SpoolStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The queue on disk. `why` says what keeps it from being written; then telemetry is forwarded in memory only.

    `unclaimed`: rows for upstreams that are not configured any more, kept until `outrider spool purge --upstream NAME`.
    `quarantined` requests by upstream and reason: rejected, too_large, corrupt, unreadable. `errors` by a word each; `torn_log`
    and `corrupt` are files that were found broken, and work goes on without what could not be read.
    """

    path: str
    usable: bool
    why: str
    max_bytes: int
    disk_bytes: int
    unclaimed: dict[str, int]
    written: dict[str, int]
    quarantined: dict[str, dict[str, int]]
    evicted: dict[str, int]
    errors: dict[str, int]


class LogSourceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One source of logs. `why` says what keeps it from reading now, or has broken it lately; it tries again by itself. `records`
    by severity; `dropped` lines by reason, `redacted` values by rule, `errors` by a word each.

    `lag_…`: written and not yet delivered. `lost_bytes` are known to have vanished unread; a truncation may have taken lines too.
    """

    name: str
    kind: str
    why: str
    streams: int
    lines: int
    bytes: int
    records: dict[str, int]
    dropped: dict[str, int]
    redacted: dict[str, int]
    rotations: int
    truncations: int
    cut_lines: int
    lost_bytes: int
    lag_bytes: int
    lag_s: float
    errors: dict[str, int]


class LogsStatus(msgspec.Struct, frozen=True, kw_only=True):
    """`why` says what keeps logs from being delivered now. `checkpoints` is the file that says after a restart where to go on;
    without one everything is read again from `start_at`."""

    why: str
    checkpoints: str | None
    sources: tuple[LogSourceStatus, ...]


class HeartbeatStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Our reports to the collector."""

    url: str
    sent: int
    failed: int
    resyncs: int
    last_success: datetime | None
    last_success_age_s: float | None
    last_error: str


class Status(msgspec.Struct, frozen=True, kw_only=True):
    version: str
    as_of: datetime
    uptime_s: float
    resource: Attributes
    health: Health
    checks: tuple[CheckStatus, ...]
    process: ProcessStatus
    listeners: tuple[ListenerStatus, ...]
    otlp: ReceiverStatus
    relay: tuple[UpstreamStatus, ...]
    spool: SpoolStatus | None
    logs: LogsStatus | None
    collector: HeartbeatStatus | None
    loop_lag_s: float
    warnings: tuple[str, ...]
