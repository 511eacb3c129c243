"""Everything that we export, the neighbour's and our own, as it is now."""

from __future__ import annotations

from collections.abc import Sequence

from .. import telemetry
from ..model.signals import Metric
from .parts import Parts


def metrics_of(parts: Parts) -> Sequence[Metric]:
    monitor, start = parts.monitor, parts.started
    found = [
        *telemetry.target(parts.neighbour.process, start),
        *telemetry.ourselves(parts.watch.loop_lag, start),
        *telemetry.health(monitor.verdict(), monitor.checks(), monitor.runs(), monitor.transitions(), start),
        *telemetry.receiver(parts.received, start),
        *telemetry.logs(parts.logs.counters if parts.logs else {}, start),
        *telemetry.relay(parts.relay.status(), parts.relay.in_flight, parts.clock.now(), start),
    ]
    if (spool := parts.spool) is not None:
        found += telemetry.spool(spool.usable, spool.disk_bytes, spool.counters, start)
    if parts.heartbeats is not None:
        found.append(telemetry.heartbeats(parts.heartbeats.counters, start))
    return found
