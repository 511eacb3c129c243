"""Metrics as Prometheus reads them, rendered by prometheus-client (imported at the first scrape: it costs memory).

Names follow the OpenTelemetry specification's mapping: dots become underscores, the unit is appended in words, counters
end in `_total`. https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from ..model.signals import Kind, Metric

if TYPE_CHECKING:
    from prometheus_client.core import Metric as Family

_UNITS = {"s": "seconds", "By": "bytes", "1": "ratio", "": ""}


def prometheus_name(name: str, unit: str, kind: Kind) -> str:
    """`process.cpu.time`, `s`, counter -> `process_cpu_time_seconds_total`. Annotations such as `{thread}` add nothing."""
    plain = name.replace(".", "_")
    word = "" if unit.startswith("{") else _UNITS.get(unit, unit)
    # `1` is a ratio only where it is measured against a whole.
    if unit == "1" and kind != "gauge":
        word = ""
    if word and not plain.endswith("_" + word):
        plain += "_" + word
    return plain + "_total" if kind == "counter" and not plain.endswith("_total") else plain


class Exposition:
    """Renders what `collect` gives at each scrape."""

    def __init__(self, collect: Callable[[], Iterable[Metric]]) -> None:
        self._collect = collect

    def render(self, accept: str) -> tuple[bytes, str]:
        """The body and its content type, as the scraper's Accept header asks."""
        from prometheus_client import CollectorRegistry
        from prometheus_client.exposition import choose_encoder

        registry = CollectorRegistry()
        registry.register(_Families(self._collect))
        generate, content_type = choose_encoder(accept)
        return generate(registry), content_type


class _Families:
    """prometheus-client's idea of a collector."""

    def __init__(self, collect: Callable[[], Iterable[Metric]]) -> None:
        self._collect = collect

    def describe(self) -> list[Family]:
        return []

    def collect(self) -> Iterator[Family]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        for metric in self._collect():
            if not metric.points:
                continue
            name = prometheus_name(metric.name, metric.unit, metric.kind)
            labels = [key.replace(".", "_") for key, _ in metric.points[0].attributes]
            make = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            family = make(name, metric.description, labels=labels)
            for point in metric.points:
                family.add_metric([value for _, value in point.attributes], point.value)
            yield family
