"""A collector that stood still (a paused container, a machine without a core to spare) heard nobody by its own fault."""

from __future__ import annotations

import asyncio
import io

import aiohttp
import msgspec
import pytest

from collector import resources
from collector.app import Settings, build
from collector.registry import Fleet
from collector.store import Store
from sidecar.io import log as logging
from tests.fakes import JumpingClock, until

from .sidecars import at, checks, full, shown
from .test_api import FREE, collector, get, post


def test_leases_are_longer_by_the_time_in_which_nobody_could_be_heard() -> None:
    fleet = Fleet(at(0))
    fleet.hear(full("shop-1", 1, checks(ready="+")), at(0))
    fleet.tick(at(20))
    fleet.deaf(60)
    fleet.tick(at(90))
    assert shown(fleet, 90) == "+"
    fleet.tick(at(91))
    assert shown(fleet, 91) == "?"


async def test_a_collector_that_stood_still_keeps_the_state_and_since_of_its_fleet() -> None:
    clock, out = JumpingClock(), io.StringIO()
    async with (
        build(Settings(FREE, FREE, ":memory:"), clock, logging.configure("info", out)) as running,
        aiohttp.ClientSession(f"http://127.0.0.1:{running.port}") as session,
    ):
        await post(session, full("shop-1", 1, checks(ready="+")))
        before = (await get(session, "/v1/events"))[2]
        clock.skipped = 600
        await until(lambda: "stood still" in out.getvalue())
        events = msgspec.json.decode((await get(session, "/v1/events"))[2], type=resources.Events).events
        assert events == msgspec.json.decode(before, type=resources.Events).events


async def test_a_disk_that_does_not_answer_keeps_nobody_green(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(self: Store, now: float) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Store, "prune", hang)
    async with collector() as (running, session):
        await post(session, full("shop-1", 1, checks(ready="+"), interval=0.1))
        await until(lambda: running.fleet.instances["shop", "shop-1"].stale)
