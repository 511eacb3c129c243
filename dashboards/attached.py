"""Rows of panels that any service with a sidecar has, whatever it does: health, process, sidecar."""

from __future__ import annotations

from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import Panel

from .panels import HEALTH, UPSTREAM, YES_NO, lines, number, timeline
from .promql import increase, latest, or_zero, rate


def health() -> list[Builder[Panel]]:
    return [
        *[
            number(
                title,
                description,
                "none",
                {"{{instance}}": latest("outrider_health_status", "instance", f'gate="{gate}"')},
                words=HEALTH,
            )
            for gate, title, description in [
                ("overall", "Verdict", "All checks together."),
                ("live", "Live", "Liveness checks; a failure here means that a restart is due."),
                ("ready", "Ready", "Readiness checks; a failure here means: send no traffic."),
            ]
        ],
        number(
            "Process",
            "Whether the watched process runs; empty where the sidecar cannot see it.",
            "none",
            {"{{instance}}": latest("outrider_target_up", "instance")},
            words=YES_NO,
        ),
        number(
            "Uptime",
            "Time since the watched process started.",
            "s",
            {"{{instance}}": latest("process_uptime_seconds", "instance")},
        ),
        number(
            "Restarts",
            "Restarts of the watched process that the sidecar saw within the time range.",
            "short",
            {"{{instance}}": increase("outrider_target_restarts_total", "instance")},
        ),
        timeline(
            "Checks",
            "Every check after its thresholds.",
            {"{{instance}} {{check}}": latest("outrider_check_status", "instance, check")},
        ),
        lines(
            "Check duration",
            "How long the last run of each check took; at its timeout a check counts as failed.",
            "s",
            {"{{instance}} {{check}}": latest("outrider_check_duration_seconds", "instance, check")},
            width=12,
        ),
        lines(
            "Check results",
            "Runs by their raw result, before thresholds.",
            "cps",
            {"{{check}} {{result}}": rate("outrider_check_runs_total", "check, result")},
            width=12,
        ),
    ]


def process() -> list[Builder[Panel]]:
    return [
        lines(
            "CPU",
            "Cores in use by the process and its children, without those that start and end within 5 s.",
            "none",
            {"{{instance}} {{cpu_mode}}": rate("process_cpu_time_seconds_total", "instance, cpu_mode")},
        ),
        lines(
            "Memory",
            "Resident memory of the process and its children, and their address space.",
            "bytes",
            {
                "{{instance}} resident": latest("process_memory_usage_bytes", "instance"),
                "{{instance}} virtual": latest("process_memory_virtual_bytes", "instance"),
            },
        ),
        lines(
            "Disk",
            "Bytes read from and written to storage.",
            "binBps",
            {"{{instance}} {{disk_io_direction}}": rate("process_disk_io_bytes_total", "instance, disk_io_direction")},
        ),
        lines(
            "Threads",
            "Threads of the process and its children.",
            "short",
            {"{{instance}}": latest("process_thread_count", "instance")},
            width=6,
        ),
        lines(
            "Open file descriptors",
            "File descriptors of the process and its children.",
            "short",
            {"{{instance}}": latest("process_unix_file_descriptor_count", "instance")},
            width=6,
        ),
        lines(
            "Context switches",
            "Involuntary ones mean that the process wanted more CPU than it got.",
            "cps",
            {
                "{{instance}} {{process_context_switch_type}}": rate(
                    "process_context_switches_total", "instance, process_context_switch_type"
                )
            },
            width=6,
        ),
        lines(
            "Page faults",
            "Major ones waited for storage.",
            "cps",
            {
                "{{instance}} {{system_paging_fault_type}}": rate(
                    "process_paging_faults_total", "instance, system_paging_fault_type"
                )
            },
            width=6,
        ),
    ]


def sidecar() -> list[Builder[Panel]]:
    return [
        lines(
            "Telemetry received",
            "Spans, metric points and log records that the service sent to its sidecar, per second.",
            "cps",
            {"{{instance}} {{signal}}": or_zero(rate("outrider_otlp_items_total", "instance, signal"))},
        ),
        lines(
            "Telemetry sent on",
            "Items by what the upstream made of them.",
            "cps",
            {
                "{{instance}} {{upstream}} {{signal}} {{outcome}}": or_zero(
                    rate("outrider_relay_items_total", "instance, upstream, signal, outcome")
                )
            },
        ),
        lines(
            "Requests refused",
            "Requests that the sidecar answered with an error, by status; their senders must retry.",
            "reqps",
            {"{{instance}} {{status}}": or_zero(rate("outrider_otlp_refused_requests_total", "instance, status"))},
        ),
        timeline(
            "Upstreams",
            "Held: it refuses us until somebody acts, or does not have the signal. Full: its place in the spool is, and senders "
            "are told to wait.",
            {
                "{{instance}} {{upstream}}": latest("outrider_relay_upstream_state", "instance, upstream"),
                "{{instance}} {{upstream}} {{signal}}": (
                    f"2 * {latest('outrider_relay_held', 'instance, upstream, signal')}"
                ),
            },
            words=UPSTREAM,
        ),
        lines(
            "Telemetry waiting",
            "Taken from the service and waiting for an upstream, in the spool and in memory.",
            "bytes",
            {"{{instance}} {{upstream}}": latest("outrider_relay_queue_bytes", "instance, upstream")},
        ),
        lines(
            "Oldest telemetry waiting",
            "How long what waits longest for an upstream has waited.",
            "s",
            {"{{instance}} {{upstream}}": latest("outrider_relay_queue_age_seconds", "instance, upstream")},
        ),
        lines(
            "Telemetry lost",
            "Items that will not reach an upstream, by reason.",
            "cps",
            {
                "{{instance}} {{upstream}} {{outcome}}": or_zero(
                    rate("outrider_relay_items_total", "instance, upstream, outcome", 'outcome!~"accepted|refused"')
                )
            },
        ),
        lines(
            "Requests set aside",
            "Requests that the sidecar keeps to be looked at (outrider spool ls), by reason.",
            "reqps",
            {
                "{{instance}} {{upstream}} {{reason}}": or_zero(
                    rate("outrider_spool_quarantined_total", "instance, upstream, reason")
                )
            },
            width=6,
        ),
        lines(
            "Disk errors of the spool",
            "While there are any, nothing is written and telemetry is forwarded in memory only.",
            "cps",
            {"{{instance}} {{reason}}": or_zero(rate("outrider_spool_errors_total", "instance, reason"))},
            width=6,
        ),
        lines(
            "Bytes in flight",
            "Accepted from the service and not yet settled upstream. At its limit the sidecar stops reading.",
            "bytes",
            {"{{instance}}": latest("outrider_relay_in_flight_bytes", "instance")},
            width=6,
        ),
        lines(
            "Heartbeats",
            "Reports to the collector per second, by outcome.",
            "cps",
            {"{{instance}} {{outcome}}": or_zero(rate("outrider_heartbeats_total", "instance, outcome"))},
            width=6,
        ),
        lines(
            "Event loop lag",
            "How late the sidecar's own timers run. Above some 100 ms its verdicts lose their worth.",
            "s",
            {"{{instance}}": latest("outrider_loop_lag_seconds", "instance")},
            width=6,
        ),
        lines(
            "Sidecar CPU",
            "Share of one core that the sidecar itself takes.",
            "percentunit",
            {"{{instance}}": rate("outrider_cpu_seconds_total", "instance")},
            width=6,
        ),
        lines(
            "Sidecar memory",
            "Resident memory of the sidecar itself.",
            "bytes",
            {"{{instance}}": latest("outrider_resident_memory_bytes", "instance")},
            width=6,
        ),
        lines(
            "Sidecar file descriptors",
            "Open file descriptors of the sidecar itself.",
            "short",
            {"{{instance}}": latest("outrider_open_file_descriptors", "instance")},
            width=6,
        ),
    ]
