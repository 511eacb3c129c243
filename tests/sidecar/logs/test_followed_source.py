"""What breaks in a source is its own trouble: it is said, and the source begins again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import structlog

from sidecar.logic.multiline import Mode
from sidecar.logic.otlp_logs import Frame
from sidecar.logic.redaction import Rules
from sidecar.logic.redaction_config import Config
from sidecar.logs.base import Source
from sidecar.logs.delivery import Delivery
from sidecar.logs.followed_source import SHOWN, FollowedSource
from sidecar.logs.formats import format_named
from sidecar.logs.pipeline import Pipeline
from sidecar.model.counters import LogCounters
from sidecar.model.logs import Keep
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
    def __init__(self, bugs: int) -> None:
        self.clock = FakeClock()
        self.brittle = Brittle(bugs)
        counters = LogCounters()
        delivery = Delivery(None, Frame({}, "outrider", "1"), self.clock, random.Random(1))
        pipeline = Pipeline(
            delivery, self.clock, counters, Rules(Config()), lambda: format_named("auto", Keep.ALL), Mode.NONE
        )
        log = structlog.get_logger()
        self.source = FollowedSource(
            "app", "file", self.brittle.make, pipeline, counters, {"lives": 0}, self.clock, log
        )

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
