"""The collector's own restart, and the sidecar's."""

from __future__ import annotations

import msgspec

from collector.events import Restored, Standing
from collector.registry import Fleet
from sidecar.model.health import State

from .sidecars import LETTERS, START, at, check, checks, delta, full, lines, reply, shown, sidecar

KNOWN = (
    Restored("shop", "", "", Standing(State.WARN, START - 100)),
    Restored("shop", "shop-1", "", Standing(State.PASS, START - 900)),
    Restored("shop", "shop-2", "", Standing(State.FAIL, START - 100)),
    Restored("shop", "shop-2", "ready", Standing(State.FAIL, START - 101)),
)


def after_restart(letter: str | None) -> tuple[str, list[str]]:
    """A fleet that knows shop-1 (pass) and shop-2 (fail) from before; shop-1 is back, shop-2 comes with `letter`."""
    fleet = Fleet(at(0), known=KNOWN)
    assert shown(fleet, 0) == "?", "nothing is known yet, whatever was known before"
    seen = ""
    for seq, seconds in enumerate(range(5, 65, 10)):
        fleet.hear(full("shop-1", 1 + seq, [check("ready", since=-900)], epoch=9), at(seconds))
        if letter:
            fleet.hear(full("shop-2", 1 + seq, [check("ready", letter, since=-101)], epoch=9), at(seconds))
        fleet.tick(at(seconds))
        service = fleet.service("shop", at(seconds))
        assert service is not None
        seen += f"{LETTERS[service.verdict.status]}{service.verdict.since - START:g} "
    return seen, lines(fleet.take_events())


def test_after_a_restart_an_unchanged_fleet_keeps_its_since_and_makes_no_events() -> None:
    assert after_restart("-") == ("~-100 " * 6, [])


def test_after_a_restart_a_changed_instance_is_an_event() -> None:
    seen, events = after_restart("+")
    assert seen == "+5 " * 6
    assert events == [
        "5 status shop/shop-2/ready ->+ -101",
        "5 status shop/shop-2/ ->+ -100",
        "5 status shop// ~>+ 5",
    ]


def test_after_a_restart_silence_is_recorded_when_the_grace_is_over() -> None:
    seen, events = after_restart(None)
    assert seen == "~-100 " * 6, "one passes and one does not, as before"
    assert events == ["35 status shop/shop-2/ ->? 30 silent since 2023-11-14T22:13:20.000Z, past its lease of 30 s"]


def test_after_a_restart_the_first_delta_is_answered_with_resync() -> None:
    fleet = Fleet(at(0), known=KNOWN)
    beat = delta("shop-1", 8, (), checks(ready="+"))
    assert reply(fleet, beat, 1).resync
    named = msgspec.structs.replace(beat, resource={"service.name": "shop"})
    assert reply(fleet, named, 1).resync
    assert fleet.instances["shop", "shop-1"].epoch == -1
    assert shown(fleet, 1) == "?"


def test_either_side_may_restart_and_both_agree_in_two_exchanges() -> None:
    mine, fleet = sidecar("shop-1"), Fleet(at(0))
    for step, letter in enumerate("++-"):
        mine, beat = mine.next(checks(ready=letter))
        mine = mine.answered(reply(fleet, beat, step))
    fleet = Fleet(at(3))
    exchanges = 0
    while not fleet.instances:
        mine, beat = mine.next(checks(ready="-"))
        mine = mine.answered(reply(fleet, beat, 4))
        exchanges += 1
    assert (exchanges, shown(fleet, 4)) == (2, "-")
    mine, beat = sidecar("shop-1", epoch=2).next(checks(ready="~"))
    assert not reply(fleet, beat, 5).resync
    assert shown(fleet, 5) == "~"
