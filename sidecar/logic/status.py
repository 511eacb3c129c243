"""What we know, as `/status` shows it: times as RFC 3339, durations in seconds, nothing internal."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import overload

from ..model.counters import HeartbeatCounters, LogCounters, ReceiverCounters
from ..model.health import CheckReport, Verdict
from ..model.process import ProcessSample
from ..model.status import (
    CheckStatus,
    Health,
    HeartbeatStatus,
    LogSourceStatus,
    MissingField,
    ProcessStatus,
    ReceiverStatus,
    Series,
)


@overload
def time_of(at: float) -> datetime: ...
@overload
def time_of(at: float | None) -> datetime | None: ...
def time_of(at: float | None) -> datetime | None:
    """Unix seconds as a time to the millisecond."""
    return None if at is None else datetime.fromtimestamp(round(at, 3), UTC)


def age_of(at: float | None, now: float) -> float | None:
    return None if at is None else round(max(0.0, now - at), 3)


def health(verdict: Verdict) -> Health:
    return Health(
        status=verdict.status,
        since=time_of(verdict.since),
        live=verdict.live,
        ready=verdict.ready,
        started=verdict.started,
        flags=verdict.flags,
        reasons=verdict.reasons,
    )


def check(report: CheckReport, now: float) -> CheckStatus:
    return CheckStatus(
        name=report.name,
        kind=report.kind,
        role=report.role,
        severity=report.severity,
        state=report.state,
        raw=report.raw,
        since=time_of(report.since),
        flags=report.flags,
        output=report.output,
        observed=report.observed,
        period_s=report.period,
        timeout_s=report.timeout,
        success_threshold=report.success_threshold,
        failure_threshold=report.failure_threshold,
        failing=report.failing,
        runs=report.runs,
        last_run=time_of(report.last_run),
        last_success=time_of(report.last_success),
        last_success_age_s=age_of(report.last_success, now),
        duration_s=None if report.duration is None else round(report.duration, 6),
    )


def process(sample: ProcessSample) -> ProcessStatus:
    return ProcessStatus(
        found=sample.found,
        why=sample.why,
        pid=sample.pid or None,
        name=sample.name,
        command_line=sample.cmdline,
        state=sample.state,
        started=time_of(sample.started or None),
        restarts=sample.restarts,
        processes=sample.pids,
        metrics=tuple(
            Series(name=metric.name, unit=metric.unit, value=point.value, attributes=dict(point.attributes))
            for metric in sample.metrics
            for point in metric.points
        ),
        missing=tuple(
            MissingField(field=missing.field, reason=missing.reason, remedy=missing.remedy)
            for missing in sample.missing
        ),
    )


def receiver(counters: ReceiverCounters) -> ReceiverStatus:
    return ReceiverStatus(
        connections=counters.connections,
        requests={signal.value: count for signal, count in counters.requests.items()},
        items={signal.value: count for signal, count in counters.items.items()},
        bytes={signal.value: count for signal, count in counters.bytes.items()},
        refused={str(status): count for status, count in sorted(counters.refused.items())},
    )


def log_source(name: str, kind: str, why: str, counters: LogCounters) -> LogSourceStatus:
    return LogSourceStatus(
        name=name,
        kind=kind,
        why=why,
        streams=counters.streams,
        lines=counters.lines,
        bytes=counters.bytes,
        records=counters.by_range(),
        dropped=dict(counters.dropped),
        redacted=dict(counters.redacted),
        rotations=counters.rotations,
        truncations=counters.truncations,
        cut_lines=counters.cut_lines,
        lost_bytes=counters.lost_bytes,
        lag_bytes=counters.lag_bytes,
        lag_s=round(counters.lag_seconds, 3),
        errors=dict(counters.errors),
    )


def heartbeats(url: str, counters: HeartbeatCounters, now: float) -> HeartbeatStatus:
    return HeartbeatStatus(
        url=url,
        sent=counters.sent,
        failed=counters.failed,
        resyncs=counters.resyncs,
        last_success=time_of(counters.last_success_at),
        last_success_age_s=age_of(counters.last_success_at, now),
        last_error=counters.last_error,
    )
