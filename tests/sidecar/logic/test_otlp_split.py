"""Halves of a request hold its items, each once, in order, with everything around them. upb is the judge."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from sidecar.logic.otlp_split import halve
from sidecar.logic.otlp_wire import count
from sidecar.model.signals import Batch, Signal
from tests.sidecar.otlp.receiving import field

shapes = st.lists(st.lists(st.lists(st.integers(0, 5), max_size=4), max_size=3), max_size=3)
"""Resources of scopes of metrics of so many points; spans and records are the number of metrics."""
KIND: dict[Signal, Any] = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
}
KINDS = ("gauge", "sum", "histogram", "exponential_histogram", "summary")


def request(signal: Signal, shape: list[list[list[int]]]) -> Any:
    number = 0
    made: Any = KIND[signal]()
    for r, scopes in enumerate(shape):
        resource = getattr(made, f"resource_{'spans' if signal is Signal.TRACES else signal}").add(schema_url=f"r{r}")
        resource.resource.attributes.add(key=f"k{r}").value.string_value = "v" * 200
        for s, items in enumerate(scopes):
            scope = getattr(resource, f"scope_{'spans' if signal is Signal.TRACES else signal}").add(schema_url=f"s{s}")
            scope.scope.name = f"scope{s}"
            for m, points in enumerate(items):
                if signal is Signal.METRICS:
                    metric = scope.metrics.add(name=f"m{m}", unit="By")
                    for _ in range(points):
                        number += 1
                        getattr(metric, KINDS[m % 5]).data_points.add(time_unix_nano=number)
                elif signal is Signal.TRACES:
                    number += 1
                    scope.spans.add(name=f"{number}", start_time_unix_nano=number)
                else:
                    number += 1
                    scope.log_records.add(time_unix_nano=number)
    return made


def leaves(signal: Signal, message: Any) -> list[tuple[object, ...]]:
    """Each item with all that it belongs to."""
    found: list[tuple[object, ...]] = []
    kind = "spans" if signal is Signal.TRACES else signal.value
    for resource in getattr(message, f"resource_{kind}"):
        for scope in getattr(resource, f"scope_{kind}"):
            around = (str(resource.resource), resource.schema_url, str(scope.scope), scope.schema_url)
            if signal is Signal.METRICS:
                for metric in scope.metrics:
                    which = metric.WhichOneof("data")
                    points = getattr(metric, which).data_points if which else ()
                    found += [(*around, metric.name, metric.unit, which, str(point)) for point in points]
            else:
                items = scope.spans if signal is Signal.TRACES else scope.log_records
                found += [(*around, str(item)) for item in items]
    return found


@given(st.sampled_from(list(Signal)), shapes)
def test_the_halves_hold_every_item_once_in_order_with_what_is_around_it(
    signal: Signal, shape: list[list[list[int]]]
) -> None:
    whole = request(signal, shape)
    body = whole.SerializeToString()
    items = count(signal, body)
    halves = halve(Batch(signal, body, items, 3))
    if items < 2:
        assert halves is None
        return
    assert halves is not None
    first, second = halves
    assert (first.items, second.items, first.hops) == (items // 2, items - items // 2, 3)
    parts = [leaves(signal, type(whole).FromString(half.body)) for half in halves]
    assert [len(part) for part in parts] == [first.items, second.items]
    assert parts[0] + parts[1] == leaves(signal, whole)


def test_a_metric_with_two_kinds_of_data_is_not_cut() -> None:
    """The last kind wins, so its points may not be parted from it."""

    def around(payload: bytes) -> bytes:
        return field(1, field(2, field(2, payload)))

    data = field(5, field(1, b"") * 3) + field(7, field(1, b"") * 2)
    body = around(data)
    assert count(Signal.METRICS, body) == 2
    assert halve(Batch(Signal.METRICS, body, 2)) is None
    assert halve(Batch(Signal.METRICS, body + around(field(5, field(1, b""))), 3)) is not None
