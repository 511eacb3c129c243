"""What we write by hand is what the generated classes read."""

from __future__ import annotations

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality

from sidecar.logic.otlp_metrics import encode
from sidecar.model.signals import Metric, Point

CPU = Metric(
    "process.cpu.time",
    "counter",
    "s",
    "CPU time.",
    (Point(1.5, (("cpu.mode", "user"),)), Point(0.25, (("cpu.mode", "system"),))),
    start=1000.5,
)
THREADS = Metric("process.thread.count", "updowncounter", "{thread}", "Threads.", (Point(7),))
UPTIME = Metric("process.uptime", "gauge", "s", "Seconds.", (Point(3.0),), start=5.0)
EMPTY = Metric("nothing", "gauge", "1", "No points.", ())


def test_every_field_is_read_back() -> None:
    body, count = encode({"service.name": "å" * 100}, [("outrider", "1.0", [CPU, THREADS, UPTIME, EMPTY])], 2000.25)
    request = ExportMetricsServiceRequest.FromString(body)
    (resource_metrics,) = request.resource_metrics
    assert [(a.key, a.value.string_value) for a in resource_metrics.resource.attributes] == [
        ("service.name", "å" * 100)
    ]
    (scope,) = resource_metrics.scope_metrics
    assert (scope.scope.name, scope.scope.version) == ("outrider", "1.0")
    cpu, threads, uptime = scope.metrics
    assert (cpu.name, cpu.unit, cpu.description) == ("process.cpu.time", "s", "CPU time.")
    assert cpu.sum.is_monotonic
    assert cpu.sum.aggregation_temporality == AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
    assert [(p.attributes[0].key, p.attributes[0].value.string_value, p.as_double) for p in cpu.sum.data_points] == [
        ("cpu.mode", "user", 1.5),
        ("cpu.mode", "system", 0.25),
    ]
    assert {(p.start_time_unix_nano, p.time_unix_nano) for p in cpu.sum.data_points} == {
        (1_000_500_000_000, 2_000_250_000_000)
    }
    assert not threads.sum.is_monotonic
    assert threads.sum.data_points[0].as_double == 7
    assert uptime.gauge.data_points[0].as_double == 3
    assert uptime.gauge.data_points[0].start_time_unix_nano == 0
    assert count == 4


def test_two_scopes_stand_under_one_resource() -> None:
    body, count = encode({}, [("a", "1", [THREADS]), ("b", "2", [UPTIME])], 1.0)
    request = ExportMetricsServiceRequest.FromString(body)
    assert [s.scope.name for s in request.resource_metrics[0].scope_metrics] == ["a", "b"]
    assert count == 2
