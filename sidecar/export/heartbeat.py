"""Heartbeats to the collector: a change at once, otherwise every interval, longer or shorter by up to a fifth.

The collector pulls nothing, so that it needs no way in. Trouble here is counted and shown; it touches nothing else.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from ..io.clock import Clock
from ..logic.beats import Beats
from ..model.counters import HeartbeatCounters
from ..model.health import Check
from ..model.heartbeat import HEARTBEAT_PATH, Heartbeat, HeartbeatReply

JITTER = 0.2
COALESCE = 0.05
"""Changes within this many seconds travel together."""
TIMEOUT = 5.0


class Response(Protocol):
    @property
    def status(self) -> int: ...
    @property
    def body(self) -> bytes: ...


class Post(Protocol):
    """The HTTP client: a POST to one base URL."""

    async def post(self, path: str, body: bytes, headers: Mapping[str, str], timeout: float) -> Response: ...


class Heartbeats:
    """`run()` until cancelled, then `leave()` says goodbye, once, so that silence is not mistaken for trouble."""

    def __init__(
        self,
        client: Post,
        beats: Beats,
        checks: Callable[[], Sequence[Check]],
        headers: Callable[[], Mapping[str, str]],
        clock: Clock,
        rng: random.Random,
        counters: HeartbeatCounters,
    ) -> None:
        self._client = client
        self._beats = beats
        self._checks = checks
        self._headers = headers
        self._clock = clock
        self._rng = rng
        self._changed = asyncio.Event()
        self.counters = counters

    def changed(self) -> None:
        """Something that the collector should know now."""
        self._changed.set()

    async def run(self) -> None:
        while True:
            self._changed.clear()
            again = await self._send(leaving=False)
            if again:
                continue
            pause = self._beats.interval * (1 + self._rng.uniform(-JITTER, JITTER))
            sleeping = asyncio.ensure_future(self._clock.sleep(pause))
            woken = asyncio.ensure_future(self._changed.wait())
            try:
                await asyncio.wait((sleeping, woken), return_when=asyncio.FIRST_COMPLETED)
            finally:
                sleeping.cancel()
                woken.cancel()
            if self._changed.is_set():
                await self._clock.sleep(COALESCE)

    async def leave(self) -> None:
        if await self._send(leaving=True):  # to a collector that has just started
            await self._send(leaving=True)

    async def _send(self, *, leaving: bool) -> bool:
        """Send one; True when the collector asks for everything, at once."""
        before = self._beats
        self._beats, beat = before.next([_wire(check) for check in self._checks()], leaving=leaving)
        try:
            reply = await self._exchange(beat)
        except (OSError, TimeoutError, ValueError) as error:
            self.counters.failed += 1
            self.counters.failing = True
            self.counters.last_error = str(error) or type(error).__name__
            self._beats = self._beats.failed()
            return False
        self.counters.sent += 1
        self.counters.failing = False
        self.counters.last_success_at = self._clock.now()
        self._beats = self._beats.answered(reply)
        if reply.resync:
            self.counters.resyncs += 1
        # A collector that asks again for what it just got in full would be asked for ever: once is enough.
        return reply.resync and not beat.full

    async def _exchange(self, beat: Heartbeat) -> HeartbeatReply:
        headers = {"content-type": "application/json", **self._headers()}
        response = await self._client.post(HEARTBEAT_PATH, msgspec.json.encode(beat), headers, TIMEOUT)
        if response.status != 200:
            detail = response.body[:200].decode(errors="replace")
            raise ValueError(f"the collector answered {response.status}: {detail}")
        return msgspec.json.decode(response.body, type=HeartbeatReply)


def _wire(check: Check) -> Check:
    """A report cut down to the contract's fields."""
    return Check(**{name: getattr(check, name) for name in Check.__struct_fields__})
