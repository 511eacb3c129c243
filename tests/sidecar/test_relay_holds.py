"""An upstream that has one signal and not the others, as a tracing backend: what it lacks waits, what it has flows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sidecar.io.clock import SystemClock
from sidecar.io.spool import Config, OnFull, Spool
from sidecar.logic import holds
from sidecar.logic.otlp_http import OK, decode_status, refusal
from sidecar.logic.retry import UpstreamState
from sidecar.model.signals import Accepted, Batch, Hold, Outcome, RetryLater, Signal
from sidecar.relay import Relay, Upstream
from tests.fakes import settle, until
from tests.sidecar.otlp.receiving import large
from tests.sidecar.test_relay import Always, ScriptedSink, Setup, batch, one
from tests.sidecar.test_relay_spool import marks, spooling, take

METRICS, LOGS = Signal.METRICS, Signal.LOGS
ABSENT = Hold("HTTP 404", of_signal=True)


def lacks(*signals: Signal) -> Callable[[Batch], Outcome]:
    return lambda b: ABSENT if b.signal in signals else Accepted()


def count(sink: ScriptedSink, signal: Signal) -> int:
    return sum(b.signal is signal for b in sink.sent)


async def test_metrics_are_refused_and_tried_once_a_minute_while_traces_flow() -> None:
    setup = Setup(True)
    setup.sink.judge = lacks(METRICS)
    assert await setup.relay.take(batch(b"m", METRICS)) == refusal(503, "the upstream refuses us: HTTP 404", 2)
    for _ in range(5):
        assert await setup.relay.take(batch(b"t")) == OK
        assert await setup.relay.take(batch(b"m", METRICS)) == refusal(503, "HTTP 404", 2)
        await setup.clock.advance(10)
    assert (count(setup.sink, METRICS), count(setup.sink, Signal.TRACES)) == (1, 5)
    (view,) = setup.relay.status()
    assert (view.state, view.why, view.retry_in) == (UpstreamState.OK, "", 10.0)
    assert view.held_signals == {METRICS: "HTTP 404"}
    await setup.clock.advance(10)
    assert (await setup.relay.take(batch(b"m", METRICS))).status == 503
    assert count(setup.sink, METRICS) == 2
    await setup.clock.advance(60)
    setup.sink.judge = lacks()
    assert await setup.relay.take(batch(b"m", METRICS)) == OK
    (view,) = setup.relay.status()
    assert (view.state, view.held_signals, view.retry_in) == (UpstreamState.OK, {}, None)


async def test_only_one_trial_is_in_the_air_and_who_comes_with_it_is_refused() -> None:
    setup = Setup(True)
    setup.sink.judge = lacks(METRICS)
    await setup.relay.take(batch(b"m", METRICS))
    await setup.clock.advance(60)
    setup.sink.open.clear()
    trial = asyncio.ensure_future(setup.relay.take(batch(b"a", METRICS)))
    await settle()
    assert (await setup.relay.take(batch(b"b", METRICS))) == refusal(503, "HTTP 404", 2)
    traces = setup.take(b"t")
    setup.sink.open.set()
    assert (await trial).status == 503
    assert await asyncio.gather(*traces) == [OK]
    assert count(setup.sink, METRICS) == 2


async def test_whoever_waits_behind_the_flight_that_finds_it_out_is_told_at_once() -> None:
    setup = Setup(True)
    setup.sink.judge = lacks(METRICS)
    setup.sink.open.clear()
    answers = [asyncio.ensure_future(setup.relay.take(batch(mark, METRICS))) for mark in (b"a", b"b")]
    await settle()
    setup.sink.open.set()
    assert [reply.status for reply in await asyncio.gather(*answers)] == [503, 503]
    assert (len(setup.sink.sent), setup.relay.in_flight) == (1, 0)


async def test_an_upstream_that_has_taken_nothing_else_is_held() -> None:
    setup = Setup(True)
    setup.sink.judge = lacks(*Signal)
    await setup.relay.take(batch(b"m", METRICS))
    await setup.relay.take(batch(b"t"))
    (view,) = setup.relay.status()
    assert (view.state, view.why) == (UpstreamState.HELD, "metrics: HTTP 404; traces: HTTP 404")
    assert view.retry_in == 60.0


async def test_our_own_metrics_are_dropped_and_counted_and_hold_nothing_else() -> None:
    setup = Setup(True)
    setup.sink.judge = lacks(METRICS)
    for _ in range(4):
        setup.relay.submit(batch(b"own", METRICS))
        await settle()
        assert await setup.relay.take(batch(b"t")) == OK
    assert count(setup.sink, METRICS) == 1
    assert setup.relay.status()[0].counters.items == {(METRICS, "dropped"): 4, (Signal.TRACES, "accepted"): 4}


async def test_credentials_that_are_refused_hold_every_signal() -> None:
    setup = Setup(True)
    setup.sink.script = [Hold("HTTP 401")]
    assert (await setup.relay.take(batch(b"m", METRICS))).status == 503
    assert (await setup.relay.take(batch(b"t"))).status == 503
    (view,) = setup.relay.status()
    assert (view.state, view.held_signals, len(setup.sink.sent)) == (UpstreamState.HELD, {}, 1)


async def test_an_outage_during_a_hold_refuses_all_and_leaves_the_hold() -> None:
    setup = Setup(True)
    setup.sink.script = [ABSENT, RetryLater(5.0, "down")]
    await setup.relay.take(batch(b"m", METRICS))
    assert await setup.relay.take(batch(b"t")) == refusal(503, "down", 2)
    (view,) = setup.relay.status()
    assert (view.state, view.held_signals, view.retry_in) == (UpstreamState.RETRYING, {METRICS: "HTTP 404"}, 5.0)
    await setup.clock.advance(5)
    assert (await setup.relay.take(batch(b"m", METRICS))).status == 503
    assert await setup.relay.take(batch(b"t")) == OK
    assert count(setup.sink, METRICS) == 1


async def test_an_optional_upstream_keeps_what_it_does_not_have_and_gets_it_when_it_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without a spool, in memory; nobody but the clock asks again."""
    monkeypatch.setattr(holds, "HELD", 0.2)
    sink = ScriptedSink()
    relay = Relay([Upstream("up", sink, required=False)], SystemClock(), Always())
    sink.script = [ABSENT]
    for mark in (b"a", b"b"):
        await relay.take(batch(mark, METRICS))
    await relay.take(batch(b"t"))
    await until(lambda: not relay.in_flight)
    assert [b.signal for b in sink.sent] == [METRICS, Signal.TRACES, METRICS]
    assert sink.sent[2].body == one(b"a") + one(b"b")
    await relay.close()


async def test_with_a_spool_it_waits_there_in_order_and_traces_never_touch_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holds, "HELD", 0.5)
    async with spooling(tmp_path, True) as setup:
        setup.sink.judge = lacks(METRICS)
        for mark in (b"a", b"b", b"c"):
            assert await take(setup, mark, signal=METRICS) == [OK]
            assert await take(setup, b"t", b"u") == [OK, OK]
        assert setup.spool.rows("up0", METRICS) == setup.view().queue_rows == 3
        assert setup.spool.counters.written == {"up0": 3}
        setup.sink.judge = lacks()
        since = len(setup.sink.sent)
        await setup.empty()
        assert marks(setup.sink, since) == one(b"a") + one(b"b") + one(b"c")


async def test_what_the_last_run_left_of_it_does_not_keep_the_other_signals_rows(tmp_path: Path) -> None:
    async with spooling(tmp_path, True) as setup:
        setup.sink.judge = lambda b: RetryLater(30.0, "down")
        for signal in (METRICS, LOGS, Signal.TRACES):
            assert await take(setup, b"a", b"b", signal=signal) == [OK, OK]
    async with spooling(tmp_path, True) as setup:
        setup.sink.judge = lacks(METRICS, LOGS)
        await until(lambda: setup.view().queue_rows == 4)
        assert setup.view().counters.items == {(Signal.TRACES, "accepted"): 2}
        await until(lambda: set(setup.view().held_signals) == {METRICS, LOGS})
        await until(lambda: not setup.relay.busy)  # a stop has nothing to wait for


async def test_rows_that_wait_for_a_minute_do_not_make_others_wait_so_long(tmp_path: Path) -> None:
    async with spooling(tmp_path, True) as setup:
        setup.sink.script = [ABSENT, RetryLater(0.3, "down")]
        assert await take(setup, b"m", signal=METRICS) == [OK]
        assert await take(setup, b"t") == [OK]
        await until(lambda: setup.view().queue_rows == 1)
        assert setup.view().counters.items == {(Signal.TRACES, "accepted"): 1}


class CountingClock(SystemClock):
    """How often it was read: whatever starts a send or looks for one reads it."""

    reads = 0

    def monotonic(self) -> float:
        self.reads += 1
        return super().monotonic()


@pytest.mark.parametrize("spooled", [True, False])
async def test_what_waits_of_a_held_signal_keeps_nobody_busy(tmp_path: Path, spooled: bool) -> None:
    """In the spool, or in memory for an optional upstream."""
    clock, sink = CountingClock(), ScriptedSink()
    spool = Spool(Config(path=str(tmp_path), max_bytes=8 << 20), clock.now) if spooled else None
    relay = Relay([Upstream("up", sink, required=spooled)], clock, Always(), spool)
    await relay.open()
    sink.judge = lacks(METRICS)
    assert await relay.take(batch(b"m", METRICS)) == OK
    deadline = time.monotonic() + 20
    while clock.reads:  # what was begun comes to its end
        assert time.monotonic() < deadline, "it is never quiet"
        clock.reads = 0
        await asyncio.sleep(0.5)
    assert (len(sink.sent), relay.status()[0].queue_rows) == (1, 1)
    await relay.close()


async def test_it_gets_half_of_the_quota_and_the_rest_is_there_for_an_outage(tmp_path: Path) -> None:
    async with spooling(tmp_path, True) as setup:
        setup.sink.judge = lacks(METRICS)
        assert await take(setup, b"t") == [OK]
        replies = [await setup.relay.take(Batch(METRICS, large(200_000), 1)) for _ in range(20)]
        taken = [reply.status for reply in replies].count(200)
        assert taken in (14, 15)
        assert [reply.status for reply in replies] == [200] * taken + [429] * (20 - taken)
        assert decode_status(replies[-1].body)[1] == "no more metrics are kept for up0, which does not take them"
        assert setup.view().counters.by_outcome() == {"accepted": 1, "refused": 20 - taken}
        assert setup.view().state is UpstreamState.OK
        setup.sink.judge = lambda b: RetryLater(30.0, "down")
        outage = [await setup.relay.take(Batch(Signal.TRACES, large(200_000), 1)) for _ in range(20)]
        assert [reply.status for reply in outage].count(200) in (13, 14, 15)


async def test_where_nothing_flows_it_gets_all_of_the_quota(tmp_path: Path) -> None:
    async with spooling(tmp_path, True) as setup:
        setup.sink.judge = lacks(METRICS)
        replies = [await setup.relay.take(Batch(METRICS, large(200_000), 1)) for _ in range(32)]
        assert [reply.status for reply in replies].count(200) in (28, 29)
        assert replies[-1].status == 429


async def test_where_the_oldest_may_go_nobody_is_refused(tmp_path: Path) -> None:
    async with spooling(tmp_path, True, on_full=OnFull.EVICT_OLDEST) as setup:
        setup.sink.judge = lacks(METRICS)
        assert await take(setup, b"t") == [OK]
        for _ in range(40):
            assert await setup.relay.take(Batch(METRICS, large(200_000), 1)) == OK
        await setup.spool.flush()
        assert setup.view().counters.by_outcome()["evicted"] == 40 - setup.view().queue_rows
