"""The relay with a spool: who is answered when, what is on disk meanwhile, and in which order it leaves."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from sidecar import relay as relay_module
from sidecar.io.clock import SystemClock
from sidecar.io.spool import Config, OnFull, Spool
from sidecar.io.spool_file import NAME, SpoolFile, look
from sidecar.lane import backlog
from sidecar.logic.otlp_http import OK, Reply
from sidecar.logic.retry import UpstreamState
from sidecar.model.signals import Accepted, Batch, Hold, Outcome, PartlyAccepted, Rejected, RetryLater, Signal, Split
from sidecar.relay import Relay, Upstream, UpstreamView
from tests.fakes import until
from tests.sidecar.otlp.receiving import field, large
from tests.sidecar.test_relay import Always, ScriptedSink, batch, one

MIB = 1 << 20
DOWN = RetryLater(0.0, "HTTP 503")
MANY = field(1, field(2, b"".join(field(2, field(5, b"%03d" % n)) for n in range(100))))


class Setup:
    def __init__(self, relay: Relay, sinks: list[ScriptedSink], spool: Spool, path: Path) -> None:
        self.relay, self.sinks, self.spool, self.path = relay, sinks, spool, path

    @property
    def sink(self) -> ScriptedSink:
        return self.sinks[0]

    def view(self, number: int = 0) -> UpstreamView:
        return self.relay.status()[number]

    async def empty(self) -> None:
        await until(lambda: not any(view.queue_rows for view in self.relay.status()) and not self.relay.in_flight)

    def quarantined(self) -> list[tuple[str, str]]:
        db = look(str(self.path))
        found = db.execute("SELECT upstream, reason FROM quarantine ORDER BY id").fetchall()
        db.close()
        return found


@asynccontextmanager
async def spooling(
    path: Path, *required: bool, on_full: OnFull = OnFull.REFUSE, sinks: list[ScriptedSink] | None = None
) -> AsyncIterator[Setup]:
    clock = SystemClock()
    spool = Spool(Config(path=str(path), max_bytes=8 * MIB, on_full=on_full), clock.now)
    sinks = sinks or [ScriptedSink() for _ in required]
    upstreams = [Upstream(f"up{n}", sink, r) for n, (sink, r) in enumerate(zip(sinks, required, strict=True))]
    relay = Relay(upstreams, clock, Always(), spool)
    await relay.open()
    try:
        yield Setup(relay, sinks, spool, path)
    finally:
        await relay.close()


async def take(setup: Setup, *marks: bytes, signal: Signal = Signal.TRACES) -> list[Reply]:
    return await asyncio.gather(*[setup.relay.take(batch(mark, signal)) for mark in marks])


def marks(sink: ScriptedSink, since: int = 0) -> bytes:
    return b"".join(b.body for b in sink.sent[since:])


async def test_while_upstreams_are_well_nothing_touches_the_disk(tmp_path: Path) -> None:
    async with spooling(tmp_path, True, True) as setup:
        assert await take(setup, *[b"%d" % n for n in range(200)]) == [OK] * 200
        await setup.spool.flush()
        assert setup.spool.counters.written == {}
        assert setup.spool.room("up0") == setup.spool.room("up1") == (8 * MIB - 2 * MIB) * 15 // 16 // 2


async def test_what_an_upstream_does_not_take_is_written_and_arrives_later(tmp_path: Path) -> None:
    async with spooling(tmp_path, True) as setup:
        setup.sink.script = [RetryLater(0.3, "HTTP 503")]
        assert await take(setup, b"a") == [OK]
        assert await take(setup, b"b", b"c") == [OK, OK]
        assert len(setup.sink.sent) == 1
        view = setup.view()
        assert (view.state, view.queue_rows, view.queue_bytes) == (UpstreamState.RETRYING, 3, 3 * len(one(b"a")))
        await setup.empty()
        assert marks(setup.sink, 1) == one(b"a") + one(b"b") + one(b"c")
        assert setup.view().counters.items == {(Signal.TRACES, "accepted"): 3}


def test_an_upstream_that_names_a_tiny_pause_is_tried_soon_on_uvloop_too(tmp_path: Path) -> None:
    """Whose handles of what is due in less than half a millisecond do not tell when that is."""
    trouble: list[dict[str, Any]] = []

    async def play() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: trouble.append(context))
        async with spooling(tmp_path, True) as setup:
            setup.sink.script = [RetryLater(0.0004, "HTTP 503")] * 200
            for _ in range(20):
                assert await take(setup, b"a", b"b") == [OK, OK]
            setup.sink.script = []
            await setup.empty()

    uvloop.run(play())
    assert trouble == []


async def test_a_slow_upstream_makes_nobody_wait_longer_than_patience_and_deletes_the_row_later(tmp_path: Path) -> None:
    async with spooling(tmp_path, True) as setup:
        setup.sink.open.clear()
        assert await take(setup, b"a", b"b") == [OK, OK]
        assert setup.view().queue_rows == 2
        setup.sink.open.set()
        await setup.empty()
        assert sorted(marks(setup.sink)) == sorted(one(b"a") + one(b"b"))  # once each


async def test_only_the_upstream_that_has_not_accepted_gets_a_row(tmp_path: Path) -> None:
    async with spooling(tmp_path, True, True, False) as setup:
        setup.sinks[1].judge = lambda b: RetryLater(30.0, "down")
        setup.sinks[2].judge = lambda b: RetryLater(30.0, "down")
        assert await take(setup, b"a", b"b") == [OK, OK]
        await until(lambda: setup.view(1).queue_rows == setup.view(2).queue_rows == 2)
        assert setup.view(0).queue_rows == 0
        assert marks(setup.sinks[0]) == one(b"a") + one(b"b")


async def test_what_the_last_run_left_is_sent_by_the_next(tmp_path: Path) -> None:
    async with spooling(tmp_path, True, True) as setup:
        setup.sinks[0].judge = setup.sinks[1].judge = lambda b: RetryLater(30.0, "down")
        assert await take(setup, b"a", b"b") == [OK, OK]
    async with spooling(tmp_path, True) as setup:
        await until(lambda: marks(setup.sink) == one(b"a") + one(b"b"))
        await setup.empty()
        assert setup.spool.names() == {"up1"}
        assert setup.spool.rows("up1") == 2


async def test_in_flight_at_the_stop_is_in_the_spool_before_anything_else(tmp_path: Path) -> None:
    async with spooling(tmp_path, True) as setup:
        setup.sink.open.clear()
        answers = [asyncio.ensure_future(setup.relay.take(batch(mark))) for mark in (b"a", b"b", b"c")]
        setup.relay.spill()
        await setup.spool.flush()
        assert await asyncio.gather(*answers) == [OK] * 3
        assert setup.view().queue_rows == 3
    async with spooling(tmp_path, True) as setup:
        await until(lambda: marks(setup.sink) == one(b"a") + one(b"b") + one(b"c"))


async def test_what_is_in_the_air_when_the_drain_ends_is_written_too(tmp_path: Path) -> None:
    async with spooling(tmp_path, True) as setup:
        setup.sink.open.clear()
        answers = [asyncio.ensure_future(setup.relay.take(batch(mark))) for mark in (b"a", b"b")]
        await setup.relay.drain(0.05)
        assert await asyncio.gather(*answers) == [OK] * 2
        assert setup.spool.rows("up0") == 2


async def test_metrics_arrive_in_the_order_in_which_they_came_through_an_outage(tmp_path: Path) -> None:
    async with spooling(tmp_path, True) as setup:
        failing = {3, 5, 6, 9}
        accepted: list[bytes] = []
        sends = 0

        def judge(b: Batch) -> Outcome:
            nonlocal sends
            sends += 1
            if sends in failing:
                return RetryLater(0.01, "HTTP 503")
            accepted.append(b.body)
            return Accepted()

        setup.sink.judge = judge
        for n in range(100):
            assert await take(setup, b"%03d" % n, signal=Signal.METRICS) == [OK]
            await asyncio.sleep(0.002)
        await setup.empty()
        assert b"".join(accepted) == b"".join(one(b"%03d" % n) for n in range(100))


async def test_traces_pass_the_backlog_which_does_not_exceed_its_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "BACKLOG", 2 << 20)
    async with spooling(tmp_path, True) as setup:
        setup.sink.judge = lambda b: RetryLater(0.05, "down")
        for n in range(10):
            await setup.relay.take(Batch(Signal.TRACES, large(200_000 + n), 1))
        setup.sink.judge = lambda b: Accepted()
        began = asyncio.get_running_loop().time()
        await until(lambda: setup.view().state is UpstreamState.OK)
        assert await take(setup, b"fresh") == [OK]
        assert setup.view().queue_rows > 0
        await setup.empty()
        assert asyncio.get_running_loop().time() - began > 2_000_000 / (2 << 20) * 0.5


async def test_no_room_is_429_until_there_is_room_again(tmp_path: Path) -> None:
    async with spooling(tmp_path, True) as setup:
        setup.sink.judge = lambda b: RetryLater(0.2, "down")
        replies = [await setup.relay.take(Batch(Signal.TRACES, large(200_000), 1)) for _ in range(40)]
        taken = [reply.status for reply in replies].count(200)
        assert taken in (28, 29)
        assert [reply.status for reply in replies] == [200] * taken + [429] * (40 - taken)
        assert replies[-1].retry_after == 2
        view = setup.view()
        assert (view.counters.taken_items, view.counters.by_outcome()) == (40, {"refused": 40 - taken})
        assert (view.state, view.why) == (UpstreamState.FULL, "the spool is full; down")
        setup.sink.judge = lambda b: Accepted()
        await setup.empty()
        assert await take(setup, b"a") == [OK]
        assert setup.view().state is UpstreamState.OK
        assert sum(b.items for b in setup.sink.sent if b.items) >= taken


async def test_the_oldest_go_where_that_is_wanted(tmp_path: Path) -> None:
    async with spooling(tmp_path, True, on_full=OnFull.EVICT_OLDEST) as setup:
        setup.sink.judge = lambda b: RetryLater(30.0, "down")
        for _ in range(60):
            assert await setup.relay.take(Batch(Signal.TRACES, large(200_000), 1)) == OK
        await setup.spool.flush()
        assert setup.spool.counters.evicted == {"up0": 60 - setup.view().queue_rows}
        assert setup.view().counters.by_outcome() == {"evicted": 60 - setup.view().queue_rows}
        assert 20 < setup.view().queue_rows <= 29


async def test_what_waits_for_an_optional_upstream_outlives_the_process_and_its_oldest_make_room(
    tmp_path: Path,
) -> None:
    """Its own share, and never a producer's trouble."""
    async with spooling(tmp_path, True, False) as setup:
        setup.sinks[1].judge = lambda b: RetryLater(30.0, "down")
        for n in range(40):
            assert await setup.relay.take(Batch(Signal.TRACES, large(200_000 + n), 1)) == OK
        await setup.spool.flush()
        view = setup.view(1)
        assert 10 < view.queue_rows <= 14
        assert (view.state, view.counters.by_outcome()) == (UpstreamState.RETRYING, {"evicted": 40 - view.queue_rows})
        assert setup.view(0).counters.by_outcome() == {"accepted": 40}
        left = view.queue_rows
    async with spooling(tmp_path, True, False) as setup:
        await setup.empty()
        sizes = [len(large(200_000 + n)) for n in range(40 - left, 40)]
        assert sum(len(b.body) for b in setup.sinks[1].sent) == sum(sizes)
        assert setup.sinks[0].sent == []


@pytest.mark.parametrize("on_full", OnFull)
async def test_who_may_lose_what_waits_keeps_no_room_from_an_upstream_that_is_well(
    tmp_path: Path, on_full: OnFull
) -> None:
    """Small rows of both lie on the same pages. When those of one have arrived, the other's take more than their share: they
    leave little by little, and at once as far as a large request needs it."""
    async with spooling(tmp_path, True, on_full is OnFull.EVICT_OLDEST, on_full=on_full) as setup:
        for sink in setup.sinks:
            sink.judge = lambda b: RetryLater(30.0, "down")
        while setup.spool.room("up0") > 200_000:
            await asyncio.gather(*[setup.relay.take(Batch(Signal.TRACES, large(500), 1)) for _ in range(100)])
        await setup.spool.flush()
    async with spooling(tmp_path, True, on_full is OnFull.EVICT_OLDEST, on_full=on_full) as setup:
        setup.sinks[1].judge = lambda b: RetryLater(30.0, "down")
        await until(lambda: not setup.view(0).queue_rows)
        await setup.spool.flush()
        for _ in range(20):
            assert await setup.relay.take(Batch(Signal.TRACES, large(500), 1)) == OK
            await setup.spool.flush()
        assert 0 < setup.spool.counters.evicted["up1"] < 200, "a few for each that comes, of thousands"
        assert await setup.relay.take(Batch(Signal.TRACES, large(1_000_000), 1)) == OK
        assert await setup.relay.take(Batch(Signal.TRACES, large(1_000_000), 1)) == OK
        await setup.spool.flush()
        assert setup.spool.counters.errors == {}
        lost = setup.view(1).counters.by_outcome()
        assert lost.keys() == {"evicted"}
        assert lost["evicted"] == setup.spool.counters.evicted["up1"]


class Moody(ScriptedSink):
    """Slow, and every third time it takes nothing."""

    async def send(self, batch: Batch) -> Outcome:
        self.sent.append(batch)
        await asyncio.sleep(len(self.sent) % 7 / 500)
        return DOWN if len(self.sent) % 3 == 0 and self.open.is_set() else Accepted()


async def test_what_is_evicted_while_it_is_read_or_sent_is_counted_once(tmp_path: Path) -> None:
    """As accepted where it has arrived all the same, which is not known when it goes."""
    async with spooling(tmp_path, False, sinks=[Moody()]) as setup:
        for number in range(400):
            setup.relay.take(Batch(list(Signal)[number % 3], large((500, 20_000, 400_000)[number % 5 % 3]), 1))
            if number % 4 == 0:
                await asyncio.sleep(0.004)
        setup.sink.open.clear()
        await setup.empty()
        await setup.spool.flush()
        counters = setup.view().counters
        outcomes = counters.by_outcome()
        assert outcomes.keys() <= {"accepted", "evicted"}
        assert counters.taken_items == 400 == sum(outcomes.values())


async def test_what_a_slow_optional_upstream_leaves_beyond_four_mib_goes_to_the_disk(tmp_path: Path) -> None:
    async with spooling(tmp_path, False) as setup:
        setup.sink.open.clear()
        for n in range(36):
            assert await setup.relay.take(Batch(Signal.TRACES, large(150_000 + n), 1)) == OK
        await until(lambda: setup.relay.in_flight < 9 << 20 and setup.spool.rows("up0"))
        await setup.spool.flush()
        assert setup.relay.in_flight <= (4 << 20) + 4 * (1 << 20)
        setup.sink.open.set()
        await setup.empty()
        assert setup.view().counters.by_outcome() == {"accepted": 36}
        assert setup.spool.counters.written["up0"] > 0


async def test_what_an_optional_upstream_has_in_memory_at_the_stop_is_written(tmp_path: Path) -> None:
    async with spooling(tmp_path, True, False) as setup:
        setup.sinks[1].open.clear()
        assert await take(setup, *[b"%d" % n for n in range(20)]) == [OK] * 20
        await setup.spool.flush()
        assert setup.spool.counters.written == {}
    async with spooling(tmp_path, True, False) as setup:
        await setup.empty()
        assert marks(setup.sinks[1]) == b"".join(one(b"%d" % n) for n in range(20))
        assert setup.sinks[0].sent == []


async def test_what_is_cut_before_its_flight_has_begun_is_written_too(tmp_path: Path) -> None:
    async with spooling(tmp_path, True, False) as setup:
        setup.sinks[1].open.clear()
        assert await take(setup, *[b"%d" % n for n in range(20)]) == [OK] * 20
        await setup.relay.drain(0.0)
        assert setup.relay.in_flight == 0
        assert setup.spool.rows("up1") == 20


async def test_an_optional_upstreams_metrics_keep_their_order_through_the_disk(tmp_path: Path) -> None:
    async with spooling(tmp_path, False) as setup:
        accepted: list[bytes] = []
        sends = 0

        def judge(b: Batch) -> Outcome:
            nonlocal sends
            sends += 1
            if sends in {3, 5, 6, 9}:
                return RetryLater(0.01, "HTTP 503")
            accepted.append(b.body)
            return Accepted()

        setup.sink.judge = judge
        for n in range(100):
            assert await take(setup, b"%03d" % n, signal=Signal.METRICS) == [OK]
            await asyncio.sleep(0.002)
        await setup.empty()
        assert b"".join(accepted) == b"".join(one(b"%03d" % n) for n in range(100))
        assert setup.spool.counters.written["up0"] > 0


async def test_the_poison_is_quarantined_and_its_producer_told_if_it_still_waits(tmp_path: Path) -> None:
    async with spooling(tmp_path, True) as setup:
        setup.sink.judge = lambda b: Rejected("HTTP 400: no") if b"poison" in b.body else Accepted()
        assert [r.status for r in await take(setup, b"a", b"poison", b"b")] == [200, 400, 200]
        setup.sink.script = [RetryLater(0.2, "down")]
        assert [r.status for r in await take(setup, b"c", b"poison", b"d")] == [200, 200, 200]
        await setup.empty()
        await setup.spool.flush()
        assert setup.quarantined() == [("up0", "HTTP 400: no")] * 2
        assert setup.spool.counters.quarantined == {("up0", "rejected"): 2}
        assert setup.view().counters.by_outcome() == {"accepted": 4, "rejected": 2}


async def test_three_rejections_in_a_row_are_held_not_quarantined(tmp_path: Path) -> None:
    async with spooling(tmp_path, True) as setup:
        setup.sink.judge = lambda b: Rejected("HTTP 400: unknown tenant")
        statuses = [(await take(setup, b"%d" % n))[0].status for n in range(5)]
        assert statuses == [400, 400, 200, 200, 200]
        view = setup.view()
        assert (view.state, view.queue_rows) == (UpstreamState.HELD, 3)
        assert view.why == "3 requests in a row were rejected: HTTP 400: unknown tenant"
        await setup.spool.flush()
        assert len(setup.quarantined()) == 2


async def test_a_request_too_large_by_itself_is_cut_between_its_items(tmp_path: Path) -> None:
    async with spooling(tmp_path, True) as setup:
        arrived: list[Batch] = []

        def judge(b: Batch) -> Outcome:
            if b.items > 30:
                return Split("HTTP 413")
            if b"037" in b.body:
                return Split("HTTP 413") if b.items > 1 else Rejected("HTTP 400: 37")
            arrived.append(b)
            return Accepted()

        setup.sink.judge = judge
        reply = await setup.relay.take(Batch(Signal.TRACES, MANY, 100))
        assert reply.status == 200
        assert sum(b.items for b in arrived) == 99
        assert setup.view().counters.items == {(Signal.TRACES, "rejected"): 1, (Signal.TRACES, "accepted"): 99}
        await setup.spool.flush()
        assert setup.quarantined() == [("up0", "HTTP 400: 37")]


async def test_a_hold_keeps_everything(tmp_path: Path) -> None:
    async with spooling(tmp_path, True) as setup:
        setup.sink.script = [Hold("HTTP 401")]
        assert await take(setup, b"a") == [OK]
        assert await take(setup, b"b") == [OK]
        assert (setup.view().state, setup.view().queue_rows) == (UpstreamState.HELD, 2)


async def test_a_partial_success_is_final(tmp_path: Path) -> None:
    async with spooling(tmp_path, True) as setup:
        setup.sink.script = [DOWN, PartlyAccepted(1, "too old")]
        assert await take(setup, b"a") == [OK]
        await setup.empty()
        assert len(setup.sink.sent) == 2


async def test_without_a_usable_disk_it_forwards_in_memory_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    async with spooling(tmp_path / "file", True) as setup:
        assert await take(setup, b"a") == [OK]
        setup.sink.judge = lambda b: RetryLater(30.0, "HTTP 503")
        assert [reply.status for reply in await take(setup, b"b")] == [503]
        assert "File exists" in setup.spool.why or "Not a directory" in setup.spool.why
        assert setup.spool.counters.errors["unwritable"] >= 1


async def test_without_a_usable_disk_an_optional_upstream_is_kept_in_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    async with spooling(tmp_path / "file", False) as setup:
        setup.sink.script = [RetryLater(0.2, "HTTP 503")]
        assert await take(setup, b"a", b"b") == [OK, OK]
        view = setup.view()
        assert (view.state, view.queue_rows) == (UpstreamState.RETRYING, 2)
        await setup.empty()
        assert setup.view().counters.by_outcome() == {"accepted": 2}


async def test_a_row_that_the_disk_has_changed_is_counted_as_lost_with_its_items(tmp_path: Path) -> None:
    async with spooling(tmp_path, True) as setup:
        setup.sink.judge = lambda b: RetryLater(30.0, "down")
        assert await setup.relay.take(Batch(Signal.TRACES, MANY, 100)) == OK
        assert await take(setup, b"b") == [OK]
    db = sqlite3.connect(tmp_path / NAME)
    db.execute("UPDATE batch SET crc = crc + 1 WHERE items = 100")
    db.commit()
    db.close()
    async with spooling(tmp_path, True) as setup:
        await setup.empty()
        assert setup.view().counters.by_outcome() == {"accepted": 1, "corrupt": 100}
        assert setup.spool.counters.quarantined == {("up0", "corrupt"): 1}


def poisoned(batch: Batch) -> Outcome:
    return Rejected("bad") if any(bad in batch.body for bad in (b"000", b"001", b"002", b"051")) else Accepted()


async def test_of_our_own_logs_only_the_bad_records_are_lost_however_many_there_are_in_a_row(tmp_path: Path) -> None:
    async with spooling(tmp_path, True) as setup:
        setup.sink.judge = poisoned
        assert (await setup.relay.take_own_logs(Batch(Signal.LOGS, MANY, 100))).status == 200
        await setup.spool.flush()
        view = setup.view()
        assert (view.state, view.queue_rows) == (UpstreamState.OK, 0)
        assert view.counters.items == {(Signal.LOGS, "accepted"): 96, (Signal.LOGS, "rejected"): 4}
        assert len(setup.quarantined()) == 2


async def test_an_upstream_that_rejects_all_of_our_own_logs_is_asked_a_bounded_number_of_times(tmp_path: Path) -> None:
    async with spooling(tmp_path, True) as setup:
        setup.sink.judge = lambda batch: Rejected("bad")
        assert (await setup.relay.take_own_logs(Batch(Signal.LOGS, MANY, 100))).status == 400
        assert len(setup.sink.sent) == 65
        assert setup.view().counters.items == {(Signal.LOGS, "rejected"): 100}
        await setup.spool.flush()
        assert len(setup.quarantined()) == 1


async def test_of_what_waited_in_the_spool_only_the_bad_records_are_lost(tmp_path: Path) -> None:
    async with spooling(tmp_path, True) as setup:
        setup.sink.script = [DOWN]
        setup.sink.judge = poisoned
        assert await setup.relay.take(Batch(Signal.LOGS, MANY, 100)) == OK
        await setup.empty()
        assert setup.view().counters.items == {(Signal.LOGS, "accepted"): 96, (Signal.LOGS, "rejected"): 4}


async def test_a_disk_that_does_not_answer_leaves_no_producer_without_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what comes after that is told at once, until it answers again."""
    answers = threading.Event()
    apply = SpoolFile.apply
    monkeypatch.setattr(SpoolFile, "apply", lambda *args: (answers.wait(60), apply(*args)))
    monkeypatch.setattr(relay_module, "PATIENCE", 0.2)
    async with spooling(tmp_path, True) as setup:
        setup.sink.judge = lambda b: RetryLater(0.2, "down")
        replies = await take(setup, b"a", b"b")
        assert [reply.status for reply in replies] == [503, 503]
        assert setup.spool.why == "the disk does not answer"
        assert [reply.status for reply in await take(setup, b"c")] == [503]
        answers.set()
        await until(lambda: setup.spool.usable)
        setup.sink.judge = lambda b: Accepted()
        await setup.empty()
        assert await take(setup, b"d") == [OK]
        counters = setup.view().counters
        assert counters.taken_items == sum(counters.by_outcome().values())
