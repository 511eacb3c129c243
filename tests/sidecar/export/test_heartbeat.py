"""When heartbeats are sent, and what happens to them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import msgspec

from sidecar.export.heartbeat import Heartbeats
from sidecar.io.http_connection import Response
from sidecar.logic.beats import Beats
from sidecar.model.counters import HeartbeatCounters
from sidecar.model.health import Check, CheckReport, State
from sidecar.model.heartbeat import Heartbeat, HeartbeatReply
from tests.fakes import FakeClock


class ScriptedCollector:
    """Answers as the script says: `+` well, `r` with resync, `5` with 503, `!` not at all; then well for ever."""

    def __init__(self, script: str = "") -> None:
        self.script = list(script)
        self.heard: list[Heartbeat] = []
        self.headers: Mapping[str, str] = {}

    async def post(self, path: str, body: bytes, headers: Mapping[str, str], timeout: float) -> Response:
        assert path == "/v1/heartbeats"
        self.headers = headers
        answer = self.script.pop(0) if self.script else "+"
        if answer == "!":
            raise ConnectionRefusedError("connection refused")
        self.heard.append(msgspec.json.decode(body, type=Heartbeat))
        if answer == "5":
            return Response(503, {}, b"busy")
        return Response(200, {}, msgspec.json.encode(HeartbeatReply(revision=1, resync=answer == "r")))


class Fleetless:
    """One sidecar's reports around a scripted collector."""

    def __init__(self, script: str) -> None:
        self.clock = FakeClock()
        self.collector = ScriptedCollector(script)
        self.state = State.PASS
        beats = Beats("api-1", 7, 10.0, {"service.name": "api"})
        self.heartbeats = Heartbeats(
            self.collector,
            beats,
            self.checks,
            lambda: {"authorization": "Bearer x"},
            self.clock,
            random.Random(3),
            HeartbeatCounters(),
        )

    def checks(self) -> list[Check]:
        report = CheckReport(
            name="ready", kind="http", state=self.state, period=10, timeout=1, success_threshold=1, failure_threshold=3
        )
        return [report]

    def heard(self) -> str:
        """`F` a full one, `d` a difference, with the number of checks in it."""
        return " ".join(f"{'F' if b.full else 'd'}{len(b.checks)}" for b in self.collector.heard)


@asynccontextmanager
async def running(script: str = "") -> AsyncIterator[Fleetless]:
    fleet = Fleetless(script)
    task = asyncio.create_task(fleet.heartbeats.run())
    await fleet.clock.advance(0)
    try:
        yield fleet
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_the_first_comes_at_once_and_then_every_interval_within_a_fifth() -> None:
    async with running() as fleet:
        assert fleet.heard() == "F1"
        await fleet.clock.advance(7.9)
        assert fleet.heard() == "F1"
        await fleet.clock.advance(4.2)
        assert fleet.heard() == "F1 d0"
        await fleet.clock.advance(120)
        assert 10 <= len(fleet.collector.heard) - 2 <= 15


async def test_a_change_is_told_at_once() -> None:
    async with running() as fleet:
        await fleet.clock.advance(1)
        fleet.state = State.FAIL
        fleet.heartbeats.changed()
        fleet.heartbeats.changed()
        await fleet.clock.advance(0.06)
        assert fleet.heard() == "F1 d1"
        assert fleet.collector.heard[-1].checks[0].state is State.FAIL


async def test_only_the_contract_s_fields_travel() -> None:
    async with running() as fleet:
        assert type(fleet.collector.heard[0].checks[0]) is Check
        assert fleet.collector.headers["authorization"] == "Bearer x"


async def test_after_a_failure_of_any_kind_the_next_is_full() -> None:
    for failure in "!5":
        async with running("+" + failure) as fleet:
            await fleet.clock.advance(24)
            assert fleet.heard().split()[-1] == "F1"
            counters = fleet.heartbeats.counters
            assert (counters.failed, counters.failing) == (1, False)
            assert counters.last_error in ("connection refused", "the collector answered 503: busy")


async def test_resync_is_answered_at_once_and_never_for_ever() -> None:
    async with running("+rrr") as fleet:
        await fleet.clock.advance(12)
        assert fleet.heard() == "F1 d0 F1"
        await fleet.clock.advance(60)
        assert len(fleet.collector.heard) < 12
        assert fleet.heartbeats.counters.resyncs == 3


async def test_leaving_is_said() -> None:
    async with running() as fleet:
        await fleet.heartbeats.leave()
        assert fleet.collector.heard[-1].leaving


async def test_a_collector_that_has_just_started_is_told_in_full_who_leaves() -> None:
    async with running("+r") as fleet:
        await fleet.heartbeats.leave()
        assert (fleet.heard(), fleet.collector.heard[-1].leaving) == ("F1 d0 F1", True)
        assert fleet.collector.heard[-1].resource == {"service.name": "api"}
