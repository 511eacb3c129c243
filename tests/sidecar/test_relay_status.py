"""What `/status` and `/metrics` say of upstreams and the spool."""

from __future__ import annotations

from pathlib import Path

import msgspec

from sidecar import telemetry
from sidecar.io.spool import Config, Spool
from sidecar.logic.rates import Rates
from sidecar.logic.retry import UpstreamState
from sidecar.model.counters import SpoolCounters, UpstreamCounters
from sidecar.model.signals import Metric, Signal
from sidecar.parcel import UpstreamView
from sidecar.relay_status import sample, spool_status, upstream_status


def counters() -> UpstreamCounters:
    made = UpstreamCounters()
    made.taken_items, made.taken_bytes, made.accepted_bytes = 30, 3000, 1000
    for outcome, items in (("accepted", 10), ("refused", 4), ("evicted", 3), ("too_large", 2), ("corrupt", 1)):
        made.settle(Signal.TRACES, outcome, items)
    made.settle(Signal.METRICS, "dropped", 7)
    made.last_success_at, made.last_error_at, made.last_error = 900.0, 990.0, "HTTP 503"
    return made


def view() -> UpstreamView:
    return UpstreamView(
        "gw:4318",
        True,
        UpstreamState.RETRYING,
        "HTTP 503",
        2.5,
        60,
        counters(),
        queue_rows=5,
        queue_bytes=500,
        oldest=940.0,
        held_signals={Signal.LOGS: "HTTP 404"},
        since=910.0,
        endpoint="http://gw:4318",
        protocol="http/protobuf",
    )


def points(metrics: list[Metric]) -> dict[str, dict[tuple[str, ...], float]]:
    return {m.name: {tuple(value for _, value in p.attributes): p.value for p in m.points} for m in metrics}


def test_an_upstream_shows_state_queue_losses_errors_and_rates() -> None:
    rates = Rates().step((0, 0, 0, 0), 0.0).step(sample(counters()), 10.0)
    shown = msgspec.to_builtins(upstream_status(view(), rates, 1000.0))
    assert shown == {
        "name": "gw:4318",
        "endpoint": "http://gw:4318",
        "protocol": "http/protobuf",
        "state": "retrying",
        "since": "1970-01-01T00:15:10Z",
        "why": "HTTP 503",
        "held_signals": {"logs": "HTTP 404"},
        "required": True,
        "retry_at": "1970-01-01T00:16:42.500000Z",
        "retry_in_s": 2.5,
        "in_flight_bytes": 60,
        "queue_rows": 5,
        "queue_bytes": 500,
        "queue_oldest_age_s": 60.0,
        "rates": {"in_items_per_s": 3.0, "in_bytes_per_s": 300.0, "out_items_per_s": 1.0, "out_bytes_per_s": 100.0},
        "items": {"accepted": 10, "refused": 4},
        "lost": {"corrupt": 1, "dropped": 7, "evicted": 3, "too_large": 2},
        "last_success": "1970-01-01T00:15:00Z",
        "last_success_age_s": 100.0,
        "last_error": "HTTP 503",
        "last_error_at": "1970-01-01T00:16:30Z",
    }


def test_the_same_is_in_the_metrics() -> None:
    found = points(list(telemetry.relay([view()], 60, 1000.0, 0.0)))
    assert found["outrider.relay.upstream.state"] == {("gw:4318",): 1}
    assert found["outrider.relay.held"] == {
        ("gw:4318", "traces"): 0,
        ("gw:4318", "metrics"): 0,
        ("gw:4318", "logs"): 1,
    }
    assert found["outrider.relay.queue"] == {("gw:4318",): 500}
    assert found["outrider.relay.queue_requests"] == {("gw:4318",): 5}
    assert found["outrider.relay.queue_age"] == {("gw:4318",): 60.0}
    assert found["outrider.relay.upstream.last_success_time"] == {("gw:4318",): 900.0}
    assert found["outrider.relay.upstream.last_error_time"] == {("gw:4318",): 990.0}
    assert found["outrider.relay.upstream.retry_time"] == {("gw:4318",): 1002.5}
    assert found["outrider.relay.bytes"] == {("gw:4318", "in"): 3000, ("gw:4318", "out"): 1000}
    assert found["outrider.relay.items"] == {
        ("gw:4318", "metrics", "dropped"): 7,
        ("gw:4318", "traces", "accepted"): 10,
        ("gw:4318", "traces", "corrupt"): 1,
        ("gw:4318", "traces", "evicted"): 3,
        ("gw:4318", "traces", "refused"): 4,
        ("gw:4318", "traces", "too_large"): 2,
    }


def test_the_quarantine_is_counted_by_reason_in_both(tmp_path: Path) -> None:
    spool = Spool(Config(path=str(tmp_path)), lambda: 1000.0)
    SpoolCounters.add(spool.counters.quarantined, ("gw:4318", "rejected"), 2)
    SpoolCounters.add(spool.counters.quarantined, ("gw:4318", "corrupt"))
    assert spool_status(spool, []).quarantined == {"gw:4318": {"corrupt": 1, "rejected": 2}}
    found = points(list(telemetry.spool(False, 4096, spool.counters, 0.0)))
    assert found["outrider.spool.quarantined"] == {("gw:4318", "corrupt"): 1, ("gw:4318", "rejected"): 2}
    assert found["outrider.spool.usable"] == {(): 0.0}
