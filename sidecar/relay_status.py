"""What `/status` shows of the relay: each upstream and the spool."""

from __future__ import annotations

from collections.abc import Collection

from .io.spool import Spool
from .logic.rates import Rates
from .logic.status import age_of, time_of
from .model.counters import KEPT, UpstreamCounters
from .model.status import SpoolStatus, UpstreamRates, UpstreamStatus
from .parcel import UpstreamView


def sample(counters: UpstreamCounters) -> tuple[int, int, int, int]:
    """What rates are made of: items and bytes meant for the upstream, items and bytes that it has accepted."""
    accepted = sum(items for (_, outcome), items in counters.items.items() if outcome == "accepted")
    return counters.taken_items, counters.taken_bytes, accepted, counters.accepted_bytes


def upstream_status(view: UpstreamView, rates: Rates, now: float) -> UpstreamStatus:
    """`now` is unix seconds."""
    counters = view.counters
    outcomes = {"accepted": 0, "refused": 0} | counters.by_outcome()
    per_second = rates.per_second()
    return UpstreamStatus(
        name=view.name,
        endpoint=view.endpoint,
        protocol=view.protocol,
        state=view.state.value,
        since=time_of(view.since),
        why=view.why,
        held_signals={signal.value: why for signal, why in sorted(view.held_signals.items())},
        required=view.required,
        retry_at=None if view.retry_in is None else time_of(now + view.retry_in),
        retry_in_s=None if view.retry_in is None else round(view.retry_in, 3),
        in_flight_bytes=view.in_flight_bytes,
        queue_rows=view.queue_rows,
        queue_bytes=view.queue_bytes,
        queue_oldest_age_s=age_of(view.oldest, now),
        rates=UpstreamRates(*per_second) if per_second else None,
        items={outcome: outcomes[outcome] for outcome in KEPT},
        lost={outcome: items for outcome, items in sorted(outcomes.items()) if outcome not in KEPT},
        last_success=time_of(counters.last_success_at),
        last_success_age_s=age_of(counters.last_success_at, now),
        last_error=counters.last_error,
        last_error_at=time_of(counters.last_error_at),
    )


def spool_status(spool: Spool, configured: Collection[str]) -> SpoolStatus:
    """`configured` are the upstreams' names."""
    counters = spool.counters
    quarantined: dict[str, dict[str, int]] = {}
    for (upstream, reason), requests in sorted(counters.quarantined.items()):
        quarantined.setdefault(upstream, {})[reason] = requests
    return SpoolStatus(
        path=spool.config.path,
        usable=spool.usable,
        why=spool.why,
        max_bytes=spool.config.max_bytes,
        disk_bytes=spool.disk_bytes,
        unclaimed={name: spool.rows(name) for name in sorted(spool.names().difference(configured))},
        written=dict(counters.written),
        quarantined=quarantined,
        evicted=dict(counters.evicted),
        errors=dict(counters.errors),
    )
