"""What a person at a terminal is told when a command starts with a sidecar beside it: what was found, what not, and why."""

from __future__ import annotations

from collections.abc import Mapping

from ..model.status import Status
from .printable import printable

_PROTOCOLS = {"otlp grpc": "gRPC", "otlp http": "HTTP"}


def found_text(
    status: Status, period: str, told: Mapping[str, str | None], not_told: str, *, is_over: bool = False
) -> str:
    """`period` is that of the process's metrics. `told` is what was changed in the command's environment, or `not_told` why
    nothing was. `is_over` where the command has ended before anybody looked."""
    service = status.resource.get("service.name", "")
    rows = [
        ("process", "has ended already" if is_over else _process(status)),
        ("health", _health(status)),
        ("metrics", f"of the process and its children, every {period}" if status.process.found else "none"),
        *(
            ("", f"not measured: {missing.field}: {missing.reason}; {missing.remedy}")
            for missing in status.process.missing
        ),
        ("logs", _logs(status)),
        ("otlp", _otlp(status, told, not_told)),
        ("sent to", _upstreams(status)),
        *(
            ("status", f"{one.address}/status" if one.up else f"not open: {one.why}")
            for one in status.listeners
            if one.name == "api"
        ),
        *(("warning", warning) for warning in status.warnings),
    ]
    lines = [f"outrider {status.version} beside {service}", *(f"  {what:<8} {text}" for what, text in rows)]
    return "".join(f"{printable(line)}\n" for line in lines)


def _process(status: Status) -> str:
    process = status.process
    if not process.found:
        return f"not found: {process.why}"
    return f"{process.name}, pid {process.pid}" + (f", {process.processes} processes" if process.processes > 1 else "")


def _health(status: Status) -> str:
    if status.checks:
        return "checks " + ", ".join(check.name for check in status.checks)
    return "not checked: give --target http://127.0.0.1:PORT, or probes in a file"


def _logs(status: Status) -> str:
    files = [source.name for source in status.logs.sources if source.kind != "child"] if status.logs else []
    return ", ".join(["stdout and stderr of the command", *files])


def _otlp(status: Status, told: Mapping[str, str | None], not_told: str) -> str:
    listeners = [one for one in status.listeners if one.name in _PROTOCOLS]
    opened = [f"{one.address} ({_PROTOCOLS[one.name]})" for one in listeners if one.up]
    closed = [f"{one.why} ({_PROTOCOLS[one.name]})" for one in listeners if not one.up]
    if not opened:
        return f"closed: {'; '.join(closed) or not_told}"
    endpoints = [name for name in told if name.endswith("ENDPOINT")]
    how = f"the command is told by {', '.join(endpoints)}" if endpoints else f"the command is not told: {not_told}"
    return "; ".join([", ".join(opened), *closed, how])


def _upstreams(status: Status) -> str:
    if status.relay:
        return ", ".join(upstream.endpoint for upstream in status.relay)
    return "nowhere: set OUTRIDER_COLLECTOR_URL or OTEL_EXPORTER_OTLP_ENDPOINT"
