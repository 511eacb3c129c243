"""*Service*: one service in depth: health, requests, cache, database, process, sidecar."""

from __future__ import annotations

from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

from .attached import health, process, sidecar
from .frame import build
from .logs import logs
from .panels import lines
from .promql import latest, or_zero, quantile, rate, ratio

REQUESTS = "http_server_request_duration_seconds"
DATABASE = "db_client_operation_duration_seconds"
CACHE = "cache_request_duration_seconds"
QUANTILES = 0.5, 0.95, 0.99


def service() -> Dashboard:
    return build(
        "outrider-service",
        "Service",
        "One service in depth. Pick it by job and instance above.",
        {
            "Health": health(),
            "Requests": _requests(),
            "Cache": _cache(),
            "Database": _database(),
            "Logs": logs(),
            "Process": process(),
            "Sidecar": sidecar(),
        },
    )


def _requests() -> list[Builder[Panel]]:
    return [
        lines(
            "Rate by route",
            "HTTP requests served per second.",
            "reqps",
            {"{{http_route}}": rate(f"{REQUESTS}_count", "http_route")},
        ),
        lines(
            "Rate by status",
            "HTTP responses per second, by status code.",
            "reqps",
            {"{{http_response_status_code}}": rate(f"{REQUESTS}_count", "http_response_status_code")},
        ),
        lines(
            "Errors",
            "Share of HTTP requests answered with a 5xx status.",
            "percentunit",
            {
                "{{instance}}": ratio(
                    rate(f"{REQUESTS}_count", "instance", 'http_response_status_code=~"5.."'),
                    rate(f"{REQUESTS}_count", "instance"),
                )
            },
        ),
        lines(
            "Latency",
            "This share of the HTTP requests was faster.",
            "s",
            {f"{{{{instance}}}} {q:.0%}": quantile(q, REQUESTS, "instance") for q in QUANTILES},
        ),
        lines(
            "Latency by route, 95th percentile",
            "95 of 100 HTTP requests to this route were faster.",
            "s",
            {"{{http_route}}": quantile(0.95, REQUESTS, "http_route")},
        ),
        lines(
            "Requests in progress",
            "HTTP requests that were begun and not yet answered.",
            "short",
            {"{{instance}}": latest("http_server_active_requests", "instance")},
        ),
    ]


def _cache() -> list[Builder[Panel]]:
    return [
        lines(
            "Hit ratio",
            "Share of look-ups that the cache answered: as its clients see it and as it counts itself.",
            "percentunit",
            {
                "{{instance}} as client": ratio(
                    rate("cache_client_requests_total", "instance", 'result="hit"'),
                    rate("cache_client_requests_total", "instance", 'result=~"hit|miss"'),
                ),
                "{{instance}} as server": ratio(
                    rate("cache_requests_total", "instance", 'operation="get"', 'result="hit"'),
                    rate("cache_requests_total", "instance", 'operation="get"'),
                ),
            },
            top=1,
        ),
        lines(
            "Operations",
            "Requests that the cache server answered per second.",
            "reqps",
            {"{{operation}} {{result}}": rate("cache_requests_total", "operation, result")},
        ),
        lines(
            "Client errors",
            "Share of look-ups that failed, so that the client went to its database instead.",
            "percentunit",
            {
                "{{instance}}": ratio(
                    rate("cache_client_requests_total", "instance", 'result="error"'),
                    rate("cache_client_requests_total", "instance"),
                )
            },
        ),
        lines(
            "Latency, 95th percentile",
            "95 of 100 requests to the cache server were faster.",
            "s",
            {"{{operation}}": quantile(0.95, CACHE, "operation")},
            width=6,
        ),
        lines(
            "Items",
            "Entries in the cache.",
            "short",
            {"{{instance}}": latest("cache_items", "instance")},
            width=6,
        ),
        lines(
            "Size",
            "Memory that the cache's entries take, by its own account.",
            "bytes",
            {"{{instance}}": latest("cache_memory_bytes", "instance")},
            width=6,
        ),
        lines(
            "Evictions",
            "Entries dropped per second, because they were too old (ttl) or the cache was full (lru).",
            "cps",
            {"{{instance}} {{reason}}": or_zero(rate("cache_evictions_total", "instance, reason"))},
            width=6,
        ),
    ]


def _database() -> list[Builder[Panel]]:
    return [
        lines(
            "Operations",
            "Database operations per second.",
            "ops",
            {"{{db_operation_name}}": rate(f"{DATABASE}_count", "db_operation_name")},
            width=12,
        ),
        lines(
            "Latency, 95th percentile",
            "95 of 100 database operations were faster.",
            "s",
            {"{{db_operation_name}}": quantile(0.95, DATABASE, "db_operation_name")},
            width=12,
        ),
    ]
