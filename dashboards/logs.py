"""The row of panels on what a service's logs say, and on what becomes of them."""

from __future__ import annotations

from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import Panel

from .panels import lines
from .promql import latest, or_zero, rate


def logs() -> list[Builder[Panel]]:
    return [
        lines(
            "Records by severity",
            "Records made of what the service writes to its logs, per second.",
            "cps",
            {"{{severity}}": rate("outrider_logs_records_total", "severity")},
            width=6,
        ),
        lines(
            "Errors",
            "Records of severity ERROR and FATAL per second.",
            "cps",
            {
                "{{instance}} {{source}}": or_zero(
                    rate("outrider_logs_records_total", "instance, source", 'severity=~"error|fatal"')
                )
            },
            width=6,
        ),
        lines(
            "Volume",
            "Bytes of log lines read per second.",
            "binBps",
            {"{{instance}} {{source}}": rate("outrider_logs_bytes_total", "instance, source")},
            width=6,
        ),
        lines(
            "Lag",
            "How long the oldest line that is written and not yet delivered has waited.",
            "s",
            {"{{instance}} {{source}}": latest("outrider_logs_lag_time_seconds", "instance, source")},
            width=6,
        ),
        lines(
            "Lines dropped",
            "Lines left out per second, as configured or for want of room, by reason.",
            "cps",
            {
                "{{instance}} {{source}} {{reason}}": or_zero(
                    rate("outrider_logs_dropped_total", "instance, source, reason")
                )
            },
            width=6,
        ),
        lines(
            "Bytes lost",
            "Bytes per second that vanished before they could be read.",
            "binBps",
            {"{{instance}} {{source}}": rate("outrider_logs_lost_bytes_total", "instance, source")},
            width=6,
        ),
        lines(
            "Files replaced",
            "Files that were replaced, and files that were emptied in place: lines written shortly before that may be lost.",
            "cps",
            {
                "{{instance}} {{source}} replaced": rate("outrider_logs_rotations_total", "instance, source"),
                "{{instance}} {{source}} emptied": rate("outrider_logs_truncations_total", "instance, source"),
            },
            width=6,
        ),
        lines(
            "Values redacted",
            "Secrets and personal data made unreadable per second, by rule.",
            "cps",
            {
                "{{instance}} {{source}} {{rule}}": or_zero(
                    rate("outrider_logs_redacted_total", "instance, source, rule")
                )
            },
            width=6,
        ),
    ]
