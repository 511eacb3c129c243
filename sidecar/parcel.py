"""What the relay's lanes pass around: upstreams, producers' requests, and a request's batch on its way to one upstream."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from .logic.otlp_http import OK, Reply
from .logic.retry import UpstreamState
from .logic.verdict import verdict
from .model.counters import UpstreamCounters
from .model.signals import Accepted, Batch, Outcome, Signal, Sink


class Outlet(Sink, Protocol):
    """A sink that can be closed."""

    async def close(self) -> None: ...


class Upstream(msgspec.Struct, frozen=True):
    """Where to send, by a name for people, which is also that of its rows in the spool. A producer's answer waits for `required`
    ones only. `endpoint` is for people too, without credentials; `protocol` as OTEL_EXPORTER_OTLP_PROTOCOL names it."""

    name: str
    sink: Outlet
    required: bool = True
    endpoint: str = ""
    protocol: str = ""


class UpstreamView(msgspec.Struct, frozen=True):
    """For `/status` and `/metrics`. `retry_in` is seconds until the next trial, of the upstream or of a signal; None while all is
    well. The queue is what waits in the spool and in memory; `oldest` and `since`, when `state` last changed, are unix seconds;
    `held_signals` says why, of those that the upstream does not have."""

    name: str
    required: bool
    state: UpstreamState
    why: str
    retry_in: float | None
    in_flight_bytes: int
    counters: UpstreamCounters
    queue_rows: int = 0
    queue_bytes: int = 0
    oldest: float | None = None
    held_signals: Mapping[Signal, str] = {}
    since: float = 0.0
    endpoint: str = ""
    protocol: str = ""


class Stows(Protocol):
    """A lane, as far as a request needs it."""

    def stow(self, parcel: Parcel) -> None: ...


class Request:
    """One producer's request: answered when each required upstream has settled it, or the spool has it."""

    __slots__ = ("_bad", "_unsettled", "answer", "parcels")

    def __init__(self, answer: asyncio.Future[Reply], required: int) -> None:
        self.answer = answer
        self._unsettled = required
        self._bad: list[tuple[Outcome, bool]] | None = None
        self.parcels: Sequence[tuple[Stows, Parcel]] = ()

    def settle(self, outcome: Outcome, alone: bool, rng: random.Random) -> None:
        """What one required upstream says, and whether it says so of this request alone."""
        self._unsettled -= 1
        if type(outcome) is not Accepted:
            self._bad = [*(self._bad or ()), (outcome, alone)]
        if not self._unsettled and not self.answer.done():
            self.answer.set_result(verdict(self._bad, rng.randint(1, 2)) if self._bad else OK)
            self.parcels = ()

    def hurry(self) -> None:
        """Patience is at its end: what is not settled is written to the spool, and goes on flying."""
        for lane, parcel in self.parcels:
            lane.stow(parcel)


class Parcel:
    """A batch on its way to one upstream.

    Nobody waits for it where `request` is None; `keep` waits in memory for better days; `own` is our own telemetry. `until` is
    negative when it is done with. It is cut `cuts` times at most when it is rejected. `stowable` has a reserved place in the
    spool, or a row there once `stowed`.
    """

    __slots__ = (
        "batch",
        "cuts",
        "flying",
        "keep",
        "number",
        "own",
        "request",
        "stowable",
        "stowed",
        "until",
        "writing",
    )

    def __init__(
        self,
        batch: Batch,
        request: Request | None,
        until: float,
        *,
        keep: bool = False,
        own: bool = False,
        number: int = 0,
        cuts: int = 0,
    ) -> None:
        self.batch = batch
        self.cuts = cuts
        self.request = request
        self.keep = keep
        self.own = own
        self.until = until
        self.number = number
        self.stowable = number > 0
        self.writing = False
        self.stowed = False
        self.flying = False
