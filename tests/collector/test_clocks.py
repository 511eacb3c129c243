"""Times that sidecars tell: what no clock can mean is refused, and what is on record all the same can be read."""

from __future__ import annotations

import sqlite3
from math import inf, nan
from pathlib import Path
from typing import Any

import msgspec
import pytest

from collector.admission import Refused
from collector.registry import Fleet
from collector.resources import instant, moment
from collector.text import ago
from sidecar.model.health import Check, Observed, State
from sidecar.model.heartbeat import Evidence, HeartbeatReply

from .sidecars import START, at, check, checks, full, reply, shown
from .test_api import collector, get, post

NS = 10**9
NOW = int(START) * NS
EXPECTED = "expected unix seconds, from 0 to a day ahead of the collector's clock, which says 1700000000"


def ready(**change: Any) -> tuple[Check, ...]:
    return (msgspec.structs.replace(check("ready"), **change),)


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ({"checks": ready(since=1e18)}, f'check "ready": since is 1e+18, {EXPECTED}'),
        ({"checks": ready(since=1.1e12)}, f'check "ready": since is 1.1e+12, {EXPECTED}'),
        ({"checks": ready(since=-1e18)}, f'check "ready": since is -1e+18, {EXPECTED}'),
        ({"checks": ready(since=nan)}, f'check "ready": since is nan, {EXPECTED}'),
        ({"checks": ready(since=START + 86401)}, f'check "ready": since is 1700086401, {EXPECTED}'),
        (
            {"checks": ready(observed=(Observed("latency", inf, "s"),))},
            'check "ready": observed "latency" is inf, expected a finite number',
        ),
        ({"evidence": (Evidence(at=1e18, kind="log", value="x"),)}, f"evidence: at is 1e+18, {EXPECTED}"),
        (
            {"epoch": NOW + 601 * NS},
            "the sidecar's clock is not the collector's: epoch is 601 s ahead, expected at most 600 s",
        ),
    ],
)
def test_what_no_clock_can_mean_is_refused(change: dict[str, Any], refused: str) -> None:
    fleet = Fleet(at(0))
    beat = msgspec.structs.replace(full("shop-1", 1, checks(ready="+")), **change)
    assert fleet.hear(beat, at(0)) == Refused(400, refused)
    assert fleet.instances == {}


def test_a_sidecar_whose_clock_is_a_little_ahead_is_taken() -> None:
    beat = full("shop-1", 1, ready(since=START + 500), epoch=NOW + 599 * NS)
    assert Fleet(at(0)).hear(beat, at(0)) == HeartbeatReply(revision=1)


def test_nothing_is_so_since_a_time_to_come() -> None:
    fleet = Fleet(at(0))
    since = []
    for seq, state in enumerate((State.FAIL, State.FAIL, State.PASS)):
        fleet.hear(full("shop-1", seq, ready(state=state, since=START + 500 + seq)), at(3 + seq))
        since += [check.since - START for check in fleet.instances["shop", "shop-1"].checks]
    assert since == [3, 3, 5]


def test_every_number_is_shown_as_some_time() -> None:
    assert [moment(unix).isoformat() for unix in (1e18, inf, -1e18, nan)] == [
        "9999-12-31T23:59:59+00:00",
        "9999-12-31T23:59:59+00:00",
        "1970-01-01T00:00:00+00:00",
        "1970-01-01T00:00:00+00:00",
    ]
    assert instant(1e18).year == 9999
    assert [ago(seconds) for seconds in (nan, -inf)] == ["0s", "0s"]
    assert ago(inf).endswith("d")


async def test_a_history_with_impossible_times_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "fleet.db"
    async with collector(str(path)) as (_, session):
        await post(session, full("shop-1", 1, checks(ready="-")))
    with sqlite3.connect(path) as db:
        db.execute("UPDATE events SET since = 1e18, at = 1e18")
        db.execute("UPDATE standings SET since = 1e18")
    async with collector(str(path)) as (_, session):
        for ask in ("events", "instances", "services", "services/shop", "health?fail_on=never"):
            assert (await get(session, f"/v1/{ask}", Accept="application/json"))[0] == 200, ask
        assert (await get(session, "/v1/health?fail_on=never", Accept="text/plain"))[0] == 200


def test_a_sidecar_whose_clock_was_set_back_is_heard_after_a_lease() -> None:
    fleet = Fleet(at(0))
    fleet.hear(full("shop-1", 70, checks(ready="+"), epoch=9), at(0))
    for seq, seconds in ((1, 10), (2, 20), (3, 30)):
        assert fleet.hear(full("shop-1", seq, checks(ready="-"), epoch=5), at(seconds)) == HeartbeatReply(revision=1)
    assert (shown(fleet, 30), fleet.ignored) == ("+", 3)
    assert not reply(fleet, full("shop-1", 4, checks(ready="-"), epoch=5), 31).resync
    assert shown(fleet, 31) == "-"
    assert not reply(fleet, full("shop-1", 71, checks(ready="+"), epoch=5), 32).resync
    assert shown(fleet, 32) == "+"


def test_a_goodbye_does_not_shut_out_a_lower_epoch_for_longer_than_a_lease() -> None:
    fleet = Fleet(at(0))
    fleet.hear(full("shop-1", 70, checks(ready="+"), epoch=9), at(0))
    fleet.hear(full("shop-1", 71, (), epoch=9, leaving=True), at(1))
    fleet.hear(full("shop-1", 1, checks(ready="+"), epoch=5), at(30))
    assert fleet.instances == {}
    fleet.hear(full("shop-1", 70, checks(ready="+"), epoch=9), at(32))
    assert fleet.instances == {}, "late for ever: that life is over"
    fleet.hear(full("shop-1", 2, checks(ready="+"), epoch=5), at(32))
    assert list(fleet.instances) == [("shop", "shop-1")]


def test_after_a_lease_a_repetition_of_the_same_life_is_still_late() -> None:
    fleet = Fleet(at(0))
    fleet.hear(full("shop-1", 2, checks(ready="-")), at(0))
    fleet.tick(at(40))
    fleet.hear(full("shop-1", 1, checks(ready="+")), at(41))
    assert shown(fleet, 41) == "?"


def test_late_heartbeats_are_counted_and_told_once_a_minute() -> None:
    fleet = Fleet(at(0))
    fleet.hear(full("shop-1", 5, checks(ready="+")), at(0))
    told = []
    for seconds in (1, 2, 60, 62):
        fleet.hear(full("shop-1", 5, checks(ready="+")), at(seconds))
        told += [(seconds, notice.what, notice.instance) for notice in fleet.take_notices()]
    assert fleet.ignored == 4
    assert told == [(1, "heartbeat ignored", "shop-1"), (62, "heartbeat ignored", "shop-1")]
