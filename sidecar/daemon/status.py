"""What `/status` shows: everything, as it is now."""

from __future__ import annotations

from ..io.listener import Listener
from ..logic import status
from ..logic.scalars import masked_url
from ..model.status import HeartbeatStatus, ListenerStatus, Status
from ..relay_status import spool_status, upstream_status
from ..version import VERSION
from .listeners import bound
from .parts import Parts


def status_of(parts: Parts, api: Listener | None) -> Status:
    """`api` is None until it is open."""
    now = parts.clock.now()
    listeners = {**parts.listeners, "api": api} if api is not None else parts.listeners
    return Status(
        version=VERSION,
        as_of=status.time_of(now),
        uptime_s=round(now - parts.started, 3),
        resource=parts.resource.attributes,
        health=status.health(parts.monitor.verdict()),
        checks=tuple(status.check(check, now) for check in parts.monitor.checks()),
        process=status.process(parts.neighbour.process),
        listeners=tuple(
            ListenerStatus(
                name=name,
                address=bound(listener),
                up=listener.up,
                why=listener.why,
                warning=parts.guards[name].warning,
                refused_handshakes=parts.guards[name].refused,
            )
            for name, listener in listeners.items()
        ),
        otlp=status.receiver(parts.received),
        relay=tuple(upstream_status(view, parts.watch.rates[view.name], now) for view in parts.relay.status()),
        spool=spool_status(parts.spool, [upstream.name for upstream in parts.upstreams]) if parts.spool else None,
        logs=parts.logs.status() if parts.logs else None,
        collector=_collector(parts, now),
        loop_lag_s=round(parts.watch.loop_lag, 6),
        warnings=parts.warnings,
    )


def _collector(parts: Parts, now: float) -> HeartbeatStatus | None:
    if parts.heartbeats is None or parts.config.collector is None:
        return None
    return status.heartbeats(masked_url(parts.config.collector.url), parts.heartbeats.counters, now)
