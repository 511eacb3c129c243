"""What the demo says about itself once it runs: where everything is, what to ask, what to break. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from .plan import Plan


def introduction(plan: Plan, directory: Path, pids: Mapping[str, int]) -> list[str]:
    """`pids` by the children's names. Every command can be pasted into another terminal.

    Lines are at most 80 wide, and what to do comes last: there it is still seen above the table on 24 lines.
    """
    first, cache = plan.instances[0], plan.cache
    places = [
        ("NAME", "URL", "PID", "SIDECAR", "OTLP (gRPC, HTTP)"),
        *(
            (i.name, i.url, str(pids[i.name]), f":{i.api_port}", f":{i.grpc_port} and :{i.otlp_port}")
            for i in plan.instances
        ),
        (
            "collector",
            plan.collector,
            str(pids["collector"]),
            "",
            f":{plan.collector_grpc_port} and :{plan.collector_port}",
        ),
    ]
    return [
        "",
        *columns(*places, gap=2),
        "",
        "Dashboards, and files:",
        *columns(
            (f"{directory}/prometheus.yml", "scrape config for Prometheus"),
            (f"{directory}/GRAFANA.md", "the steps in your Grafana"),
            (f"{directory}/logs", "what each process said"),
        ),
        "",
        "Ask, in another terminal:",
        *columns(
            (f"curl -s {plan.collector}/v1/health", "the fleet, for people"),
            (f"curl -s {plan.collector}/v1/services", "the same, for programs"),
            (f"curl -s '{plan.collector}/v1/traces?error=true'", "traces with errors"),
            (f"curl -s {first.sidecar}/health", "one sidecar's verdict"),
            (f"curl -s {first.sidecar}/status", "all that it knows"),
            (f"curl -s {first.sidecar}/metrics", "its metrics"),
            (f"curl -si {first.url}/items/1", "the API itself"),
        ),
        "",
        "Break it, and watch:",
        *columns(
            (f"kill -9 {pids[cache.name]}", "the cache fails; the API still serves, degraded"),
            (f"kill -STOP {pids[plan.instances[1].name]}", "a replica hangs (-CONT wakes it)"),
        ),
        "Bring the cache back, in a terminal of its own:",
        f"  sh {directory}/start-{cache.name}.sh",
        "",
        "Ctrl-C stops everything that was started here.",
        "",
    ]


def columns(*rows: tuple[str, ...], gap: int = 3) -> list[str]:
    """Rows of one length, aligned and indented."""
    widths = [max(map(len, column)) + gap for column in zip(*rows, strict=True)]
    return ["  " + "".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
