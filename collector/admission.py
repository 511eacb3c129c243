"""Which heartbeats are taken, and cut to what. Pure.

A name that is too long is refused and not cut, because the hash of the state is over names. What is only read by people
is cut, and loses control characters, because it will be printed on a terminal.
"""

from __future__ import annotations

from math import isfinite

import msgspec

from sidecar.logic.printable import printable
from sidecar.model.health import Check
from sidecar.model.heartbeat import HEARTBEAT_VERSION, Heartbeat

MAX_BODY = 1 << 20
MAX_CHECKS = 200
MAX_OBSERVED = 20
MAX_NAME = 256
MAX_TEXT = 1024
MAX_ATTRIBUTES = 128
MAX_AHEAD = 86400.0
"""Seconds by which a time may be ahead of our clock."""
MAX_EPOCH_AHEAD = 600.0
"""The same for an epoch, which shuts out all lower ones for a lease."""


class Refused(msgspec.Struct, frozen=True):
    """A heartbeat that is not taken: the HTTP status and why."""

    status: int
    why: str


def refusal(beat: Heartbeat, now: float) -> Refused | None:
    """What is wrong with a heartbeat that decoded, or None. `now` is unix seconds."""
    names = [beat.instance, beat.resource.get("service.name", "-"), *(check.name for check in beat.checks)]
    if beat.v != HEARTBEAT_VERSION:
        return Refused(400, f"v is {beat.v}, expected {HEARTBEAT_VERSION}")
    if not all(0 < len(name) <= MAX_NAME for name in names):
        return Refused(400, f"instance, service.name and check names: expected 1 to {MAX_NAME} characters each")
    if not all(name.isprintable() for name in names):
        return Refused(400, "instance, service.name and check names: expected printable characters")
    if not 0.05 <= beat.interval_s <= 3600:
        return Refused(400, f"interval_s is {beat.interval_s:g}, expected 0.05 to 3600")
    if not (0 <= beat.epoch < 1 << 63 and 0 <= beat.seq < 1 << 63):
        return Refused(400, "epoch and seq: expected 0 to 2^63-1 each")
    if len(beat.checks) > MAX_CHECKS:
        return too_many_checks(len(beat.checks))
    if (ahead := beat.epoch / 1e9 - now) > MAX_EPOCH_AHEAD:
        clocks = "the sidecar's clock is not the collector's"
        return Refused(400, f"{clocks}: epoch is {ahead:.0f} s ahead, expected at most {MAX_EPOCH_AHEAD:g} s")
    times = [(f'check "{check.name}": since', check.since) for check in beat.checks]
    times += [("evidence: at", evidence.at) for evidence in beat.evidence]
    for name, unix in times:
        # Written so that it is false for nan.
        if not 0 <= unix <= now + MAX_AHEAD:
            expected = f"from 0 to a day ahead of the collector's clock, which says {now:.0f}"
            return Refused(400, f"{name} is {unix:.12g}, expected unix seconds, {expected}")
    for check in beat.checks:
        for seen in check.observed:
            if not isfinite(seen.value):
                name = clean(seen.name, MAX_NAME)
                return Refused(
                    400, f'check "{check.name}": observed "{name}" is {seen.value}, expected a finite number'
                )
    return None


def too_many_checks(count: int) -> Refused:
    return Refused(400, f"{count} checks, expected at most {MAX_CHECKS} in an instance")


def cut(beat: Heartbeat) -> Heartbeat:
    attributes = list(beat.resource.items())[:MAX_ATTRIBUTES]
    return msgspec.structs.replace(
        beat,
        resource={clean(key, MAX_NAME): clean(value) for key, value in attributes},
        checks=tuple(_cut_check(check) for check in beat.checks),
    )


def clean(text: str, limit: int = MAX_TEXT) -> str:
    """At most `limit` characters, on one line, control characters escaped."""
    return printable(text, limit)


def _cut_check(check: Check) -> Check:
    return msgspec.structs.replace(
        check, kind=clean(check.kind, MAX_NAME), output=clean(check.output), observed=check.observed[:MAX_OBSERVED]
    )
