"""The cache's metrics, on a registry of its own: one per app, so that tests run many in a process."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from .store import Store

BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5)


class StoreCollector(Collector):
    """The store counts for itself; this reads it when asked."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("cache_items", "Entries held.", value=len(self.store))
        yield GaugeMetricFamily("cache_memory_bytes", "Bytes charged to the entries held.", value=self.store.used)
        evictions = CounterMetricFamily("cache_evictions", "Entries dropped by the cache itself.", labels=["reason"])
        for reason, count in self.store.evictions.items():
            evictions.add_metric([reason], count)
        yield evictions


class Metrics:
    def __init__(self, store: Store) -> None:
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self.registry.register(StoreCollector(store))
        self.requests = Counter(
            "cache_requests", "Operations by result.", ["operation", "result"], registry=self.registry
        )
        self.duration = Histogram(
            "cache_request_duration_seconds",
            "Time to serve an operation.",
            ["operation"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        for operation, result in (
            ("get", "hit"),
            ("get", "miss"),
            ("set", "ok"),
            ("delete", "hit"),
            ("delete", "miss"),
        ):
            self.requests.labels(operation, result)  # a rate needs the zero before the first event
