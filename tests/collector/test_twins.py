"""Two sidecars under one name: said, not hidden."""

from __future__ import annotations

import io
import json

import msgspec

from collector.admission import Refused
from collector.events import EventKind
from collector.registry import Fleet
from collector.views import instance as shown_instance
from sidecar.io import log as logging
from sidecar.model.heartbeat import HeartbeatReply

from .sidecars import at, checks, delta, full
from .test_api import collector, get

WHY = "two sidecars report as this instance: set service.instance"


def test_two_that_live_are_told_apart_from_a_restart() -> None:
    """One runs; another starts under its name and counts from then on; the first goes on and is told so."""
    fleet = Fleet(at(0))
    answers: list[object] = []
    for step in range(6):
        now = at(10 * step)
        answers.append(fleet.hear(full("shop-1", 70 + step, checks(ready="-"), epoch=1), now))
        if step:
            assert isinstance(fleet.hear(full("shop-1", step, checks(ready="+"), epoch=2), now), HeartbeatReply)
    assert [answer.status if isinstance(answer, Refused) else 200 for answer in answers] == [
        200,
        200,
        200,
        409,
        409,
        409,
    ]
    assert answers[-1] == Refused(409, WHY)
    found = fleet.instances["shop", "shop-1"]
    assert shown_instance(found).reasons == (WHY,)
    assert [e.output for e in fleet.take_events() if e.kind is EventKind.SHARED] == [WHY]
    assert [n.what for n in fleet.take_notices() if n.why == WHY] == [WHY.partition(":")[0]]


def test_late_heartbeats_of_the_life_before_are_no_second_sidecar() -> None:
    fleet = Fleet(at(0))
    for seq in (1, 2, 3):
        fleet.hear(full("shop-1", seq, checks(ready="+"), epoch=1), at(seq))
    for seq in range(1, 5):
        fleet.hear(full("shop-1", seq, checks(ready="+"), epoch=2), at(4 + seq))
        for late in (1, 2, 3, 4):
            answer = fleet.hear(full("shop-1", late, checks(ready="-"), epoch=1), at(4 + seq))
            assert isinstance(answer, HeartbeatReply)
    assert shown_instance(fleet.instances["shop", "shop-1"]).reasons == ()


def test_a_dead_life_with_a_greater_epoch_is_no_second_sidecar() -> None:
    """A sidecar whose clock was set back while it restarted is alone: it waits for the lease of its past."""
    fleet = Fleet(at(0))
    fleet.hear(full("shop-1", 1, checks(ready="+"), epoch=9), at(0))
    for seq in range(1, 6):
        answer = fleet.hear(full("shop-1", seq, checks(ready="+"), epoch=5), at(10 * seq))
        assert isinstance(answer, HeartbeatReply)
    assert fleet.instances["shop", "shop-1"].epoch == 5


def is_shared(fleet: Fleet) -> bool:
    return fleet.instances["shop", "shop-1"].is_shared


def test_it_is_over_when_one_of_them_is_silent_for_a_lease() -> None:
    fleet = Fleet(at(0))
    for step in range(6):
        fleet.hear(full("shop-1", 70 + step, checks(ready="+"), epoch=1), at(10 * step))
        fleet.hear(full("shop-1", 1 + step, checks(ready="+"), epoch=2), at(10 * step))
    assert is_shared(fleet)
    before = fleet.revision
    for step in range(6, 10):
        fleet.hear(delta("shop-1", 1 + step, (), checks(ready="+"), epoch=2), at(10 * step))
        fleet.tick(at(10 * step))
    assert not is_shared(fleet)
    assert fleet.revision > before


async def test_the_losing_sidecar_gets_a_409_and_the_log_a_warning() -> None:
    out = io.StringIO()
    async with collector(log=logging.configure("info", out)) as (_, session):
        for step in range(5):
            for epoch in (1, 2):
                beat = full("shop-1", 1 + step, checks(ready="+"), epoch=epoch)
                async with session.post("/v1/heartbeats", data=msgspec.json.encode(beat)) as response:
                    status, body = response.status, await response.read()
                if epoch == 1:
                    lost = status, body
        assert (lost[0], json.loads(lost[1])["detail"]) == (409, WHY)
        (shown,) = json.loads((await get(session, "/v1/instances"))[2])["instances"]
        assert (shown["status"], shown["reasons"]) == ("pass", [WHY])
        events = json.loads((await get(session, "/v1/events"))[2])["events"]
        assert [e["output"] for e in events if e["kind"] == "shared"] == [WHY]
        assert json.loads((await get(session, "/"))[2])["heartbeats_ignored"] == 4
    said = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [(s["level"], s["service"], s["instance"]) for s in said if s.get("why") == WHY] == [
        ("warning", "shop", "shop-1")
    ]
