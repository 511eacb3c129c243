"""Whatever the network does to heartbeats, the collector ends with what the sidecar said last, and never believes more
than it was told."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from collector.registry import Fleet
from sidecar.model.health import Check, State
from sidecar.model.heartbeat import Heartbeat, HeartbeatReply

from .sidecars import STATES, at, check, sidecar

Held = dict[str, str]


class Step(NamedTuple):
    """One beat of a sidecar: what it sees, and what becomes of the heartbeat and of its answer."""

    held: Held
    arrives: bool
    is_answered: bool
    repeats: list[int]
    restarts: bool
    collector_restarts: bool


HELD = st.dictionaries(st.sampled_from("abcd"), st.sampled_from(sorted(STATES)), min_size=1)
STEPS = st.lists(
    st.builds(
        Step,
        held=HELD,
        arrives=st.booleans(),
        is_answered=st.booleans(),
        repeats=st.lists(st.integers(0, 50), max_size=2),
        restarts=st.integers(0, 9).map(lambda n: n == 0),
        collector_restarts=st.integers(0, 9).map(lambda n: n == 0),
    ),
    max_size=15,
)


def states(held: Held) -> dict[str, State]:
    return {name: STATES[letter] for name, letter in held.items()}


def known(fleet: Fleet) -> dict[str, State]:
    found = fleet.instances.get(("shop", "shop-1"))
    return {one.name: one.state for one in found.checks} if found else {}


@given(steps=STEPS, last=HELD)
def test_any_loss_order_and_repetition_ends_with_the_last_state(steps: list[Step], last: Held) -> None:
    fleet, mine, sent = Fleet(at(0)), sidecar("shop-1"), list[Heartbeat]()
    epoch = 1
    for number, step in enumerate(steps):
        now = at(number)
        if step.collector_restarts:
            fleet = Fleet(now)
        if step.restarts:
            epoch += 1
            mine = sidecar("shop-1", epoch)
        mine, beat = mine.next(seen(step.held))
        reply = fleet.hear(beat, now) if step.arrives else None
        if reply is not None:
            assert isinstance(reply, HeartbeatReply)
            if not reply.resync:
                assert known(fleet) == states(step.held), "what is not asked for again is known exactly"
        mine = mine.answered(reply) if reply is not None and step.is_answered else mine.failed()
        sent.append(beat)
        for index in step.repeats:
            fleet.hear(sent[index % len(sent)], now)
    now = at(len(steps))
    asks = []
    for _ in range(3):
        mine, beat = mine.next(seen(last))
        final = fleet.hear(beat, now)
        assert isinstance(final, HeartbeatReply)
        mine = mine.answered(final)
        asks.append(final.resync)
    assert not asks[-1]
    assert known(fleet) == states(last)


@given(steps=STEPS)
def test_an_instance_is_green_only_if_its_sidecar_was_when_it_was_last_heard(steps: list[Step]) -> None:
    fleet, mine = Fleet(at(0)), sidecar("shop-1")
    for number, step in enumerate(steps):
        mine, beat = mine.next(seen(step.held))
        if not step.arrives:
            continue  # and the sidecar does not notice: harsher than HTTP
        fleet.hear(beat, at(number))
        found = fleet.instances.get(("shop", "shop-1"))
        if found and found.verdict.status is State.PASS:
            assert set(step.held.values()) == {"+"}


def seen(held: Held) -> list[Check]:
    return [check(name, letter) for name, letter in sorted(held.items())]
