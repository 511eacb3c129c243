"""The relay in front of sinks that answer as each test says."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest

from sidecar import relay as module
from sidecar.io.clock import SystemClock
from sidecar.lane import departures, lane, sending
from sidecar.logic.otlp_http import OK, Reply, decode_status, encode_partial_success, refusal
from sidecar.logic.retry import UpstreamState
from sidecar.model.signals import Accepted, Batch, Hold, Outcome, PartlyAccepted, Rejected, RetryLater, Signal, Split
from sidecar.relay import Relay, Upstream
from tests.fakes import FakeClock, settle, until
from tests.sidecar.otlp.receiving import SPAN, field, large


def one(mark: bytes) -> bytes:
    """A request with one span that is told apart by its bytes."""
    return field(1, field(2, field(2, field(5, mark))))


def batch(mark: bytes, signal: Signal = Signal.TRACES, hops: int = 0) -> Batch:
    return Batch(signal, one(mark), 1, hops)


class Always(random.Random):
    """Jitter of one, so that waits are as long as they get."""

    def random(self) -> float:
        return 1.0

    def randint(self, a: int, b: int) -> int:
        return b


class ScriptedSink:
    """Keeps what it is sent, and answers when `open` is set: the next of `script`, or what `judge` says, or `Accepted`."""

    def __init__(self) -> None:
        self.sent: list[Batch] = []
        self.script: list[Outcome] = []
        self.judge: Callable[[Batch], Outcome] = lambda batch: Accepted()
        self.open = asyncio.Event()
        self.open.set()
        self.closed = False

    async def send(self, batch: Batch) -> Outcome:
        self.sent.append(batch)
        await self.open.wait()
        return self.script.pop(0) if self.script else self.judge(batch)

    async def close(self) -> None:
        self.closed = True


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits behind a flight leaves when that lands, and not because a busy machine has let the moment pass."""
    monkeypatch.setattr(departures, "LINGER", 0.5)


class Setup:
    def __init__(self, *required: bool, clock: FakeClock | None = None) -> None:
        self.clock = clock or FakeClock()
        self.sinks = [ScriptedSink() for _ in required]
        upstreams = [Upstream(f"up{n}", s, r) for n, (s, r) in enumerate(zip(self.sinks, required, strict=True))]
        self.relay = Relay(upstreams, self.clock, Always())

    @property
    def sink(self) -> ScriptedSink:
        return self.sinks[0]

    def take(self, *marks: bytes) -> list[asyncio.Future[Reply]]:
        return [asyncio.ensure_future(self.relay.take(batch(mark))) for mark in marks]


async def test_a_request_that_finds_nothing_in_the_air_leaves_at_once() -> None:
    setup = Setup(True)
    assert await setup.relay.take(batch(b"a", hops=3)) == OK
    assert setup.sink.sent == [Batch(Signal.TRACES, one(b"a"), 1, 3)]
    assert setup.relay.in_flight == 0
    (view,) = setup.relay.status()
    assert (view.name, view.required, view.state, view.why, view.retry_in) == ("up0", True, UpstreamState.OK, "", None)
    assert view.counters.items == {(Signal.TRACES, "accepted"): 1}
    assert view.counters.sends == {(Signal.TRACES, "accepted"): 1}
    assert view.counters.last_success_at == setup.clock.now()


async def test_what_arrives_meanwhile_leaves_joined_when_the_flight_lands() -> None:
    setup = Setup(True)
    setup.sink.open.clear()
    answers = setup.take(b"a", b"b", b"c")
    await settle()
    assert [b.body for b in setup.sink.sent] == [one(b"a")]
    assert setup.relay.in_flight == 3 * len(one(b"a"))
    setup.sink.open.set()
    assert await asyncio.gather(*answers) == [OK, OK, OK]
    assert [(b.body, b.items) for b in setup.sink.sent] == [(one(b"a"), 1), (one(b"b") + one(b"c"), 2)]


async def test_what_waits_behind_a_slow_flight_lingers_and_then_flies_beside_it() -> None:
    setup = Setup(True)
    setup.sink.open.clear()
    answers = setup.take(b"a", b"b")
    await until(lambda: len(setup.sink.sent) == 2)
    setup.sink.open.set()
    assert await asyncio.gather(*answers) == [OK, OK]


async def test_where_requests_come_closely_one_after_another_they_leave_some_at_a_time() -> None:
    """The clock stands still, so nothing could be closer; the one that nobody follows leaves alone, a moment later."""
    setup = Setup(True)
    for _ in range(50):
        assert await asyncio.gather(*setup.take(b"a", b"b")) == [OK, OK]
    before = len(setup.sink.sent)
    assert 50 < before < 100
    assert await asyncio.gather(*setup.take(b"c", b"d")) == [OK, OK]
    assert [b.body for b in setup.sink.sent[before:]] == [one(b"c") + one(b"d")]
    assert await asyncio.gather(*setup.take(b"e")) == [OK]


async def test_signals_are_never_joined_and_flights_are_bounded_in_number_and_size() -> None:
    setup = Setup(True)
    setup.sink.open.clear()
    bodies = [large(200_000 + n) for n in range(12)]
    answers = [
        asyncio.ensure_future(setup.relay.take(Batch(signal, body, 1)))
        for body in bodies
        for signal in (Signal.TRACES, Signal.LOGS)
    ]
    await settle()
    assert len(setup.sink.sent) == 4
    setup.sink.open.set()
    assert await asyncio.gather(*answers) == [OK] * 24
    assert max(len(b.body) for b in setup.sink.sent) <= 1 << 20
    assert sum(b.items for b in setup.sink.sent) == 24
    for signal in (Signal.TRACES, Signal.LOGS):
        assert b"".join(b.body for b in setup.sink.sent if b.signal is signal) == b"".join(bodies)


async def test_while_a_request_of_a_great_many_items_is_cut_others_are_served() -> None:
    setup = Setup(True)
    body = field(1, field(2, field(2, b"") * 250_000))
    setup.sink.judge = lambda b: Split("HTTP 413") if len(b.body) > 1 << 18 else Accepted()
    big = asyncio.ensure_future(setup.relay.take(Batch(Signal.TRACES, body, 250_000)))
    turns = 0
    while not big.done():
        await asyncio.sleep(0)
        turns += 1
    assert await big == OK
    assert turns > 100
    assert sum(b.items for b in setup.sink.sent if len(b.body) <= 1 << 18) == 250_000


async def test_only_the_producer_of_the_poison_hears_of_it() -> None:
    setup = Setup(True)
    setup.sink.judge = lambda b: Rejected("HTTP 400: no") if b"poison" in b.body else Accepted()
    setup.sink.open.clear()
    marks = [b"first", *[b"%d" % n for n in range(15)], b"poison", *[b"x%d" % n for n in range(15)]]
    answers = setup.take(*marks)
    await settle()
    setup.sink.open.set()
    replies = await asyncio.gather(*answers)
    assert [mark for mark, reply in zip(marks, replies, strict=True) if reply != OK] == [b"poison"]
    assert replies[16] == refusal(400, "the upstream rejects it: HTTP 400: no")
    assert len(setup.sink.sent) <= 1 + 2 * 5 + 1  # 31 joined: at most two sends a halving
    (view,) = setup.relay.status()
    assert view.state is UpstreamState.OK
    assert view.counters.items == {(Signal.TRACES, "accepted"): 31, (Signal.TRACES, "rejected"): 1}


async def test_a_batch_too_large_for_the_upstream_is_split_between_requests() -> None:
    setup = Setup(True)
    setup.sink.judge = lambda b: Split("HTTP 413") if b.items > 2 or b"huge" in b.body else Accepted()
    setup.sink.open.clear()
    answers = setup.take(b"first", b"a", b"b", b"huge", b"c", b"d")
    await settle()
    setup.sink.open.set()
    replies = await asyncio.gather(*answers)
    assert [reply.status for reply in replies] == [200, 200, 200, 413, 200, 200]
    assert decode_status(replies[3].body) == (8, "too large for the upstream: HTTP 413")
    assert setup.relay.status()[0].counters.by_outcome() == {"accepted": 5, "too_large": 1}


async def test_a_partial_success_is_told_to_a_lone_producer_and_counted() -> None:
    setup = Setup(True)
    setup.sink.script = [PartlyAccepted(1, "too old")]
    assert await setup.relay.take(batch(b"a")) == Reply(200, encode_partial_success(1, "too old"))
    (view,) = setup.relay.status()
    assert view.counters.items == {(Signal.TRACES, "rejected"): 1, (Signal.TRACES, "accepted"): 0}


async def test_of_a_joined_batch_what_was_partly_refused_is_counted_though_nobody_is_blamed() -> None:
    setup = Setup(True)
    setup.sink.script = [Accepted(), PartlyAccepted(2, "too old")]
    setup.sink.open.clear()
    answers = setup.take(b"first", b"a", b"b", b"c")
    await settle()
    setup.sink.open.set()
    assert await asyncio.gather(*answers) == [OK] * 4
    assert setup.relay.status()[0].counters.by_outcome() == {"accepted": 2, "rejected": 2}


async def test_bytes_in_and_out_are_counted_where_they_are_meant_and_where_they_are_accepted() -> None:
    setup = Setup(True)
    setup.sink.script = [Accepted(), RetryLater(None, "down")]
    for mark in (b"a", b"b", b"c"):
        await setup.relay.take(batch(mark))
    counters = setup.relay.status()[0].counters
    size = len(one(b"a"))
    assert (counters.taken_items, counters.taken_bytes, counters.accepted_bytes) == (3, 3 * size, size)


async def test_after_a_failure_requests_are_refused_at_once_until_a_trial_succeeds() -> None:
    setup = Setup(True)
    setup.sink.script = [RetryLater(None, "connection refused")]
    assert await setup.relay.take(batch(b"a")) == refusal(503, "connection refused", 2)
    assert await setup.relay.take(batch(b"b")) == refusal(503, "connection refused", 1)
    assert len(setup.sink.sent) == 1
    (view,) = setup.relay.status()
    assert (view.state, view.retry_in) == (UpstreamState.RETRYING, 1.0)
    await setup.clock.advance(1.0)
    setup.sink.open.clear()
    trial, *others = setup.take(b"c", b"d")
    await settle()
    assert [other.result() for other in others] == [refusal(503, "connection refused", 1)]
    setup.sink.open.set()
    assert await trial == OK
    assert setup.relay.status()[0].state is UpstreamState.OK
    assert setup.relay.status()[0].counters.items == {(Signal.TRACES, "refused"): 3, (Signal.TRACES, "accepted"): 1}


async def test_a_state_counts_from_its_first_failure_and_from_its_return() -> None:
    setup = Setup(True)
    setup.sink.script = [RetryLater(None, "down"), RetryLater(None, "still down")]
    seen = []
    for mark in (b"a", b"b", b"c"):
        await setup.clock.advance(10.0)
        await setup.relay.take(batch(mark))
        await setup.clock.advance(5.0)
        (view,) = setup.relay.status()
        seen.append((view.state, view.why, view.since))
    assert seen == [
        (UpstreamState.RETRYING, "down", 1_000_010.0),
        (UpstreamState.RETRYING, "still down", 1_000_010.0),
        (UpstreamState.OK, "", 1_000_040.0),
    ]


async def test_whoever_waits_behind_a_flight_that_fails_is_told_at_once() -> None:
    setup = Setup(True)
    setup.sink.open.clear()
    setup.sink.script = [RetryLater(1.0, "HTTP 503")]
    answers = setup.take(b"a", b"b")
    await settle()
    setup.sink.open.set()
    assert await asyncio.gather(*answers) == [refusal(503, "HTTP 503", 1)] * 2
    assert len(setup.sink.sent) == 1
    assert setup.relay.in_flight == 0


async def test_an_upstream_that_refuses_us_is_held_and_tried_once_a_minute() -> None:
    setup = Setup(True)
    setup.sink.script = [Hold("HTTP 401"), Hold("HTTP 401")]
    assert (await setup.relay.take(batch(b"a"))).status == 503
    for _ in range(5):
        await setup.clock.advance(10)
        assert (await setup.relay.take(batch(b"b"))).status == 503
    assert len(setup.sink.sent) == 1
    assert setup.relay.status()[0].state is UpstreamState.HELD
    await setup.clock.advance(10)
    assert (await setup.relay.take(batch(b"c"))).status == 503
    assert len(setup.sink.sent) == 2
    await setup.clock.advance(60)
    assert await setup.relay.take(batch(b"d")) == OK


async def test_an_upstream_that_never_answers_is_given_up_within_the_producers_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lane, "PATIENCE", 0.05)
    monkeypatch.setattr(sending, "PATIENCE", 0.05)
    setup = Setup(True)
    setup.sink.open.clear()
    assert await setup.relay.take(batch(b"a")) == refusal(503, "no answer within 0.05 s", 2)


async def test_every_required_upstream_must_accept_and_an_optional_one_need_not() -> None:
    setup = Setup(True, True, False)
    setup.sinks[2].open.clear()
    assert await setup.relay.take(batch(b"a")) == OK
    setup.sinks[1].script = [RetryLater(None, "down")]
    assert (await setup.relay.take(batch(b"b"))).status == 503
    assert [len(sink.sent) for sink in setup.sinks] == [2, 2, 1]
    await setup.relay.close()


async def test_with_optional_upstreams_only_a_request_is_answered_at_once() -> None:
    setup = Setup(False)
    setup.sink.open.clear()
    answer = setup.relay.take(batch(b"a"))
    assert answer.done()
    assert answer.result() == OK
    await setup.relay.close()


async def test_an_optional_upstream_keeps_what_it_missed_and_gets_it_in_order() -> None:
    setup = Setup(False)
    setup.sink.script = [RetryLater(0.0, "busy")]
    setup.sink.open.clear()
    for mark in (b"a", b"b"):
        await setup.relay.take(batch(mark))
    await settle()
    setup.sink.open.set()
    await until(lambda: not setup.relay.in_flight)
    assert b"".join(b.body for b in setup.sink.sent[1:]) == one(b"a") + one(b"b")
    assert setup.relay.status()[0].counters.items == {(Signal.TRACES, "accepted"): 2}


async def test_an_optional_upstream_that_is_down_evicts_the_oldest_and_counts_them() -> None:
    setup = Setup(False)
    setup.sink.script = [RetryLater(None, "down")]
    for n in range(30):
        await setup.relay.take(Batch(Signal.TRACES, large(200_000 + n), 1))
        await settle()
    assert 3_800_000 < setup.relay.in_flight <= 4 << 20
    (view,) = setup.relay.status()
    assert view.counters.by_outcome() == {"evicted": 30 - setup.relay.in_flight // 200_000}
    assert (view.queue_rows, view.queue_bytes) == (setup.relay.in_flight // 200_000, setup.relay.in_flight)
    assert view.oldest == setup.clock.now()
    await setup.relay.close()


async def test_our_own_telemetry_is_sent_and_dropped_when_it_cannot_be() -> None:
    setup = Setup(True)
    setup.relay.submit(batch(b"a", Signal.METRICS))
    await settle()
    assert len(setup.sink.sent) == 1
    setup.sink.judge = lambda b: RetryLater(None, "down")
    for _ in range(3):
        setup.relay.submit(batch(b"b", Signal.METRICS))
        await settle()
    assert len(setup.sink.sent) == 2
    assert setup.relay.in_flight == 0
    assert setup.relay.status()[0].counters.items == {(Signal.METRICS, "accepted"): 1, (Signal.METRICS, "dropped"): 3}


async def test_our_own_telemetry_may_not_pile_up() -> None:
    setup = Setup(True)
    setup.sink.open.clear()
    for _ in range(100):
        setup.relay.submit(Batch(Signal.METRICS, large(100_000), 1))
    assert setup.relay.in_flight <= 1 << 20
    await setup.relay.close()


async def test_bytes_in_flight_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 250_000)
    setup = Setup(True)
    setup.sink.open.clear()
    answers = [asyncio.ensure_future(setup.relay.take(Batch(Signal.TRACES, large(100_000), 1))) for _ in range(3)]
    await settle()
    assert [answer.done() for answer in answers] == [False, False, True]
    assert answers[2].result() == refusal(503, "too many bytes in flight", 1)
    await setup.relay.close()


async def test_draining_finishes_what_is_queued() -> None:
    setup = Setup(True)
    setup.sink.open.clear()
    answers = setup.take(b"a", b"b", b"c")
    await settle()
    draining = asyncio.create_task(setup.relay.drain(5.0))
    await settle()
    setup.sink.open.set()
    assert await asyncio.gather(*answers) == [OK] * 3
    await setup.clock.advance(1)
    await draining
    await setup.relay.close()
    assert setup.sink.closed


async def test_what_is_not_finished_at_the_deadline_is_given_back() -> None:
    setup = Setup(True)
    setup.sink.open.clear()
    answers = setup.take(b"a")
    await settle()
    draining = asyncio.create_task(setup.relay.drain(5.0))
    await setup.clock.advance(6)
    await draining
    assert [(await answer).status for answer in answers] == [503]
    assert setup.relay.in_flight == 0


async def test_whoever_waits_is_told_though_no_time_is_left_to_drain() -> None:
    setup = Setup(True)
    setup.sink.open.clear()
    answers = setup.take(b"a", b"b")
    await settle()
    await setup.relay.drain(0.0)
    assert [answer.done() and answer.result().status for answer in answers] == [503, 503]
    assert setup.relay.in_flight == 0


async def test_a_bug_in_a_sink_answers_whoever_waits_and_is_reported() -> None:
    reported: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context["message"]))
    setup = Setup(True)

    def broken(batch: Batch) -> Outcome:
        raise KeyError("bug")

    setup.sink.judge = broken
    assert (await setup.relay.take(batch(b"a"))).status == 503
    await settle()
    assert reported == ["a flight failed on a bug"]


async def test_the_system_clock_will_do() -> None:
    sink = ScriptedSink()
    relay = Relay([Upstream("up", sink)], SystemClock(), random.Random(1))
    assert await relay.take(Batch(Signal.LOGS, field(1, field(2, SPAN)), 1)) == OK
    await relay.drain(1.0)
    await relay.close()


async def test_with_optional_upstreams_only_our_own_logs_are_answered_when_they_have_arrived() -> None:
    setup = Setup(False)
    setup.sink.open.clear()
    answer = setup.relay.take_own_logs(batch(b"a"))
    await settle()
    assert not answer.done()
    setup.sink.open.set()
    assert await answer == OK
    setup.sink.script = [RetryLater(None, "down")]
    assert (await setup.relay.take_own_logs(batch(b"b"))).status == 503
    assert setup.relay.in_flight == 0
    await setup.relay.close()


async def test_our_own_logs_do_not_wait_for_an_optional_upstream_beside_a_required_one() -> None:
    setup = Setup(True, False)
    setup.sinks[1].open.clear()
    assert await setup.relay.take_own_logs(batch(b"a")) == OK
    await setup.relay.close()
