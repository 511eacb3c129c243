"""From the receivers to the upstreams: accept, join, send, and answer each producer with what became of its request.

::

    take ──> Request ──┬──> Lane "gateway"   queue by signal ──> up to 4 flights ──> Sink.send
                │      └──> Lane "archive"   …        └───────> spool ──┘
      Reply <── verdict, of one outcome from each required upstream

*Batching is natural.* A request that finds nothing in the air leaves at once, but where requests come closely one after
another it waits for some more, 5 ms at most (`logic.gathering`). While a flight is in the air others gather, and leave joined
(protobuf merges by concatenation) when it lands, when they are worth a flight of their own (`FULL`), or after `LINGER`; at most
`FLIGHTS` at a time, `LARGEST` bytes each.

*The verdict* (`logic.verdict`) is the one place that decides what a producer is told. With a spool, every required upstream's
place there is reserved before anything is sent; no place is 429. What an upstream has not accepted within its patience
(`logic.patience`), has failed to take or cannot take now is written for that upstream alone, and is as good as accepted once it
is committed. An acceptance that comes later deletes the row. While upstreams are well nothing touches the disk.
Without a spool, or while its disk is in trouble, what a required upstream did not accept is refused with 503, and the producer
keeps it.

*An upstream that fails* is a `Retry` that steps with each outcome; while it is not `ok`, requests are written or refused at
once, with one trial when its time has come. Requests that nobody waits for (an optional upstream's) are written too, the oldest
in its share of the spool making room; without a spool they stay queued in memory, the oldest being evicted beyond `KEPT`. Our
own telemetry (`submit`) is dropped instead.

*An upstream that does not have a signal* holds that signal alone (`logic.holds`): what comes of it is written, refused, kept or
dropped as above, with a trial of its own, and the other signals flow.

*A batch that is rejected* is cut in halves between requests until the one that cannot be accepted is alone: only its producer
hears of it, and the spool's quarantine keeps it. Where an upstream says that a batch is too large, the same is done, and a
request that is too large by itself is cut between its items.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Sequence

from .io.clock import Clock
from .io.spool import PATIENCE, Spool
from .lane.lane import Lane
from .lane.sending import CUTS
from .logic.loop import comes_back, via_with
from .logic.otlp_http import OK, Reply, refusal
from .model.signals import Batch
from .parcel import Parcel, Request, Upstream, UpstreamView

LOOK = 0.5
"""Seconds between two looks at what is being written."""
MOST = 64 << 20
"""Bytes in flight in all. Receivers bound themselves far below; this bounds their sum."""


class Relay:
    """`take` is what receivers call, `take_own_logs` what reads logs. In the end `drain`, then `close`, which closes the sinks
    too."""

    def __init__(
        self,
        upstreams: Sequence[Upstream],
        clock: Clock,
        rng: random.Random,
        spool: Spool | None = None,
        name: str = "",
    ) -> None:
        """There must be an upstream. `open` comes first when there is a spool, which then belongs to the relay. What comes back
        to `name` is refused (`logic.loop`)."""
        self._loop = asyncio.get_running_loop()
        self._rng = rng
        self._clock = clock
        self._name = name
        self.spool = spool
        self._lanes = [Lane(upstream, clock, rng, spool) for upstream in upstreams]
        self._required = [lane for lane in self._lanes if lane.upstream.required]
        self._awaited = self._required or self._lanes
        self._waiting: deque[tuple[float, Request]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._writing: deque[tuple[float, Request]] = deque()
        self._last_timer: asyncio.TimerHandle | None = None

    @property
    def in_flight(self) -> int:
        """Bytes taken and not yet settled, over all upstreams."""
        return sum([lane.ledger.bytes for lane in self._lanes])

    def status(self) -> list[UpstreamView]:
        return [lane.view() for lane in self._lanes]

    def take_own_logs(self, batch: Batch) -> asyncio.Future[Reply]:
        """As `take`, for a producer that can wait, because its files do: where no upstream is required, all of them are. An
        optional one is answered for at once, and a backlog of files would be read much faster than it takes. What is
        rejected is cut until only that is lost which cannot be accepted: one bad line does not take thousands with it."""
        answer: asyncio.Future[Reply] = self._loop.create_future()
        self._offer(Batch(batch.signal, batch.body, batch.items, via=self._name), answer, self._awaited, CUTS)
        return answer

    def take(self, batch: Batch) -> asyncio.Future[Reply]:
        """The answer for its producer: within the patience of `lane.sending`, or where the disk hangs, of the spool."""
        answer: asyncio.Future[Reply] = self._loop.create_future()
        if batch.via and (why := comes_back(batch.via, self._name)):
            answer.set_result(refusal(508, why))
        else:
            via = via_with(batch.via, self._name) if batch.via else self._name
            self._offer(Batch(batch.signal, batch.body, batch.items, batch.hops, via), answer, self._required)
        return answer

    async def open(self) -> None:
        """What the last run left in the spool begins to leave."""
        if self.spool is not None:
            lanes = {lane.upstream.name: lane for lane in self._lanes}
            await self.spool.open(list(lanes))
            self.spool.on_change = self._pump
            self.spool.on_loss = lambda key, reason: lanes[key.upstream].ledger.lost(key, reason)
            self._pump()

    def _pump(self) -> None:
        for lane in self._lanes:
            lane.pump()

    def _offer(self, batch: Batch, answer: asyncio.Future[Reply], required: Sequence[Lane], cuts: int = 0) -> None:
        if self.in_flight + len(batch.body) > MOST:
            answer.set_result(refusal(503, "too many bytes in flight", 1))
            return
        spool = self.spool
        fits = spool is not None and spool.fits(len(batch.body))
        reserved = fits and bool(required)
        if spool is not None and reserved and (why := self._reserve(spool, batch, required)):
            answer.set_result(refusal(429, why, self._rng.randint(1, 2)))
            return
        request = Request(answer, len(required))
        if not required:
            answer.set_result(OK)
        parcels = []
        for lane in self._lanes:
            if lane in required:
                parcels.append((lane, lane.parcel(batch, request, reserved=reserved, cuts=cuts)))
            else:
                has_place = spool is not None and fits and lane.evict(spool, len(batch.body))
                parcels.append((lane, lane.parcel(batch, None, keep=True, reserved=has_place, cuts=cuts)))
        if reserved:
            self._wait(request, parcels, required)
        for lane, parcel in parcels:
            lane.offer(parcel)

    def _wait(self, request: Request, parcels: list[tuple[Lane, Parcel]], required: Sequence[Lane]) -> None:
        """When patience ends before the answer comes, the spool is asked. One timer for all: most are answered long before."""
        request.parcels = parcels
        patience = 0.0
        for lane in required:
            if lane.patience.seconds > patience:
                patience = lane.patience.seconds
        self._waiting.append((self._loop.time() + patience, request))
        if self._timer is None:
            self._timer = self._loop.call_later(patience, self._impatient)

    def _impatient(self) -> None:
        loop, waiting = self._loop, self._waiting
        now = loop.time() + 0.001
        while waiting and (waiting[0][0] <= now or waiting[0][1].answer.done()):
            request = waiting.popleft()[1]
            request.hurry()
            if not request.answer.done():
                self._writing.append((now + PATIENCE, request))
        self._timer = loop.call_later(waiting[0][0] - loop.time(), self._impatient) if waiting else None
        if self._writing and self._last_timer is None:
            self._last_timer = loop.call_later(min(PATIENCE, LOOK), self._give_up)

    def _give_up(self) -> None:
        """A disk may hang for ever; producers do not."""
        loop, writing = self._loop, self._writing
        now = loop.time() + 0.001
        while writing and (writing[0][0] <= now or writing[0][1].answer.done()):
            answer = writing.popleft()[1].answer
            if not answer.done() and self.spool is not None:
                self.spool.late()
                answer.set_result(refusal(503, f"not sent, and not written to the spool: {self.spool.why}", 1))
        self._last_timer = loop.call_later(min(PATIENCE, LOOK), self._give_up) if writing else None

    def _reserve(self, spool: Spool, batch: Batch, required: Sequence[Lane]) -> str:
        """A place for each required upstream, or for none and why not."""
        size, why = len(batch.body), ""
        for n, lane in enumerate(required):
            if lane.crowds(batch):
                why = f"no more {batch.signal} are kept for {lane.upstream.name}, which does not take them"
            else:
                name, claimed = lane.upstream.name, lane.ledger.claimed
                room = spool.reserve(name, size, claimed)
                if not room and spool.lacks(name, size):
                    for other in self._lanes:
                        other.yields(spool, spool.lacks(name, size))
                    room = spool.reserve(name, size, claimed)
                if room is lane.standing.full:
                    lane.standing.full = not room
                    lane.standing.mark()
                why = "the spool is full" if lane.standing.full else ""
            if why:
                lane.refuse(batch)
                for given in required[:n]:
                    spool.release(given.upstream.name, size)
                break
        return why

    def submit(self, batch: Batch) -> None:
        """Our own telemetry: best effort. What cannot be sent soon is dropped and counted as failed."""
        own = Batch(batch.signal, batch.body, batch.items, via=self._name)
        for lane in self._lanes:
            lane.offer(lane.parcel(own, None, own=True))

    @property
    def busy(self) -> bool:
        """Is there anything that could be sent now?"""
        return bool(self.in_flight) or any(lane.waiting and lane.moving for lane in self._lanes)

    def spill(self) -> None:
        """Stopping begins: everything in memory that has a place in the spool is written now, and goes on flying."""
        for _, request in self._waiting:
            request.hurry()

    async def drain(self, timeout: float) -> None:
        """Finish what is queued and in the air, for at most `timeout` seconds; the rest is written to the spool, or answered with
        503."""
        until = self._clock.monotonic() + timeout
        for lane in self._lanes:
            lane.drain()
        while any(lane.ledger.bytes and lane.moving for lane in self._lanes):
            if self._clock.monotonic() >= until:
                break
            await self._clock.sleep(0.01)
        await self._stop()

    async def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._last_timer is not None:
            self._last_timer.cancel()
            self._last_timer = None
        for lane in self._lanes:
            await lane.stop()
        if self.spool is not None:
            await self.spool.flush()
            await asyncio.sleep(0)  # whoever waited for that is told

    async def close(self) -> None:
        """Cut what is in the air and close the sinks and the spool."""
        await self._stop()
        for lane in self._lanes:
            await lane.upstream.sink.close()
        if self.spool is not None:
            await self.spool.close()


__all__ = ["Relay", "Upstream", "UpstreamView"]
