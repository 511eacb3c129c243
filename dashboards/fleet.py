"""*Fleet health*: which service is in trouble, since when, and what else changed then."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from .frame import build
from .panels import YES_NO, lines, number, timeline
from .promql import increase, latest, or_zero, quantile, rate, ratio, select

SIDECARS = select("up", 'source="sidecar"')
OVERALL = select("outrider_health_status", 'gate="overall"')
REQUESTS = "http_server_request_duration_seconds"


def fleet() -> Dashboard:
    return build(
        "outrider-fleet",
        "Fleet health",
        "Every service that has a sidecar: verdicts, traffic, processes, and the sidecars themselves.",
        {
            "Now": [
                number("Passing", "Instances whose checks all pass.", "short", {"passing": _in_state(0)}),
                number(
                    "Degraded",
                    "Instances that serve with a warning.",
                    "short",
                    {"degraded": _in_state(1)},
                ),
                number(
                    "Failing",
                    "Instances with a failed check.",
                    "short",
                    {"failing": _in_state(2)},
                ),
                number(
                    "Unknown",
                    "Instances about which nothing is known at present. Unknown is never counted as well.",
                    "short",
                    {"unknown": _in_state(3)},
                ),
                number(
                    "Sidecars not answering",
                    "Sidecars that Prometheus could not scrape: their services' rows below have gaps.",
                    "short",
                    {"silent": f"sum({SIDECARS} == bool 0)"},
                ),
                number(
                    "Process restarts",
                    "Restarts of the watched processes that the sidecars saw within the time range.",
                    "short",
                    {"restarts": f"sum({increase('outrider_target_restarts_total', 'instance')})"},
                ),
            ],
            "Health": [
                timeline(
                    "Verdict by instance",
                    "The overall verdict of each sidecar about its service, thresholds applied.",
                    {"{{job}} {{instance}}": latest("outrider_health_status", "job, instance", 'gate="overall"')},
                    links=True,
                ),
                timeline(
                    "Checks",
                    "Every check of every instance: the lane that turns first is usually the cause.",
                    {
                        "{{job}} {{instance}} {{check}}": latest("outrider_check_status", "job, instance, check"),
                    },
                ),
                timeline(
                    "Watched processes",
                    "Whether the watched process runs; empty where the sidecar cannot see it.",
                    {"{{job}} {{instance}}": latest("outrider_target_up", "job, instance")},
                    words=YES_NO,
                ),
                lines(
                    "Check transitions",
                    "How often checks change state. A steady rate is flapping.",
                    "cps",
                    {
                        "{{job}} {{instance}} {{check}}": rate(
                            "outrider_check_transitions_total", "job, instance, check"
                        )
                    },
                    width=12,
                ),
                lines(
                    "Check duration",
                    "How long the last run of each check took; at its timeout a check counts as failed.",
                    "s",
                    {
                        "{{job}} {{instance}} {{check}}": latest(
                            "outrider_check_duration_seconds", "job, instance, check"
                        )
                    },
                    width=12,
                ),
            ],
            "Traffic": [
                lines(
                    "Requests",
                    "HTTP requests served per second.",
                    "reqps",
                    {"{{job}} {{instance}}": rate(f"{REQUESTS}_count", "job, instance")},
                    links=True,
                ),
                lines(
                    "Errors",
                    "Share of HTTP requests answered with a 5xx status.",
                    "percentunit",
                    {
                        "{{job}} {{instance}}": ratio(
                            rate(f"{REQUESTS}_count", "job, instance", 'http_response_status_code=~"5.."'),
                            rate(f"{REQUESTS}_count", "job, instance"),
                        )
                    },
                    links=True,
                ),
                lines(
                    "Latency, 95th percentile",
                    "95 of 100 HTTP requests were faster.",
                    "s",
                    {"{{job}} {{instance}}": quantile(0.95, REQUESTS, "job, instance")},
                    links=True,
                ),
            ],
            "Processes": [
                lines(
                    "CPU",
                    "Cores in use by the watched process and its children.",
                    "none",
                    {"{{job}} {{instance}}": rate("process_cpu_time_seconds_total", "job, instance")},
                    links=True,
                ),
                lines(
                    "Memory",
                    "Resident memory of the watched process and its children.",
                    "bytes",
                    {"{{job}} {{instance}}": latest("process_memory_usage_bytes", "job, instance")},
                    links=True,
                ),
                lines(
                    "Open file descriptors",
                    "File descriptors of the watched process and its children.",
                    "short",
                    {"{{job}} {{instance}}": latest("process_unix_file_descriptor_count", "job, instance")},
                    links=True,
                ),
            ],
            "Sidecars": [
                lines(
                    "Telemetry lost",
                    "Spans, points and records that will not reach an upstream: rejected, too large, evicted, corrupt, dropped.",
                    "cps",
                    {
                        "{{job}} {{instance}}": or_zero(
                            rate("outrider_relay_items_total", "job, instance", 'outcome!~"accepted|refused"')
                        )
                    },
                ),
                lines(
                    "Event loop lag",
                    "How late a sidecar's own timers run. Above some 100 ms its verdicts lose their worth.",
                    "s",
                    {"{{job}} {{instance}}": latest("outrider_loop_lag_seconds", "job, instance")},
                ),
                lines(
                    "Sidecar memory",
                    "Resident memory of the sidecars themselves.",
                    "bytes",
                    {"{{job}} {{instance}}": latest("outrider_resident_memory_bytes", "job, instance")},
                ),
            ],
        },
    )


def _in_state(state: int) -> str:
    """How many instances; 0, and not "No data", when none is in it."""
    return f"sum({OVERALL} == bool {state})"
