"""What breaks in a source is its own trouble: it is said, and the source begins again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import structlog

from sidecar.logic.log_watch import Sight
from sidecar.logic.multiline import Mode
from sidecar.logic.otlp_http import OK, Reply, refusal
from sidecar.logic.otlp_logs import Frame
from sidecar.logic.redaction import Rules
from sidecar.logic.redaction_config import Config
from sidecar.logs.base import Source
from sidecar.logs.delivery import FULL, MOST, Delivery, Take
from sidecar.logs.followed_source import ACTIVE, LATE, SHOWN, UNFINISHED, FollowedSource
from sidecar.logs.formats import format_named
from sidecar.logs.pipeline import Pipeline
from sidecar.model.counters import LogCounters
from sidecar.model.logs import Keep
from sidecar.model.signals import Batch
from tests.fakes import FakeClock, settle


class Brittle:
    """Breaks at once in its first `bugs` lives, and then reads for ever. What it remembers is how often it was made."""

    def __init__(self, bugs: int) -> None:
        self.bugs = bugs
        self.made: list[Mapping[str, object]] = []
        self.remembers = True

    def make(self, remembered: Mapping[str, object]) -> Source:
        self.made.append(remembered)
        if self.bugs == 3 == len(self.made):
            raise OSError("not made")
        return self

    async def run(self) -> None:
        if len(self.made) <= self.bugs:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._break())
        await asyncio.Event().wait()

    async def _break(self) -> None:
        raise KeyError(len(self.made))

    def checkpoint(self) -> Mapping[str, object]:
        if not self.remembers:
            raise ValueError("forgotten")
        return {"lives": len(self.made)}


class Bench:
    def __init__(self, bugs: int = 0, take: Take | None = None) -> None:
        self.clock = FakeClock()
        self.brittle = Brittle(bugs)
        counters = LogCounters()
        delivery = Delivery(take, Frame({}, "outrider", "1"), self.clock, random.Random(1))
        pipeline = Pipeline(
            delivery, self.clock, counters, Rules(Config()), lambda: format_named("auto", Keep.ALL), Mode.NONE
        )
        log = structlog.get_logger()
        self.source = FollowedSource(
            "app", "file", self.brittle.make, pipeline, counters, {"lives": 0}, self.clock, log
        )
        pipeline.watchers = [self.source.note]
        counters.streams = 1
        self.stream = pipeline.stream(b"0" * 16, {}, 0)
        self._mark = 0

    async def feed(self, line: bytes = b"{}") -> None:
        self._mark += 1
        await self.stream.feed([line], [self._mark])

    @asynccontextmanager
    async def running(self) -> AsyncIterator[FollowedSource]:
        task = asyncio.create_task(self.source.run())
        await settle()
        yield self.source
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_it_begins_again_later_and_later_where_all_is_settled() -> None:
    bench = Bench(bugs=3)
    async with bench.running():
        lives = []
        for seconds in (0, 4, 1, 9, 1, 19, 1):
            await bench.clock.advance(seconds)
            lives.append(len(bench.brittle.made))
    assert lives == [1, 1, 2, 2, 3, 3, 4]
    assert bench.brittle.made == [{"lives": 0}, {"lives": 1}, {"lives": 2}, {"lives": 2}]


async def test_what_broke_is_said_once_counted_and_shown_until_all_has_been_well_for_a_while() -> None:
    bench = Bench(bugs=2)
    with structlog.testing.capture_logs() as said:
        async with bench.running() as source:
            assert source.why == "KeyError: 1"
            await bench.clock.advance(5)
            await bench.clock.advance(10)
            assert source.why == "KeyError: 2"
            source.counters.why = "no file fits"
            await bench.clock.advance(SHOWN)
            assert source.why == "no file fits"
    assert source.counters.errors == {"broken": 2}
    (told,) = said
    assert (told["log_level"], told["source"], told["why"]) == ("error", "app", "KeyError: 1")
    assert "test_followed_source.py:" in told["where"]


async def test_a_checkpoint_that_cannot_be_made_leaves_the_last_one() -> None:
    bench = Bench(bugs=0)
    async with bench.running() as source:
        assert source.checkpoint() == {"lives": 1}
        bench.brittle.remembers = False
        assert source.checkpoint() == {"lives": 1}
        assert source.why == "ValueError: forgotten"


class Upstream:
    def __init__(self) -> None:
        self.answer: Reply = refusal(503, "down", 1)

    def take(self, batch: Batch) -> asyncio.Future[Reply]:
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        answer.set_result(self.answer)
        return answer


async def test_a_check_does_without_a_source_whose_lines_find_no_room_for_a_while() -> None:
    upstream = Upstream()
    bench = Bench(take=upstream.take)
    for _ in range(MOST):
        await bench.feed(b'{"msg":"%s"}' % (b"x" * FULL))
    await bench.clock.advance(LATE)
    assert bench.source.sight() == Sight()  # all that was written was read
    more = asyncio.create_task(bench.feed())
    await settle()
    assert bench.source.sight() == Sight("reading pauses: down", blind=True, in_hand=True)
    upstream.answer = OK
    await bench.clock.advance(LATE)
    await more
    assert bench.source.sight() == Sight()


async def test_a_short_pause_is_no_trouble() -> None:
    bench = Bench(take=Upstream().take)
    for _ in range(MOST):
        await bench.feed(b'{"msg":"%s"}' % (b"x" * FULL))
    more = asyncio.create_task(bench.feed())
    await bench.clock.advance(LATE - 1)
    assert bench.source.sight() == Sight(in_hand=True)
    await bench.source.pipeline.delivery.close()
    more.cancel()


async def test_a_check_does_without_a_source_that_reads_what_is_old() -> None:
    bench = Bench()
    bench.source.counters.lag_bytes, bench.source.counters.lag_seconds = UNFINISHED, 95.2
    await bench.feed()
    assert bench.source.sight() == Sight("reading is 95s behind", blind=True)
    bench.source.counters.lag_bytes -= 1  # lines without an end
    assert bench.source.sight() == Sight()
    bench.source.counters.lag_bytes = 0  # of an API nobody knows
    assert bench.source.sight() == Sight("reading is 95s behind", blind=True)
    await bench.clock.advance(ACTIVE)  # read, and waiting for an answer
    assert bench.source.sight() == Sight()


async def test_trouble_blinds_until_lines_come_in_spite_of_it() -> None:
    bench = Bench()
    counters = bench.source.counters
    await bench.feed()
    counters.why = "/b.log: Permission denied"
    assert bench.source.sight() == Sight("/b.log: Permission denied", blind=True)
    await bench.feed()
    assert bench.source.sight() == Sight("/b.log: Permission denied")
    counters.why, counters.streams = "", 0
    assert bench.source.sight() == Sight(reads=False)
