"""The API's metrics, by the names of OpenTelemetry's conventions, on a registry of its own: one per app."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

# https://opentelemetry.io/docs/specs/semconv/http/http-metrics/ and .../database/database-metrics/
HTTP_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
DB_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10)


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self.requests = Histogram(
            "http_server_request_duration_seconds",
            "Time to answer a request.",
            ["http_request_method", "http_route", "http_response_status_code"],
            buckets=HTTP_BUCKETS,
            registry=self.registry,
        )
        self.active = Gauge("http_server_active_requests", "Requests being served now.", registry=self.registry)
        self.cache = Counter(
            "cache_client_requests",
            "Lookups by result, and calls to the cache that failed.",
            ["result"],
            registry=self.registry,
        )
        self.database = Histogram(
            "db_client_operation_duration_seconds",
            "Time of a database operation, its wait for the one connection included.",
            ["db_operation_name"],
            buckets=DB_BUCKETS,
            registry=self.registry,
        )
        for result in ("hit", "miss", "error"):
            self.cache.labels(result)  # a rate needs the zero before the first event
