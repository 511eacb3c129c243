"""The monitor over scripted probes and a clock turned by hand."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sidecar.model.health import Flag, Result, Role, State, Transition
from sidecar.monitor import Monitor, Watched
from sidecar.probes.base import CheckConfig
from tests.fakes import FakeClock, ScriptedProbe

LETTER = {State.PASS: "p", State.WARN: "w", State.FAIL: "f", State.UNKNOWN: "u"}


class NoJitter(random.Random):
    """Always the middle of the range, and no spread at the start."""

    def random(self) -> float:
        return 0.0

    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2


def watched(script: str, role: Role = Role.READINESS, **settings: float) -> Watched:
    config = CheckConfig(role=role, **settings)  # type: ignore[arg-type]
    return Watched("scripted", config, ScriptedProbe(script))


@asynccontextmanager
async def running(checks: dict[str, Watched]) -> AsyncIterator[tuple[Monitor, FakeClock, list[Transition]]]:
    clock, seen = FakeClock(), list[Transition]()
    monitor = Monitor(checks, clock, NoJitter(), [seen.append])
    task = asyncio.create_task(monitor.run())
    await clock.advance(0)
    try:
        yield monitor, clock, seen
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def board(monitor: Monitor) -> str:
    return "".join(LETTER[check.state] for check in monitor.checks())


async def test_raw_and_state_are_kept_apart() -> None:
    async with running({"a": watched("+--+---")}) as (monitor, clock, _):
        trace = []
        for _ in range(7):
            (check,) = monitor.checks()
            trace.append(LETTER[check.raw] + LETTER[check.state])
            await clock.advance(10)
        assert trace == ["pp", "fp", "fp", "pp", "fp", "fp", "ff"]


async def test_every_change_of_state_is_told_once() -> None:
    async with running({"a": watched("+---+")}) as (_, clock, seen):
        await clock.advance(45)
        assert [(t.before.value, t.after.value, t.at - 1_000_000, t.output) for t in seen] == [
            ("unknown", "pass", 0, "saw +"),
            ("pass", "fail", 30, "saw -"),
            ("fail", "pass", 40, "saw +"),
        ]


async def test_since_is_the_time_of_day_of_the_change_after_a_suspend_too() -> None:
    """While a machine sleeps its monotonic clock stands still."""
    async with running({"a": watched("+---")}) as (monitor, clock, _):
        clock.ahead = 8 * 3600
        await clock.advance(35)
        (check,) = monitor.checks()
        assert (check.state, check.since - 1_000_000, monitor.verdict().since - 1_000_000) == ("fail", 28830, 28830)


async def test_a_gate_has_its_own_since_and_reasons() -> None:
    """The service fails since second 20 because of its readiness; nothing has happened to its liveness since its start."""
    checks = {"live": watched("++++", Role.LIVENESS), "ready": watched("+---", failure_threshold=2)}
    async with running(checks) as (monitor, clock, _):
        await clock.advance(25)
        seen = [monitor.verdict(role) for role in (None, Role.LIVENESS, Role.READINESS, Role.STARTUP)]
        assert [(verdict.status.value, verdict.since - 1_000_000, verdict.reasons) for verdict in seen] == [
            ("fail", 20, ("ready: saw -",)),
            ("pass", 0, ()),
            ("fail", 20, ("ready: saw -",)),
            ("pass", 0, ()),
        ]


async def test_a_hung_probe_delays_no_other() -> None:
    async with running({"hung": watched("hhhhhh", timeout=300), "well": watched("+" * 9)}) as (monitor, clock, _):
        await clock.advance(60)
        assert board(monitor) == "up"
        assert [check.runs for check in monitor.checks()] == [0, 7]


async def test_no_answer_within_the_timeout_is_a_failure() -> None:
    async with running({"a": watched("h", timeout=0.01)}) as (monitor, clock, _):
        await asyncio.sleep(0.05)
        await clock.advance(0)
        (check,) = monitor.checks()
        assert (check.raw, check.output) == (State.FAIL, "no answer within 10ms")


async def test_a_silence_of_the_target_is_explained_where_the_reason_is_known() -> None:
    clock = FakeClock()
    checks = {"own": watched("h", timeout=0.01), "other": watched("h", timeout=0.01)}
    checks["own"] = Watched("scripted", checks["own"].config, checks["own"].probe, of_target=True)
    results = await Monitor(checks, clock, NoJitter(), (), lambda: "redis (pid 3) is stopped").once()
    assert [result.output for result in results.values()] == [
        "no answer within 10ms: redis (pid 3) is stopped",
        "no answer within 10ms",
    ]


async def test_a_probe_that_breaks_is_unknown_and_goes_on() -> None:
    async with running({"a": watched("!+")}) as (monitor, clock, _):
        (check,) = monitor.checks()
        assert (check.raw, check.output) == (State.UNKNOWN, "the probe broke: ValueError: scripted")
        await clock.advance(10)
        assert board(monitor) == "p"


async def test_without_a_known_result_the_state_becomes_unknown() -> None:
    async with running({"a": watched("+?????")}) as (monitor, clock, seen):
        await clock.advance(33)
        assert board(monitor) == "p"
        await clock.advance(2)
        assert board(monitor) == "u"
        assert [t.after for t in seen] == [State.PASS, State.UNKNOWN]


async def test_a_probe_that_hangs_beyond_its_deadline_turns_unknown_too() -> None:
    """Nobody steps the check then; asking is enough."""
    async with running({"a": watched("+h", timeout=299)}) as (monitor, clock, _):
        await clock.advance(34)
        assert board(monitor) == "p"
        await clock.advance(299)
        assert board(monitor) == "u"


async def test_the_startup_gate_holds_the_others_until_it_opens() -> None:
    checks = {
        "boot": watched("--+", Role.STARTUP, failure_threshold=30),
        "live": watched("++++", Role.LIVENESS),
        "ready": watched("++++", Role.READINESS),
        "other": watched("+++++++", Role.NONE),
    }
    async with running(checks) as (monitor, clock, _):
        await clock.advance(10)
        assert board(monitor) == "uuup"
        assert [check.flags for check in monitor.checks()] == [(Flag.STARTING,)] * 3 + [()]
        assert monitor.verdict().started is State.UNKNOWN
        assert monitor.verdict().flags == (Flag.STARTING,)
        await clock.advance(10)
        assert board(monitor) == "pppp"
        assert monitor.verdict().flags == ()
        await clock.advance(30)
        assert [check.runs for check in monitor.checks()] == [3, 4, 4, 6]
        assert board(monitor) == "pppp", "a startup check that has passed does not expire"


async def test_a_restart_of_the_service_closes_the_gate_again() -> None:
    checks = {"boot": watched("+-+", Role.STARTUP), "ready": watched("+++", Role.READINESS)}
    async with running(checks) as (monitor, clock, _):
        await clock.advance(5)
        assert board(monitor) == "pp"
        monitor.service_restarted()
        assert board(monitor) == "uu"
        await clock.advance(5)
        assert board(monitor) == "uu"
        await clock.advance(10)
        assert board(monitor) == "pp"


async def test_what_was_asked_before_a_restart_and_answered_after_it_does_not_count() -> None:
    class Held(ScriptedProbe):
        async def check(self) -> Result:
            await answer.wait()
            return await super().check()

    answer = asyncio.Event()
    config = CheckConfig(role=Role.READINESS, timeout=300)
    checks = {"up": watched("+-----", Role.STARTUP), "ready": Watched("scripted", config, Held("+"))}
    async with running(checks) as (monitor, clock, _):
        assert board(monitor) == "pu"
        monitor.service_restarted()
        answer.set()
        await clock.advance(5)
        assert (board(monitor), monitor.verdict().ready.value) == ("uu", "unknown")


async def test_a_restart_without_startup_checks_changes_nothing() -> None:
    async with running({"ready": watched("++")}) as (monitor, _, seen):
        monitor.service_restarted()
        assert (board(monitor), len(seen)) == ("p", 1)


async def test_once_looks_at_all_at_the_same_time() -> None:
    checks = {"a": watched("h", timeout=0.05), "b": watched("h", timeout=0.05), "c": watched("+", Role.NONE)}
    monitor = Monitor(checks, FakeClock(), NoJitter())
    results = await asyncio.wait_for(monitor.once(), 5)
    assert {name: result.raw.value for name, result in results.items()} == {"a": "fail", "b": "fail", "c": "pass"}


async def test_looks_are_spread_and_jittered() -> None:
    """With real randomness the first look comes within a second and no two periods are alike."""
    clock = FakeClock()
    looked: list[float] = []

    class Noting(ScriptedProbe):
        async def check(self) -> object:  # type: ignore[override]
            looked.append(clock.time)
            return await super().check()

    checks = {"a": Watched("scripted", CheckConfig(), Noting("+" * 50))}  # type: ignore[arg-type]
    task = asyncio.create_task(Monitor(checks, clock, random.Random(1)).run())
    await clock.advance(200)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    gaps = [b - a for a, b in itertools.pairwise(looked)]
    assert 0 < looked[0] - 1_000_000 < 1
    assert len({round(gap, 6) for gap in gaps}) == len(gaps)
    assert all(9 <= gap <= 11 for gap in gaps)


class Rude:
    """Quotes a peer that means to steer a terminal."""

    async def check(self) -> Result:
        return Result(State.FAIL, "answered \x1b[2J\r\nall is well" + "x" * 5000)


async def test_what_others_say_is_one_printable_line_wherever_it_is_shown() -> None:
    async with running({"a": Watched("rude", CheckConfig(failure_threshold=1), Rude())}) as (monitor, _, seen):
        (check,) = monitor.checks()
        assert check.output.startswith("answered \\x1b[2J\\x0d\\x0aall is wellxxx")
        assert len(check.output) == 1024
        assert [transition.output for transition in seen] == [check.output]
        assert (await monitor.once())["a"].output == check.output
