"""The fleet: leases, order, loss, restarts of either side."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from collector.admission import Refused
from collector.events import EventKind, Restored, Standing
from collector.registry import Fleet
from sidecar.model.health import Check, Flag, State
from sidecar.model.heartbeat import HeartbeatReply

from .sidecars import START, STATES, at, check, checks, delta, full, lines, reply, shown


def trace(script: str) -> str:
    """One letter for every 10 s, which is the interval: a heartbeat with that state, `.` for silence, `L` for goodbye.

    Answers the status of the service after each.
    """
    fleet, seen = Fleet(at(0)), ""
    for seq, letter in enumerate(script):
        now = at(10 * seq)
        if letter != ".":
            leaving = letter == "L"
            fleet.hear(full("shop-1", seq, [check("ready", "+" if leaving else letter)], leaving=leaving), now)
        fleet.tick(now)
        seen += shown(fleet, 10 * seq)
    return seen


@pytest.mark.parametrize(
    ("script", "states"),
    [
        ("++++", "++++"),
        ("+~-+", "+~-+"),
        # Three intervals of silence are the lease; past it we do not know.
        ("+...+", "+++++"),
        ("+....+", "++++?+"),
        ("-.....+", "----??+"),
        # Silence is unknown, never fail, and never stays green.
        ("+.........", "++++??????"),
        ("?...+", "????+"),
        ("+L...", "+xxxx"),
        ("+.L.+", "++xx+"),
    ],
)
def test_the_lease(script: str, states: str) -> None:
    assert trace(script) == states


def test_a_silent_instance_is_stale_with_all_its_checks_and_says_since_when() -> None:
    fleet = Fleet(at(0))
    fleet.hear(full("shop-1", 1, checks(ready="+", cache="-")), at(0))
    fleet.tick(at(31))
    found = fleet.instances["shop", "shop-1"]
    assert (found.verdict.status, found.verdict.live, found.verdict.ready) == (State.UNKNOWN,) * 3
    assert found.verdict.flags == (Flag.STALE,)
    assert found.verdict.since == START + 30
    assert found.verdict.reasons == ("silent since 2023-11-14T22:13:20.000Z, past its lease of 30 s",)
    assert {c.name: (c.state, c.flags) for c in found.shown_checks} == {
        "cache": (State.UNKNOWN, (Flag.STALE,)),
        "ready": (State.UNKNOWN, (Flag.STALE,)),
    }
    fleet.hear(delta("shop-1", 2, (), checks(ready="+", cache="-")), at(40))
    assert fleet.instances["shop", "shop-1"].verdict.status is State.FAIL


def test_late_and_repeated_heartbeats_change_nothing_and_are_answered() -> None:
    fleet = Fleet(at(0))
    fleet.hear(full("shop-1", 1, checks(ready="+")), at(0))
    fleet.hear(full("shop-1", 3, checks(ready="-")), at(1))
    before, instance = fleet.revision, fleet.instances["shop", "shop-1"]
    for late in (full("shop-1", 1, checks(ready="+")), full("shop-1", 2, checks(ready="+")), full("shop-1", 3, ())):
        assert fleet.hear(late, at(2)) == HeartbeatReply(revision=before)
    assert fleet.instances["shop", "shop-1"] is instance


def test_a_gap_asks_for_everything_until_it_comes() -> None:
    fleet = Fleet(at(0))
    held = checks(ready="+", cache="+")
    assert not reply(fleet, full("shop-1", 1, held), 0).resync
    assert not reply(fleet, delta("shop-1", 2, (), held), 1).resync
    assert reply(fleet, delta("shop-1", 4, (), held), 2).resync
    assert reply(fleet, delta("shop-1", 5, (), held), 3).resync, "asked again: the first answer may be lost"
    assert reply(fleet, delta("shop-1", 5, (), held), 3).resync, "the same answer to the same heartbeat"
    assert not reply(fleet, full("shop-1", 6, held), 4).resync


def test_after_a_lost_change_the_instance_is_not_green() -> None:
    """seq 2 said that the cache is gone and was lost; seq 3 has nothing new but a hash that is not ours."""
    fleet = Fleet(at(0))
    fleet.hear(full("shop-1", 1, checks(ready="+", cache="+")), at(0))
    assert reply(fleet, delta("shop-1", 3, (), checks(ready="+", cache="-")), 1).resync
    verdict = fleet.instances["shop", "shop-1"].verdict
    assert verdict.status is State.UNKNOWN
    assert verdict.reasons == ("a heartbeat was lost, the full state is asked for",)


def test_full_replaces_and_removed_removes() -> None:
    fleet = Fleet(at(0))
    fleet.hear(full("shop-1", 1, checks(a="+", b="+", c="-")), at(0))
    assert names(fleet) == ["a", "b", "c"]
    assert not reply(fleet, delta("shop-1", 2, (), checks(a="+", b="+"), removed=("c",)), 1).resync
    assert names(fleet) == ["a", "b"]
    fleet.hear(full("shop-1", 3, checks(d="+")), at(2))
    assert names(fleet) == ["d"]


def test_a_restarted_sidecar_begins_again_and_its_old_life_is_late() -> None:
    fleet = Fleet(at(0))
    fleet.hear(full("shop-1", 70, checks(ready="+"), epoch=1), at(0))
    fleet.take_events()
    assert reply(fleet, delta("shop-1", 1, (), checks(ready="+"), epoch=2), 1).resync
    fleet.hear(full("shop-1", 2, checks(ready="-"), epoch=2), at(2))
    fleet.hear(full("shop-1", 71, checks(ready="+"), epoch=1), at(3))
    assert fleet.instances["shop", "shop-1"].verdict.status is State.FAIL
    assert fleet.take_events()[0].kind is EventKind.RESTARTED


def test_a_late_heartbeat_does_not_bring_back_who_left() -> None:
    fleet = Fleet(at(0))
    fleet.hear(full("shop-1", 1, checks(ready="+")), at(0))
    fleet.hear(delta("shop-1", 3, (), checks(ready="+"), epoch=1), at(1))
    fleet.hear(full("shop-1", 4, (), leaving=True), at(2))
    fleet.hear(full("shop-1", 2, checks(ready="+")), at(3))
    assert fleet.instances == {}
    fleet.hear(full("shop-1", 1, checks(ready="+"), epoch=2), at(4))
    assert list(fleet.instances) == [("shop", "shop-1")]


def test_who_is_silent_for_an_hour_is_forgotten_with_an_event() -> None:
    fleet = Fleet(at(0))
    fleet.hear(full("shop-1", 1, checks(ready="+")), at(0))
    fleet.tick(at(3600))
    assert shown(fleet, 3600) == "?"
    fleet.take_events()
    fleet.tick(at(3601))
    assert shown(fleet, 3601) == "x"
    assert [(e.kind, e.instance) for e in fleet.take_events()] == [
        (EventKind.FORGOTTEN, "shop-1"),
        (EventKind.LEFT, ""),
    ]


def test_the_revision_rises_with_states_and_not_with_outputs() -> None:
    fleet = Fleet(at(0), revision=100)
    fleet.hear(full("shop-1", 1, [check("ready", output="12 ms")]), at(0))
    fleet.settle(at(0))
    before = fleet.revision
    assert before > 100
    fleet.hear(full("shop-1", 2, [check("ready", output="14 ms")]), at(10))
    fleet.settle(at(10))
    assert fleet.revision == before
    assert fleet.instances["shop", "shop-1"].checks[0].output == "14 ms"
    fleet.hear(full("shop-1", 3, [check("ready", "~")]), at(20))
    assert fleet.revision > before


def test_the_first_word_must_be_full() -> None:
    fleet = Fleet(at(0))
    assert reply(fleet, delta("shop-1", 7, checks(ready="-"), checks(ready="-", cache="+")), 0).resync
    assert fleet.instances == {}


def test_two_services_may_use_the_same_instance_id() -> None:
    fleet = Fleet(at(0))
    fleet.hear(full("1", 1, checks(ready="+"), epoch=10, service="shop"), at(0))
    fleet.hear(full("1", 1, checks(ready="-"), epoch=20, service="bank"), at(0))
    fleet.hear(delta("1", 2, checks(ready="~"), checks(ready="~"), epoch=10), at(1))
    assert (shown(fleet, 1, "shop"), shown(fleet, 1, "bank")) == ("~", "-")
    fleet.hear(delta("1", 2, checks(ready="+"), checks(ready="+"), epoch=20), at(2))
    assert (shown(fleet, 2, "shop"), shown(fleet, 2, "bank")) == ("~", "+")


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ({"v": 2}, "v is 2, expected 1"),
        ({"instance": ""}, "instance, service.name and check names: expected 1 to 256 characters each"),
        ({"instance": "x" * 257}, "instance, service.name and check names: expected 1 to 256 characters each"),
        ({"instance": "a\nb"}, "instance, service.name and check names: expected printable characters"),
        ({"interval_s": 0.0}, "interval_s is 0, expected 0.05 to 3600"),
        ({"seq": -1}, "epoch and seq: expected 0 to 2^63-1 each"),
        ({"resource": {}}, "the resource has no service.name"),
        ({"checks": checks(**{f"c{n}": "+" for n in range(201)})}, "201 checks, expected at most 200 in an instance"),
    ],
)
def test_what_is_out_of_bounds_is_refused(change: dict[str, Any], refused: str) -> None:
    fleet = Fleet(at(0))
    beat = msgspec.structs.replace(full("shop-1", 1, ()), **change)
    assert fleet.hear(beat, at(0)) == Refused(400, refused)
    assert fleet.instances == {}


def test_deltas_do_not_grow_an_instance_past_its_bound() -> None:
    fleet = Fleet(at(0))
    fleet.hear(full("shop-1", 1, checks(**{f"a{n}": "+" for n in range(150)})), at(0))
    more = delta("shop-1", 2, checks(**{f"b{n}": "+" for n in range(150)}), ())
    assert fleet.hear(more, at(1)) == Refused(400, "300 checks, expected at most 200 in an instance")
    assert len(fleet.instances["shop", "shop-1"].checks) == 150


def test_a_full_fleet_takes_no_more_but_still_hears_its_own() -> None:
    fleet = Fleet(at(0), max_instances=2)
    for name in ("a", "b"):
        fleet.hear(full(name, 1, checks(ready="+")), at(0))
    for name in ("c", "d"):
        refused = fleet.hear(full(name, 1, ()), at(0))
        assert refused == Refused(429, "the collector holds 2 instances and takes no more")
    assert [notice.what for notice in fleet.take_notices()] == ["the fleet is full"], "told once a minute, not of each"
    assert not reply(fleet, full("a", 2, checks(ready="-")), 1).resync


def test_in_a_full_fleet_the_longest_silent_make_room_and_nobody_who_is_heard() -> None:
    fleet = Fleet(at(0), max_instances=40)
    for n in range(40):
        fleet.hear(full(f"pod-{n}", 1, checks(ready="+")), at(n / 10))
    for n in range(5, 40):
        fleet.hear(full(f"pod-{n}", 2, checks(ready="+")), at(30))
    fleet.tick(at(30))
    assert fleet.hear(full("new", 1, checks(ready="+")), at(30)) == Refused(
        429, "the collector holds 40 instances and takes no more"
    )
    fleet.take_events()
    fleet.tick(at(31))
    assert [(e.kind, e.instance, e.output) for e in fleet.take_events() if e.kind is EventKind.FORGOTTEN] == [
        (EventKind.FORGOTTEN, "pod-0", "silent, and its place is needed"),
        (EventKind.FORGOTTEN, "pod-1", "silent, and its place is needed"),
    ]
    assert not reply(fleet, full("new", 1, checks(ready="+")), 32).resync


def test_after_a_restart_nobody_makes_room_before_the_grace_is_over() -> None:
    known = [Restored("shop", f"pod-{n}", "", Standing(State.PASS, START)) for n in range(40)]
    fleet = Fleet(at(0), known=known, max_instances=40)
    fleet.tick(at(29))
    assert len(fleet.instances) == 40
    fleet.tick(at(31))
    assert len(fleet.instances) == 38


def test_long_and_unprintable_output_is_cut() -> None:
    fleet = Fleet(at(0))
    fleet.hear(full("shop-1", 1, [check("a", "-", "\x1b[2J" + "x" * 5000)]), at(0))
    output = fleet.instances["shop", "shop-1"].checks[0].output
    assert (len(output), output[:5], output[-1]) == (1024, "\\x1b[", "…")


# What is told about it


def test_events_of_an_outage() -> None:
    fleet = Fleet(at(0))
    for name in ("shop-1", "shop-2"):
        fleet.hear(full(name, 1, [check("ready", since=-50)]), at(0))
    fleet.tick(at(1))
    fleet.hear(full("shop-1", 2, [check("ready", "-", "refused", since=4.5)]), at(5))
    fleet.tick(at(6))
    fleet.hear(full("shop-2", 2, [check("ready", "-", "refused", since=6.5)]), at(7))
    fleet.tick(at(8))
    fleet.tick(at(60))
    assert lines(fleet.take_events()) == [
        "0 joined shop/shop-1/ >+ -50",
        "0 joined shop/shop-2/ >+ -50",
        "1 joined shop// >+ -50",
        "5 status shop/shop-1/ready +>- 4.5 refused",
        "5 status shop/shop-1/ +>- 5 ready: refused",
        "6 status shop// +>~ 6 shop-1: ready: refused",
        "7 status shop/shop-2/ready +>- 6.5 refused",
        "7 status shop/shop-2/ +>- 7 ready: refused",
        "8 status shop// ~>- 8 shop-1: ready: refused; shop-2: ready: refused",
        "60 status shop/shop-1/ ->? 35 silent since 2023-11-14T22:13:25.000Z, past its lease of 30 s",
        "60 status shop/shop-2/ ->? 37 silent since 2023-11-14T22:13:27.000Z, past its lease of 30 s",
        (
            "60 status shop// ->? 60 shop-1: silent since 2023-11-14T22:13:25.000Z, past its lease of 30 s; "
            "shop-2: silent since 2023-11-14T22:13:27.000Z, past its lease of 30 s"
        ),
    ]


def names(fleet: Fleet) -> list[str]:
    held: tuple[Check, ...] = fleet.instances["shop", "shop-1"].checks
    return [one.name for one in held]


def test_the_letters_are_all_states() -> None:
    assert set(STATES.values()) == set(State)
