"""From the receivers to the upstreams: accept, join, send, and answer each producer with what became of its request.

::

    take ──> splice ──> _Request ──┬──> _Upstream "gateway"   queue by signal ──> up to 4 flights ──> Sink.send
                           │       └──> _Upstream "archive"   …
      Reply <── verdict <──┘ one outcome from each required upstream

*Batching is natural.* A request that finds nothing in the air leaves at once. While a flight is in the air others gather,
and leave joined (protobuf merges by concatenation) when it lands, when they are worth a flight of their own (`FULL`), or
after `LINGER`; at most `FLIGHTS` at a time, `LARGEST` bytes each.

*The verdict* (`logic.verdict`) is the one place that decides what a producer is told. There is no spool yet: what a required
upstream did not accept is refused with 503, and the producer keeps it. With a spool, "written" will be one more way to 200.

*An upstream that fails* is a `Retry` that steps with each outcome; while it is not `ok`, requests are refused at once, with
one trial when its time has come. Requests that nobody waits for (an optional upstream's) stay queued until then, the
oldest being evicted beyond `KEPT`; our own telemetry (`submit`) is dropped instead.

*A batch that is rejected* is cut in halves between requests until the one that cannot be accepted is alone: only its producer
hears of it. The same is done where an upstream says that a batch is too large.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from .io.clock import Clock
from .logic.otlp_http import OK, Reply, refusal
from .logic.otlp_wire import Splicer
from .logic.protobuf import Malformed
from .logic.retry import HEALTHY, Retry, UpstreamState
from .logic.verdict import verdict
from .model.counters import UpstreamCounters
from .model.signals import (
    Accepted,
    Batch,
    Hold,
    Outcome,
    PartlyAccepted,
    Rejected,
    RetryLater,
    Signal,
    Sink,
    Split,
)

FLIGHTS = 4
LINGER = 0.005
FULL = 64 << 10
LARGEST = 1 << 20
PATIENCE = 8.0
"""Seconds until a producer is answered, whatever happens: SDKs give a request 10 in all."""
KEPT = 4 << 20
"""Bytes that wait for an optional upstream."""
OWN = 1 << 20
"""Bytes of our own telemetry that wait for one upstream."""
MOST = 64 << 20
"""Bytes in flight in all. Receivers bound themselves far below; this bounds their sum."""
LARGE = 256 << 10
"""Bytes from which splicing leaves the event loop."""

_WORDS: Mapping[type[Outcome], str] = {
    Accepted: "accepted",
    PartlyAccepted: "partly_accepted",
    RetryLater: "retry_later",
    Hold: "hold",
    Split: "split",
    Rejected: "rejected",
}


class Outlet(Sink, Protocol):
    """A sink that can be closed."""

    async def close(self) -> None: ...


class Upstream(msgspec.Struct, frozen=True):
    """Where to send, by a name for people. A producer's answer waits for `required` ones only."""

    name: str
    sink: Outlet
    required: bool = True


class UpstreamView(msgspec.Struct, frozen=True):
    """For `/status` and `/metrics`. `retry_in` is seconds until the next trial; None while all is well."""

    name: str
    required: bool
    state: UpstreamState
    why: str
    retry_in: float | None
    in_flight_bytes: int
    counters: UpstreamCounters


class _Request:
    """One producer's request: answered when each required upstream has settled it."""

    __slots__ = ("answer", "outcomes", "required")

    def __init__(self, answer: asyncio.Future[Reply], required: int) -> None:
        self.answer = answer
        self.required = required
        self.outcomes: list[tuple[Outcome, bool]] = []

    def settle(self, outcome: Outcome, alone: bool, wait: int) -> None:
        self.outcomes.append((outcome, alone))
        if len(self.outcomes) == self.required and not self.answer.done():
            self.answer.set_result(verdict(self.outcomes, wait))


class _Parcel:
    """A batch on its way to one upstream. Nobody waits for it where `request` is None; `keep` waits for better days."""

    __slots__ = ("batch", "keep", "request", "until")

    def __init__(self, batch: Batch, request: _Request | None, keep: bool, until: float) -> None:
        self.batch = batch
        self.request = request
        self.keep = keep
        self.until = until


class Relay:
    """`take` is what receivers call. In the end `drain`, then `close`, which closes the sinks too."""

    def __init__(
        self, upstreams: Sequence[Upstream], attributes: Mapping[str, str], clock: Clock, rng: random.Random
    ) -> None:
        """`attributes` are added to each Resource that lacks them. There must be an upstream."""
        self._rng = rng
        self._clock = clock
        self._splicer = Splicer(attributes)
        self._attributes = attributes
        self._lanes = [_Lane(upstream, clock, rng) for upstream in upstreams]
        self._required = sum(upstream.required for upstream in upstreams)
        self._large: set[asyncio.Future[Reply]] = set()

    @property
    def in_flight(self) -> int:
        """Bytes taken and not yet settled, over all upstreams."""
        return sum(lane.bytes for lane in self._lanes)

    def status(self) -> list[UpstreamView]:
        return [lane.view() for lane in self._lanes]

    def take(self, batch: Batch) -> asyncio.Future[Reply]:
        """The answer for its producer, within `PATIENCE` seconds."""
        loop = asyncio.get_running_loop()
        if len(batch.body) > LARGE:
            task = loop.create_task(self._take_large(batch))
            self._large.add(task)
            task.add_done_callback(self._large.discard)
            return task
        answer: asyncio.Future[Reply] = loop.create_future()
        spliced = _spliced(batch, self._splicer)
        if isinstance(spliced, Reply):
            answer.set_result(spliced)
        else:
            self._offer(spliced, answer)
        return answer

    async def _take_large(self, batch: Batch) -> Reply:
        # A splicer of its own: they are for one thread.
        work = asyncio.get_running_loop().run_in_executor(None, _spliced, batch, Splicer(self._attributes))
        del batch  # its body is copied: do not hold it while we wait
        spliced = await work
        del work
        if isinstance(spliced, Reply):
            return spliced
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._offer(spliced, answer)
        del spliced
        return await answer

    def _offer(self, batch: Batch, answer: asyncio.Future[Reply]) -> None:
        if self.in_flight + len(batch.body) > MOST:
            answer.set_result(refusal(503, "too many bytes in flight", 1))
            return
        request = _Request(answer, self._required)
        if not self._required:
            answer.set_result(OK)
        until = self._clock.monotonic() + PATIENCE
        for lane in self._lanes:
            required = lane.upstream.required
            lane.offer(_Parcel(batch, request if required else None, not required, until))

    def submit(self, batch: Batch) -> None:
        """Our own telemetry: best effort. What cannot be sent soon is dropped and counted as failed."""
        until = self._clock.monotonic() + PATIENCE
        for lane in self._lanes:
            lane.offer(_Parcel(batch, None, keep=False, until=until))

    async def drain(self, timeout: float) -> None:
        """Finish what is queued and in the air, for at most `timeout` seconds; the rest is answered with 503."""
        until = self._clock.monotonic() + timeout
        for lane in self._lanes:
            lane.draining = True
            lane.pump()
        while self._large or any(lane.bytes and lane.moving for lane in self._lanes):
            if self._clock.monotonic() >= until:
                break
            await self._clock.sleep(0.01)
        for lane in self._lanes:
            await lane.stop()

    async def close(self) -> None:
        """Cut what is in the air and close the sinks."""
        for lane in self._lanes:
            await lane.stop()
            await lane.upstream.sink.close()


def _spliced(batch: Batch, splicer: Splicer) -> Batch | Reply:
    try:
        return Batch(batch.signal, splicer.splice(batch.body), batch.items, batch.hops)
    except Malformed as error:
        return refusal(400, f"the body is not an OTLP request: {error}")


class _Lane:
    """One upstream's queue and flights."""

    def __init__(self, upstream: Upstream, clock: Clock, rng: random.Random) -> None:
        self.upstream = upstream
        self.bytes = 0
        self.draining = False
        self._clock = clock
        self._rng = rng
        self._retry: Retry = HEALTHY
        self._counters = UpstreamCounters()
        self._queues: dict[Signal, deque[_Parcel]] = {signal: deque() for signal in Signal}
        self._queued = 0
        self._own = 0
        self._flights: set[asyncio.Task[None]] = set()
        self._lingering: asyncio.TimerHandle | None = None
        self._waking: asyncio.TimerHandle | None = None

    @property
    def moving(self) -> bool:
        return bool(self._flights) or self._retry.admits(self._clock.monotonic(), 0)

    def view(self) -> UpstreamView:
        retry = self._retry
        healthy = retry.state is UpstreamState.OK
        wait = None if healthy else max(0.0, retry.until - self._clock.monotonic())
        name, required = self.upstream.name, self.upstream.required
        return UpstreamView(name, required, retry.state, retry.why, wait, self.bytes, self._counters)

    def offer(self, parcel: _Parcel) -> None:
        """Take a parcel into the queue, or settle it at once."""
        size = len(parcel.batch.body)
        admitted = self._retry.admits(self._clock.monotonic(), len(self._flights))
        own = parcel.request is None and not parcel.keep
        if (not admitted and not parcel.keep) or (own and self._own + size > OWN):
            self.bytes += size
            self._own += size if own else 0
            self._settle(parcel, RetryLater(None, "too much at once") if admitted else self._not_now(), alone=True)
            return
        self.bytes += size
        self._own += size if own else 0
        self._queued += size
        self._queues[parcel.batch.signal].append(parcel)
        if parcel.keep:
            self._evict()
        self.pump()

    def pump(self) -> None:
        """Start what may start now."""
        while self._queued and len(self._flights) < FLIGHTS:
            if not self._retry.admits(self._clock.monotonic(), len(self._flights)):
                break
            if self._flights and self._queued < FULL and not self.draining:
                if self._lingering is None:
                    self._lingering = asyncio.get_running_loop().call_later(LINGER, self._lingered)
                break
            self._depart()

    def _lingered(self) -> None:
        self._lingering = None
        if self._queued and len(self._flights) < FLIGHTS:
            if self._retry.admits(self._clock.monotonic(), len(self._flights)):
                self._depart()
            self.pump()

    def _depart(self) -> None:
        """The signal whose first request has waited longest, as much of it as fits."""
        parcels = [self._next()]
        queue = self._queues[parcels[0].batch.signal]
        size = len(parcels[0].batch.body)
        while queue and (more := len(queue[0].batch.body)) + size <= LARGEST:
            parcels.append(queue.popleft())
            size += more
            self._queued -= more
        flight = asyncio.get_running_loop().create_task(self._fly(parcels))
        self._flights.add(flight)
        flight.add_done_callback(self._landed)

    def _requeue(self, parcel: _Parcel) -> None:
        self._queues[parcel.batch.signal].appendleft(parcel)
        self._queued += len(parcel.batch.body)
        self._evict()
        if self._waking is None:
            wait = max(0.0, self._retry.until - self._clock.monotonic())
            self._waking = asyncio.get_running_loop().call_later(wait, self._wake)

    def _wake(self) -> None:
        self._waking = None
        self.pump()

    def _evict(self) -> None:
        while self._queued > KEPT:
            self._settle(self._next(), RetryLater(None, "evicted: too much waits"), alone=True)

    def _next(self) -> _Parcel:
        """Out of the queues: the parcel that has waited longest."""
        parcel = min((q for q in self._queues.values() if q), key=lambda q: q[0].until).popleft()
        self._queued -= len(parcel.batch.body)
        return parcel

    def _refuse_waiting(self) -> None:
        """After a failure whoever waits is told at once; what is kept stays."""
        for queue in self._queues.values():
            for parcel in [parcel for parcel in queue if not parcel.keep]:
                queue.remove(parcel)
                self._queued -= len(parcel.batch.body)
                self._settle(parcel, self._not_now(), alone=True)

    def _not_now(self) -> RetryLater:
        return RetryLater(max(0.0, self._retry.until - self._clock.monotonic()), self._retry.why)

    async def stop(self) -> None:
        """Nothing more is sent; whoever waits is told."""
        self.draining = True
        for timer in (self._lingering, self._waking):
            if timer is not None:
                timer.cancel()
        while self._queued:
            self._settle(self._next(), RetryLater(None, "stopping"), alone=True)
        for flight in self._flights:
            flight.cancel()
        await asyncio.gather(*self._flights, return_exceptions=True)

    def _landed(self, flight: asyncio.Task[None]) -> None:
        self._flights.discard(flight)
        if not flight.cancelled() and (error := flight.exception()):
            asyncio.get_running_loop().call_exception_handler(
                {"message": "a flight failed on a bug", "exception": error}
            )
        if not self._retry.admits(self._clock.monotonic(), len(self._flights)):
            self._refuse_waiting()
        self.pump()

    async def _fly(self, parcels: list[_Parcel]) -> None:
        try:
            await self._deliver(parcels)
        except BaseException:  # cancelled, or a bug: whoever still waits is answered
            for parcel in parcels:
                self._settle(parcel, RetryLater(None, "not sent"), alone=False)
            raise

    async def _deliver(self, parcels: list[_Parcel]) -> None:
        """Send as one request; in halves when it is refused for what is in it."""
        outcome = await self._send(parcels)
        if isinstance(outcome, Rejected | Split) and len(parcels) > 1:
            half = len(parcels) // 2
            await self._deliver(parcels[:half])
            await self._deliver(parcels[half:])
            return
        again = isinstance(outcome, RetryLater | Hold)
        for parcel in reversed(parcels):
            if again and parcel.keep and not self.draining:
                self._requeue(parcel)
            else:
                self._settle(parcel, outcome, alone=len(parcels) == 1)

    async def _send(self, parcels: list[_Parcel]) -> Outcome:
        now = self._clock.monotonic()
        if self._retry.state is not UpstreamState.OK and self._retry.until > now:
            return self._not_now()  # the first half of a batch met a failure
        first = parcels[0].batch
        if len(parcels) == 1:
            batch = first
        else:
            batches = [parcel.batch for parcel in parcels]
            body = b"".join([b.body for b in batches])
            batch = Batch(first.signal, body, sum(b.items for b in batches), max(b.hops for b in batches))
        patience = min((p.until for p in parcels if not p.keep), default=now + PATIENCE) - now
        outcome: Outcome
        try:
            async with asyncio.timeout(max(0.0, patience)):
                outcome = await self.upstream.sink.send(batch)
        except TimeoutError:
            outcome = RetryLater(None, f"no answer within {PATIENCE:g} s")
        self._step(batch.signal, outcome)
        return outcome

    def _step(self, signal: Signal, outcome: Outcome) -> None:
        counters = self._counters
        counters.sent(signal, _WORDS[type(outcome)])
        match outcome:
            case Accepted() | PartlyAccepted():
                counters.last_success_at = self._clock.now()
            case RetryLater(_, why) | Hold(why) | Split(why) | Rejected(why):
                counters.last_error = why
                counters.last_error_at = self._clock.now()
        self._retry = self._retry.step(outcome, self._clock.monotonic(), self._rng.random())

    def _settle(self, parcel: _Parcel, outcome: Outcome, *, alone: bool) -> None:
        """The parcel is done with: count it and tell whoever waits."""
        if parcel.until < 0:
            return
        parcel.until = -1.0
        batch = parcel.batch
        self.bytes -= len(batch.body)
        if parcel.request is None and not parcel.keep:
            self._own -= len(batch.body)
        match outcome:
            case PartlyAccepted(rejected, _) if alone:
                rejected = min(rejected, batch.items)
                self._counters.settle(batch.signal, "rejected", rejected)
                self._counters.settle(batch.signal, "accepted", batch.items - rejected)
            case Accepted() | PartlyAccepted():
                self._counters.settle(batch.signal, "accepted", batch.items)
            case Rejected() | Split():
                self._counters.settle(batch.signal, "rejected", batch.items)
            case RetryLater() | Hold():
                self._counters.settle(batch.signal, "failed", batch.items)
        if parcel.request is not None:
            parcel.request.settle(outcome, alone, self._rng.randint(1, 2))
