"""The fleet for a person at a terminal: a table, the worst first, with since and why. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from sidecar.model.health import State, Verdict

from .registry import Service
from .resources import moment
from .verdict import MAX_REASONS

MAX_ROWS = 100

Row = tuple[str, ...]


def fleet_text(status: State, services: Sequence[Service], now: float) -> str:
    """`services` come in the order to show."""
    well = sum(service.verdict.status is State.PASS for service in services)
    head = f"{status.value}: {well} of {len(services)} services well"
    rows: list[Row] = [("STATUS", "SERVICE", "SINCE (UTC)", "FOR", "WELL", "REASON")]
    for service in services[:MAX_ROWS]:
        up = sum(member.verdict.status is State.PASS for member in service.members)
        share = f"{up}/{len(service.members)}"
        rows.append((*_standing(service.name, service.verdict, now), share, _reason(service.verdict.reasons)))
    rows += _rest(len(services))
    return _table(head, rows if services else [])


def service_text(state: State, service: Service, now: float) -> str:
    """One service, a row for each of its instances, the worst first."""
    since = _since(service.verdict.since)
    head = f"{state.value}: {service.name}, {service.verdict.status.value} since {since} UTC"
    rows: list[Row] = [("STATUS", "INSTANCE", "SINCE (UTC)", "FOR", "REASON")]
    rows += [
        (*_standing(member.name, member.verdict, now), _reason(member.reasons)) for member in service.members[:MAX_ROWS]
    ]
    rows += _rest(len(service.members))
    return _table(head, rows)


def ago(seconds: float) -> str:
    """`42s`, `3m12s`, `5h07m`, `12d`."""
    whole = int(min(max(0.0, seconds), 1e12))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86400}d"


def _rest(count: int) -> list[Row]:
    return [(f"and {count - MAX_ROWS} more",)] if count > MAX_ROWS else []


def _standing(name: str, verdict: Verdict, now: float) -> Row:
    return verdict.status.value, name, _since(verdict.since), ago(now - verdict.since)


def _since(unix: float) -> str:
    return moment(unix).strftime("%Y-%m-%d %H:%M:%S")


def _reason(reasons: Sequence[str]) -> str:
    first, *more = reasons or ("",)
    if len(reasons) > MAX_REASONS:
        return f"{first} (and more)"
    return f"{first} (+{len(more)} more)" if more else first


def _table(head: str, rows: Sequence[Row]) -> str:
    columns = max((len(row) for row in rows), default=0)
    widths = [max(len(row[i]) for row in rows if len(row) == columns) for i in range(columns)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip() for row in rows]
    return "\n".join([head, *([""] if lines else []), *lines]) + "\n"
