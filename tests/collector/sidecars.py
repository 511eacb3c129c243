"""Sidecars as the collector sees them: checks by letter, heartbeats by the real stepping value, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable

from collector.events import Event, Moment
from collector.registry import Fleet
from sidecar.logic.beats import Beats
from sidecar.logic.state_hash import state_hash
from sidecar.model.health import Check, Role, State
from sidecar.model.heartbeat import Heartbeat, HeartbeatReply

START = 1_700_000_000.0
STATES = {"+": State.PASS, "~": State.WARN, "-": State.FAIL, "?": State.UNKNOWN}
LETTERS = {state: letter for letter, state in STATES.items()}


def at(seconds: float) -> Moment:
    """`seconds` after the start of a test; both clocks agree."""
    return Moment(START + seconds, seconds)


def check(name: str, letter: str = "+", output: str = "", since: float = 0.0, role: Role = Role.READINESS) -> Check:
    state = STATES[letter]
    return Check(name=name, kind="http", role=role, state=state, raw=state, since=START + since, output=output)


def checks(**letters: str) -> tuple[Check, ...]:
    """`checks(ready="+", cache="-")`."""
    return tuple(check(name, letter) for name, letter in letters.items())


def full(
    instance: str,
    seq: int,
    held: Iterable[Check],
    *,
    epoch: int = 1,
    service: str = "shop",
    interval: float = 10.0,
    leaving: bool = False,
) -> Heartbeat:
    held = tuple(held)
    return Heartbeat(
        instance=instance,
        epoch=epoch,
        seq=seq,
        interval_s=interval,
        state_hash=state_hash(held),
        full=True,
        resource={"service.name": service, "service.instance.id": instance},
        checks=held,
        leaving=leaving,
    )


def delta(
    instance: str,
    seq: int,
    changed: Iterable[Check],
    everything: Iterable[Check],
    *,
    epoch: int = 1,
    removed: tuple[str, ...] = (),
) -> Heartbeat:
    """What changed, with the hash over `everything`."""
    return Heartbeat(
        instance=instance,
        epoch=epoch,
        seq=seq,
        interval_s=10.0,
        state_hash=state_hash(everything),
        full=False,
        checks=tuple(changed),
        removed=removed,
    )


def sidecar(instance: str, epoch: int = 1, service: str = "shop") -> Beats:
    return Beats(
        instance=instance,
        epoch=epoch,
        interval=10.0,
        resource={"service.name": service, "service.instance.id": instance},
    )


def shown(fleet: Fleet, seconds: float, service: str = "shop") -> str:
    """The service's letter, or `x` where there is none."""
    found = fleet.service(service, at(seconds))
    return LETTERS[found.verdict.status] if found else "x"


def reply(fleet: Fleet, beat: Heartbeat, seconds: float) -> HeartbeatReply:
    answered = fleet.hear(beat, at(seconds))
    assert isinstance(answered, HeartbeatReply)
    return answered


def lines(events: list[Event]) -> list[str]:
    """`at kind service/instance/check before>after since output`, times from the start of the test."""

    def name(state: State | None) -> str:
        return LETTERS[state] if state else ""

    return [
        f"{e.at - START:g} {e.kind} {e.service}/{e.instance}/{e.check} {name(e.before)}>{name(e.after)} "
        f"{'' if e.since is None else f'{e.since - START:g}'} {e.output}".rstrip()
        for e in events
    ]
