"""Heartbeats: what is sent after what was answered."""

from __future__ import annotations

from sidecar.logic.beats import Beats
from sidecar.logic.state_hash import state_hash
from sidecar.model.health import Check, Flag, Observed, State
from sidecar.model.heartbeat import HeartbeatReply


def check(name: str, state: State = State.PASS, output: str = "") -> Check:
    return Check(name=name, kind="tcp", state=state, output=output)


START = Beats("api-1", 7, 10.0, {"service.name": "api"})


def test_the_first_is_full_and_carries_the_resource() -> None:
    _, beat = START.next([check("a"), check("b")])
    assert (beat.seq, beat.full, beat.resource, [c.name for c in beat.checks]) == (
        1,
        True,
        {"service.name": "api"},
        ["a", "b"],
    )


def test_later_ones_carry_what_changed_and_name_what_is_gone() -> None:
    beats, _ = START.next([check("a"), check("b"), check("c")])
    beats, beat = beats.answered(HeartbeatReply(revision=1)).next([check("a"), check("b", State.FAIL)])
    assert (beat.seq, beat.full, beat.removed, beat.resource) == (2, False, ("c",), {})
    assert beat.checks == (check("b", State.FAIL),)
    assert beat.state_hash == state_hash([check("a"), check("b", State.FAIL)])


def test_nothing_changed_is_still_a_heartbeat() -> None:
    beats, _ = START.next([check("a")])
    _, beat = beats.next([check("a")])
    assert (beat.checks, beat.removed, beat.full) == ((), (), False)


def test_after_a_failure_and_after_resync_the_next_is_full() -> None:
    beats, _ = START.next([check("a")])
    for after in (beats.failed(), beats.answered(HeartbeatReply(revision=1, resync=True))):
        again, beat = after.next([check("a")])
        assert (beat.full, beat.seq, len(beat.checks)) == (True, 2, 1)
        assert not again.next([check("a")])[1].full


def test_the_collector_may_ask_for_another_interval() -> None:
    assert START.answered(HeartbeatReply(revision=1, next_s=30)).interval == 30
    assert START.answered(HeartbeatReply(revision=1, next_s=0)).interval == 10
    assert START.answered(HeartbeatReply(revision=1, next_s=0.01)).interval == 10
    assert START.answered(HeartbeatReply(revision=1, next_s=1e308)).interval == 10


def test_the_hash_covers_name_state_and_flags_in_any_order_and_nothing_else() -> None:
    one, two = check("a"), check("b", State.FAIL)
    assert state_hash([one, two]) == state_hash([two, one]) == "e5ac5f2892b6b1d1"
    seen = Check(name="a", kind="http", state=State.PASS, output="x", observed=(Observed("t", 1.0, "s"),))
    assert state_hash([seen, two]) == state_hash([one, two])
    for other in (
        check("a", State.WARN),
        check("aa"),
        Check(name="a", kind="tcp", state=State.PASS, flags=(Flag.STALE,)),
    ):
        assert state_hash([other, two]) != state_hash([one, two])
