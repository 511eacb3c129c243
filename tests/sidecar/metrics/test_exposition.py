"""What Prometheus reads, literally."""

from __future__ import annotations

import pytest

from sidecar.metrics.exposition import Exposition, prometheus_name
from sidecar.model.signals import Kind, Metric, Point


@pytest.mark.parametrize(
    ("name", "unit", "kind", "expected"),
    [
        ("process.cpu.time", "s", "counter", "process_cpu_time_seconds_total"),
        ("process.cpu.utilization", "1", "gauge", "process_cpu_utilization_ratio"),
        ("process.memory.usage", "By", "updowncounter", "process_memory_usage_bytes"),
        ("process.thread.count", "{thread}", "updowncounter", "process_thread_count"),
        ("process.context_switches", "{context_switch}", "counter", "process_context_switches_total"),
        ("outrider.otlp.bytes", "By", "counter", "outrider_otlp_bytes_total"),
        ("outrider.health.status", "", "gauge", "outrider_health_status"),
    ],
)
def test_names(name: str, unit: str, kind: Kind, expected: str) -> None:
    assert prometheus_name(name, unit, kind) == expected


def test_the_whole_text() -> None:
    exposition = Exposition(
        lambda: [
            Metric("process.cpu.time", "counter", "s", "CPU.", (Point(1.5, (("cpu.mode", "user"),)),), start=7.0),
            Metric("process.uptime", "gauge", "s", "Up.", (Point(3.0),)),
            Metric("outrider.nothing", "gauge", "", "Left out: no points.", ()),
        ]
    )
    body, content_type = exposition.render("text/plain")
    assert content_type.startswith("text/plain; version=0.0.4")
    assert body.decode() == (
        "# HELP process_cpu_time_seconds_total CPU.\n"
        "# TYPE process_cpu_time_seconds_total counter\n"
        'process_cpu_time_seconds_total{cpu_mode="user"} 1.5\n'
        "# HELP process_uptime_seconds Up.\n"
        "# TYPE process_uptime_seconds gauge\n"
        "process_uptime_seconds 3.0\n"
    )


def test_openmetrics_for_who_asks_for_it() -> None:
    exposition = Exposition(lambda: [Metric("a", "gauge", "", "A.", (Point(1),))])
    body, content_type = exposition.render("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")
