"""One upstream: its queue, its flights, and what waits for it in the spool.

A parcel is in one place at a time, and each way out of it ends in `_settle` (done with) or `_forget` (the spool has it)::

    offer ──> queue ──> flight ──> accepted            settled; its row, if it has one, is deleted
                │          ├─────> rejected, too large   settled; quarantined
                │          └─────> failed ──┐
                └─ impatient, upstream down ┴─> writing ──> the spool's; read again as backlog, oldest first

*Order.* `Parcel.number` is the order of arrival and the row's id. One flight of metrics is in the air at a time, and while any
row of metrics waits, fresh metrics go to the spool behind it. Traces and logs fly beside the backlog, which has one flight
and `BACKLOG` bytes a second.

A parcel without a place in the spool (`stowable` is false: no spool, its disk in trouble, our own telemetry) is refused, dropped
or kept in memory instead. Nobody waits for what an optional upstream is sent, so no patience ends: `KEPT` bytes of it may gather
in memory, and what is beyond them, or has failed, is written.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Mapping, Sequence

from .io.clock import Clock
from .io.deadlines import Deadlines
from .io.spool import OnFull, Spool
from .logic.gathering import Gathering
from .logic.holds import ALL_FLOW, SHARE, Holds
from .logic.otlp_split import halve
from .logic.patience import Patience
from .logic.rejections import Rejections
from .logic.retry import HEALTHY, Retry, UpstreamState
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
    Split,
)
from .parcel import Parcel, Request, Upstream, UpstreamView

FLIGHTS = 4
LINGER = 0.005
FULL = 64 << 10
LARGEST = 1 << 20
LARGE = 256 << 10
"""Bytes from which cutting leaves the event loop."""
CUTS = 32
"""Of one rejected request that no producer waits for, at most."""
PATIENCE = 8.0
"""Seconds until a producer is answered, whatever happens: SDKs give a request 10 in all."""
KEPT = 4 << 20
"""Bytes that wait for an optional upstream."""
OWN = 1 << 20
"""Bytes of our own telemetry that wait for one upstream."""
BACKLOG = 16 << 20
"""Bytes a second that are sent out of the spool to one upstream."""

_WORDS: Mapping[type[Outcome], str] = {
    Accepted: "accepted",
    PartlyAccepted: "partly_accepted",
    RetryLater: "retry_later",
    Hold: "hold",
    Split: "split",
    Rejected: "rejected",
}


_TAKEN = (Accepted, PartlyAccepted)
_REFUSED: Mapping[type[Outcome], str] = {Rejected: "rejected", Split: "too_large"}


class Lane:
    """`offer` parcels; `stop` in the end."""

    def __init__(self, upstream: Upstream, clock: Clock, rng: random.Random, spool: Spool | None = None) -> None:
        self.upstream = upstream
        self.bytes = 0
        self.draining = False
        self.full = False
        """The spool had no place when one was last asked for."""
        self.patience = Patience()
        self.claimed: set[int] = set()
        """Rows that are in the air."""
        self._loop = asyncio.get_running_loop()  # asked for in each call it would be a system call
        self._clock = clock
        self._rng = rng
        self._spool = spool
        self._retry: Retry = HEALTHY
        self._holds: Holds = ALL_FLOW
        self._rejections = Rejections()
        self._counters = UpstreamCounters()
        self._shown, self._since = UpstreamState.OK, clock.now()
        self._queues: dict[Signal, deque[Parcel]] = {signal: deque() for signal in Signal}
        self._queued = 0
        self._own = 0
        self._flights: set[asyncio.Task[None]] = set()
        self._metrics_fly = False
        self._lingering: asyncio.TimerHandle | None = None
        self._gathering = Gathering()
        self._departed = 0.0
        self._waking: asyncio.TimerHandle | None = None
        self._wakes = 0.0
        """When, on the loop's clock; uvloop's handles do not always tell."""
        self._backlog: asyncio.Task[None] | None = None
        self._turns: deque[Signal] = deque(Signal)
        self._deadlines = Deadlines()
        self._stopped = False

    @property
    def moving(self) -> bool:
        """Is something in the air, or could something that waits leave now?"""
        if self._flights or not self._retry.admits(self._clock.monotonic(), 0):
            return bool(self._flights)
        return not self._holds.signals or bool(self._ready()) or self._rows_to_send() > 0

    @property
    def waiting(self) -> int:
        """Rows in the spool."""
        return self._spool.rows(self.upstream.name) if self._spool else 0

    def view(self) -> UpstreamView:
        retry, name, spool = self._retry, self.upstream.name, self._spool
        self.mark()
        why, until = retry.why, retry.until
        held = {signal: held.why for signal, held in self._holds.signals.items()}
        if held and retry.state is UpstreamState.OK:
            until = min(held.until for held in self._holds.signals.values())
            if self._nothing_flows:
                why = "; ".join(f"{signal}: {why}" for signal, why in held.items())
        full = self._shown is UpstreamState.FULL
        in_memory = [q for q in self._queues.values() if q]
        since = [self._clock.now() - self._clock.monotonic() + q[0].until - PATIENCE for q in in_memory]
        if spool and (oldest := spool.oldest(name)) is not None:
            since.append(oldest)
        return UpstreamView(
            name,
            self.upstream.required,
            self._shown,
            f"the spool is full; {why}".rstrip("; ") if full else why,
            None if retry.state is UpstreamState.OK and not held else max(0.0, until - self._clock.monotonic()),
            self.bytes,
            self._counters,
            self.waiting + sum(len(q) for q in in_memory),
            self._queued + (spool.bytes(name) if spool else 0),
            min(since, default=None),
            held,
            self._since,
            self.upstream.endpoint,
            self.upstream.protocol,
        )

    def mark(self) -> None:
        """Keep since when the state that is shown is what it is; one that changes unmarked counts from the next look."""
        state = self._retry.state
        if state is UpstreamState.OK and self._holds.signals and self._nothing_flows:
            state = UpstreamState.HELD
        if self.full and self.waiting > 0:
            state = UpstreamState.FULL
        if state is not self._shown:
            self._shown, self._since = state, self._clock.now()

    @property
    def _nothing_flows(self) -> bool:
        """Is every signal held that the upstream was ever sent?"""
        return all(signal in self._holds.signals for signal, _ in self._counters.sends)

    def crowds(self, batch: Batch) -> bool:
        """Would it, of a held signal, take room in the spool that signals which flow may need?"""
        held, spool = self._holds.signals, self._spool
        if batch.signal not in held or spool is None or spool.config.on_full is OnFull.EVICT_OLDEST:
            return False
        return not self._nothing_flows and spool.share(self.upstream.name, held, len(batch.body)) > SHARE

    def parcel(
        self,
        batch: Batch,
        request: Request | None,
        *,
        keep: bool = False,
        own: bool = False,
        reserved: bool = False,
        cuts: int = 0,
    ) -> Parcel:
        """For this lane; `reserved`: it has a place in the spool."""
        number = self._spool.next_id() if self._spool and reserved else 0
        until = self._clock.monotonic() + PATIENCE
        return Parcel(batch, request, until, keep=keep, own=own, number=number, cuts=cuts)

    def evict(self, spool: Spool, size: int) -> bool:
        """A place in the spool for an optional upstream: the oldest that waits for it makes room."""
        return spool.reserve(self.upstream.name, size, self.claimed, evict=True)

    def refuse(self, batch: Batch) -> None:
        """There is no place for it: its producer is told."""
        self._counters.settle(batch.signal, "refused", batch.items)

    def lost(self, signal: Signal, reason: str, items: int) -> None:
        """The spool has lost what it held for this upstream."""
        self._counters.settle(signal, reason, items)

    def offer(self, parcel: Parcel) -> None:
        """Take a parcel into the queue, or settle it at once."""
        size = len(parcel.batch.body)
        self._counters.taken_items += parcel.batch.items
        self._counters.taken_bytes += size
        admitted = self._admits() and self._takes(parcel.batch.signal)
        self.bytes += size
        if parcel.own:
            self._own += size
        if parcel.stowable and (not admitted or self._behind(parcel.batch.signal)):
            if self._retry.looped:
                self._settle(parcel, self._not_now(parcel.batch.signal), alone=True)
            else:
                self.stow(parcel)
            self.pump()
            return
        if (not admitted and not parcel.keep) or (parcel.own and self._own > OWN):
            why = RetryLater(None, "too much at once") if admitted else self._not_now(parcel.batch.signal)
            self._settle(parcel, why, alone=True)
            return
        self._queued += size
        self._queues[parcel.batch.signal].append(parcel)
        if parcel.keep:
            self._evict()
        self.pump()

    def _behind(self, signal: Signal) -> bool:
        """Must a fresh parcel queue up behind rows?"""
        return signal is Signal.METRICS and self._spool is not None and self._spool.rows(self.upstream.name, signal) > 0

    def pump(self) -> None:
        """Start what may start now."""
        while self._queued and len(self._flights) < FLIGHTS and self._admits() and (ready := self._ready()):
            if self._queued < FULL and not self.draining:
                wait = LINGER if self._flights else self._gathering.wait(sum(map(len, ready)))
                if wait:
                    if self._lingering is None:
                        self._lingering = self._loop.call_later(wait, self._lingered)
                    break
            self._depart(ready)
        spool = self._spool
        if spool is None or not spool.rows_in_all or self._backlog is not None or self._stopped:
            return
        if self.waiting > len(self.claimed):
            self._pump_backlog(spool)

    def _admits(self) -> bool:
        """May a send start now?"""
        return self._retry is HEALTHY or self._retry.admits(self._clock.monotonic(), len(self._flights))

    def _takes(self, signal: Signal) -> bool:
        """May a send of this signal start, where any may?"""
        return self._holds is ALL_FLOW or self._holds.admits(signal, self._clock.monotonic())

    def _ready(self) -> list[deque[Parcel]]:
        """Queues of which something may leave."""
        blocked = self._metrics_fly and self._spool is not None
        return [
            queue
            for signal, queue in self._queues.items()
            if queue and not (blocked and signal is Signal.METRICS) and self._takes(signal)
        ]

    def _lingered(self) -> None:
        self._lingering = None
        if len(self._flights) < FLIGHTS and (ready := self._ready()):
            if self._admits():
                self._depart(ready)
            self.pump()

    def _depart(self, ready: list[deque[Parcel]]) -> None:
        """The signal whose first request has waited longest, as much of it as fits."""
        parcels = [self._take(ready)]
        queue = self._queues[parcels[0].batch.signal]
        size = len(parcels[0].batch.body)
        while queue and (more := len(queue[0].batch.body)) + size <= LARGEST:
            parcels.append(queue.popleft())
            size += more
            self._queued -= more
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None
        now = self._clock.monotonic()
        self._gathering = self._gathering.step(len(parcels), now - self._departed, now + PATIENCE - parcels[-1].until)
        self._departed = now
        self._launch(parcels)

    def _launch(self, parcels: list[Parcel]) -> asyncio.Task[None]:
        if parcels[0].batch.signal is Signal.METRICS:
            self._metrics_fly = True
        for parcel in parcels:
            parcel.flying = True
        flight = self._loop.create_task(self._fly(parcels))
        self._flights.add(flight)
        flight.add_done_callback(self._landed)
        return flight

    def _requeue(self, parcel: Parcel) -> None:
        self._queues[parcel.batch.signal].appendleft(parcel)
        self._queued += len(parcel.batch.body)
        self._evict()
        self._wake_at(self._retry.until)

    def _wake_at(self, when: float) -> None:
        """Or earlier, if that was asked for."""
        if self._stopped:
            return
        at = self._loop.time() + max(0.0, when - self._clock.monotonic())
        if self._waking is not None:
            if self._wakes <= at:
                return
            self._waking.cancel()
        self._wakes = at
        self._waking = self._loop.call_at(at, self._wake)

    def _wake(self) -> None:
        self._waking = None
        self.pump()
        for signal, held in self._holds.signals.items():
            if self._queues[signal] and not self._takes(signal):
                self._wake_at(held.until)

    def _evict(self) -> None:
        while self._queued > KEPT:
            self._fail(self._next(), RetryLater(None, "evicted: too much waits"))

    def _next(self) -> Parcel:
        """Out of the queues: the parcel that has waited longest."""
        return self._take([q for q in self._queues.values() if q])

    def _take(self, queues: Sequence[deque[Parcel]]) -> Parcel:
        queue = queues[0] if len(queues) == 1 else min(queues, key=lambda q: q[0].until)
        parcel = queue.popleft()
        self._queued -= len(parcel.batch.body)
        return parcel

    def _clear(self) -> None:
        """Whoever waits in the queue for what may not be sent now is told, or written to the spool; what is kept stays."""
        admits = self._admits()
        for signal, queue in self._queues.items():
            if admits and self._takes(signal):
                continue
            why = self._not_now(signal)
            waiting = [parcel for parcel in queue if not self._kept(parcel)]
            self._queues[signal] = deque(parcel for parcel in queue if self._kept(parcel))
            self._queued -= sum(len(parcel.batch.body) for parcel in waiting)
            for parcel in waiting:
                self._fail(parcel, why)

    def _kept(self, parcel: Parcel) -> bool:
        """Does it wait in memory for better days, the spool having no place for it?"""
        return parcel.keep and not (parcel.stowable and self._spool is not None and self._spool.usable)

    def _not_now(self, signal: Signal) -> RetryLater | Hold:
        if self._retry.looped:
            return Hold(self._retry.why, looped=True)
        held = self._holds.signals.get(signal)
        by = held if held is not None and self._retry.state is UpstreamState.OK else self._retry
        return RetryLater(max(0.0, by.until - self._clock.monotonic()), by.why)

    # The spool

    def stow(self, parcel: Parcel) -> None:
        """Write it to the spool, if it has a place there, is not written yet and not done with."""
        spool = self._spool
        if spool is None or not parcel.stowable or parcel.writing or parcel.stowed or parcel.until < 0:
            return
        queue = self._queues[parcel.batch.signal]
        if parcel.flying:
            self.claimed.add(parcel.number)
        elif parcel in queue:
            queue.remove(parcel)
            self._queued -= len(parcel.batch.body)
        parcel.writing = True
        done = spool.write(parcel.number, self.upstream.name, parcel.batch)
        done.add_done_callback(lambda done: self._written(parcel, done.result()))
        if parcel.batch.signal is Signal.METRICS:  # those behind it may not overtake it
            for behind in [behind for behind in queue if behind.stowable]:
                self.stow(behind)

    def _written(self, parcel: Parcel, done: bool) -> None:
        parcel.writing = False
        if parcel.until < 0:  # settled meanwhile
            if not done and self._spool is not None:
                self._spool.release(self.upstream.name, len(parcel.batch.body))
            return
        if done:
            parcel.stowed = True
            self._answer(parcel, Accepted(), alone=False)
            if not parcel.flying:
                self._forget(parcel)
                self.pump()
            return
        self.claimed.discard(parcel.number)
        why = self._spool.why if self._spool else ""
        failed = RetryLater(None, f"not sent, and not written to the spool: {why or 'full'}")
        if parcel.flying:
            self._answer(parcel, failed, alone=True)
        else:
            self._settle(parcel, failed, alone=True)

    def _forget(self, parcel: Parcel) -> None:
        """The spool has it: it leaves memory."""
        parcel.until = -1.0
        self.claimed.discard(parcel.number)
        self.bytes -= len(parcel.batch.body)

    def _pump_backlog(self, spool: Spool) -> None:
        now = self._clock.monotonic()
        if not self._retry.admits(now, len(self._flights)):
            if not self._flights:
                self._wake_at(self._retry.until)
            return
        if self._rows_to_send() <= len(self.claimed):  # the rest is of held signals
            held = self._holds.signals.items()
            waiting = [h.until for s, h in held if spool.rows(self.upstream.name, s) and not self._takes(s)]
            self._wake_at(min(waiting))
            return
        if len(self._flights) >= FLIGHTS:
            return
        self._backlog = self._loop.create_task(self._resend(spool))
        self._backlog.add_done_callback(self._resent)

    def _rows_to_send(self) -> int:
        """Rows in the spool but for those of signals that are held now."""
        name, spool = self.upstream.name, self._spool
        if spool is None or not self._holds.signals:
            return self.waiting
        return sum(spool.rows(name, signal) for signal in Signal if self._takes(signal))

    def _resent(self, task: asyncio.Task[None]) -> None:
        self._backlog = None
        if not task.cancelled() and (error := task.exception()):
            _report("the backlog failed on a bug", error)
        if self.waiting > len(self.claimed):  # it failed, or the spool cannot be read now
            self._wake_at(max(self._retry.until, self._clock.monotonic() + 0.2))

    async def _resend(self, spool: Spool) -> None:
        """Out of the spool, a flight at a time, until nothing is left or the upstream fails."""
        name = self.upstream.name
        idle = 0
        while idle < len(Signal) and self._retry.admits(self._clock.monotonic(), len(self._flights)):
            signal = self._turns[0]
            self._turns.rotate(-1)
            idle += 1
            if not spool.rows(name, signal) or not self._may_resend(signal):
                continue
            began = self._loop.time()
            rows = [r for r in await spool.read(name, signal, self.claimed, LARGEST) if r.id not in self.claimed]
            if not rows or not self._retry.admits(self._clock.monotonic(), len(self._flights)):
                continue
            if not self._may_resend(signal):
                continue
            idle = 0
            parcels = []
            for row in rows:
                parcel = Parcel(row.batch, None, self._clock.monotonic() + PATIENCE, number=row.id, cuts=CUTS)
                parcel.stowed = True
                self.claimed.add(row.id)
                self.bytes += len(row.batch.body)
                parcels.append(parcel)
            size = sum(len(row.batch.body) for row in rows)
            del rows
            flight = self._launch(parcels)
            del parcels
            await asyncio.wait([flight])
            pause = size / BACKLOG - (self._loop.time() - began)
            if pause > 0:
                await asyncio.sleep(pause)

    def _may_resend(self, signal: Signal) -> bool:
        return not (signal is Signal.METRICS and self._metrics_fly) and self._takes(signal)

    # The end

    async def stop(self) -> None:
        """Nothing more is sent; whoever waits is told, or what they sent is written."""
        self.draining = self._stopped = True
        for timer in (self._lingering, self._waking):
            if timer is not None:
                timer.cancel()
        if self._backlog is not None:
            self._backlog.cancel()
        stopping = RetryLater(None, "stopping")
        while self._queued:
            self._fail(self._next(), stopping)
        for flight in self._flights:
            flight.cancel()
        await asyncio.gather(*self._flights, return_exceptions=True)

    # Flights

    def _landed(self, flight: asyncio.Task[None]) -> None:
        self._flights.discard(flight)
        if not flight.cancelled() and (error := flight.exception()):
            _report("a flight failed on a bug", error)
        if self._holds.signals or not self._admits():
            self._clear()
        self.pump()

    async def _fly(self, parcels: list[Parcel]) -> None:
        try:
            await self._deliver(parcels)
        except BaseException:  # cancelled, or a bug: whoever still waits is answered
            for parcel in parcels:
                if parcel.flying:
                    self._fail(parcel, RetryLater(None, "not sent"))
            raise
        finally:
            if parcels[0].batch.signal is Signal.METRICS:
                self._metrics_fly = False

    async def _deliver(self, parcels: list[Parcel]) -> None:
        """Send as one request; in halves when it is refused for what is in it."""
        outcome = await self._send(_joined(parcels), parcels)
        if type(outcome) is Accepted:
            self._arrived(parcels, outcome)
            return
        if isinstance(outcome, Rejected | Split) and len(parcels) > 1:
            half = len(parcels) // 2
            await self._deliver(parcels[:half])
            await self._deliver(parcels[half:])
            return
        if len(parcels) == 1:
            outcome = await self._alone(parcels, parcels[0].batch, outcome)
        elif isinstance(outcome, PartlyAccepted):  # nobody knows whose: below all are counted as accepted
            self._rejections.judge(outcome)
            signal = parcels[0].batch.signal
            rejected = min(outcome.rejected, sum(parcel.batch.items for parcel in parcels))
            self._counters.settle(signal, "rejected", rejected)
            self._counters.settle(signal, "accepted", -rejected)
        for parcel in reversed(parcels) if parcels[0].keep else parcels:
            if isinstance(outcome, RetryLater | Hold):
                if self._kept(parcel) and not self.draining:
                    parcel.flying = False
                    self._requeue(parcel)
                else:
                    self._fail(parcel, outcome)
            else:
                self._settle(parcel, outcome, alone=len(parcels) == 1)

    def _arrived(self, parcels: list[Parcel], outcome: Accepted) -> None:
        """`_settle` for each of them, in short for those that have only been in memory: nearly all."""
        self._rejections.judge(outcome)
        items = 0
        for parcel in parcels:
            if parcel.writing or parcel.stowed or parcel.own or parcel.until < 0:
                self._settle(parcel, outcome, alone=False)
                continue
            parcel.flying = False
            parcel.until = -1.0
            size = len(parcel.batch.body)
            items += parcel.batch.items
            self.bytes -= size
            if parcel.stowable and self._spool is not None:
                self._spool.release(self.upstream.name, size)
            self._answer(parcel, outcome, alone=False)
        self._counters.settle(parcels[0].batch.signal, "accepted", items)

    async def _halved(self, batch: Batch) -> tuple[Batch, Batch] | None:
        if len(batch.body) <= LARGE:
            return halve(batch)
        return await self._loop.run_in_executor(None, halve, batch)  # seconds, when its items are tiny

    async def _alone(self, parcels: list[Parcel], batch: Batch, outcome: Outcome) -> Outcome:
        """What an outcome means for a request that was sent by itself, or in parts where that helps."""
        outcome = await self._in_parts(parcels, batch, outcome)
        if self._spool is None:
            return outcome
        judged = self._rejections.judge(outcome)
        if judged is not outcome:
            self._retry = self._retry.step(judged, self._clock.monotonic(), self._rng.random())
            self.mark()
        return judged

    async def _in_parts(self, parcels: list[Parcel], batch: Batch, outcome: Outcome) -> Outcome:
        """Cut inside where it is too large, and where it is rejected and nobody would leave out what is bad in it."""
        rejected = isinstance(outcome, Rejected) and parcels[0].cuts > 0
        if not (rejected or isinstance(outcome, Split)) or (halves := await self._halved(batch)) is None:
            return outcome
        parcels[0].cuts -= rejected
        outcomes = []
        for half in halves:
            said = await self._in_parts(parcels, half, await self._send(half, parcels))
            if isinstance(said, RetryLater | Hold):
                return said  # all of it again: the upstream may see the first half twice
            outcomes.append((half, said))
        lost = [(half, said) for half, said in outcomes if isinstance(said, Rejected | Split)]
        if len(lost) == len(outcomes):
            return lost[0][1]
        refused = sum(said.rejected for _, said in outcomes if isinstance(said, PartlyAccepted))
        for half, said in lost:
            refused += half.items
            if self._spool is not None and parcels[0].number:
                name = self.upstream.name
                self._spool.quarantine(self._spool.next_id(), name, half, _REFUSED[type(said)], _why(said))
        why = next((_why(said) for _, said in outcomes if not isinstance(said, Accepted)), "")
        return PartlyAccepted(refused, why) if refused else Accepted()

    async def _send(self, batch: Batch, parcels: list[Parcel]) -> Outcome:
        now = self._clock.monotonic()
        if (self._retry.state is not UpstreamState.OK and self._retry.until > now) or not self._takes(batch.signal):
            return self._not_now(
                batch.signal
            )  # the first half of a batch met a failure, or another flight was the trial
        if self._holds.signals:
            self._holds = self._holds.tried(batch.signal, now)
        bounded = [p.until for p in parcels if not p.keep and not p.stowable]
        patience = min(bounded) - now if bounded else None if parcels[0].stowable else PATIENCE
        began = self._loop.time()
        outcome: Outcome
        try:
            if patience is None:  # the sink ends it
                outcome = await self.upstream.sink.send(batch)
            else:
                with self._deadlines.within(max(0.0, patience)):
                    outcome = await self.upstream.sink.send(batch)
        except TimeoutError:
            outcome = RetryLater(None, f"no answer within {PATIENCE:g} s")
        if isinstance(outcome, _TAKEN):
            self.patience.arrived(self._loop.time() - began)
            self._counters.accepted_bytes += len(batch.body)
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
        if self._retry is not HEALTHY or self._holds is not ALL_FLOW or type(outcome) is not Accepted:
            now = self._clock.monotonic()
            self._retry = self._retry.step(outcome, now, self._rng.random())
            self._holds = self._holds.step(signal, outcome, now)
            self.mark()

    # Ends

    def _fail(self, parcel: Parcel, why: RetryLater | Hold) -> None:
        """It did not arrive: it stays in the spool, or goes there, or its producer is told."""
        parcel.flying = False
        if parcel.until < 0:
            return
        if parcel.stowed:
            self._forget(parcel)
        elif parcel.writing:
            self.claimed.discard(parcel.number)  # `_written` forgets it
        elif parcel.stowable and self._spool is not None and self._spool.usable and not _is_looped(why):
            self.stow(parcel)
        else:
            self._settle(parcel, why, alone=True)

    def _settle(self, parcel: Parcel, outcome: Outcome, *, alone: bool) -> None:
        """The parcel is done with: count it and tell whoever waits."""
        parcel.flying = False
        if parcel.until < 0:
            return
        parcel.until = -1.0
        batch = parcel.batch
        self.bytes -= len(batch.body)
        if parcel.own:
            self._own -= len(batch.body)
        match outcome:
            case Accepted():
                self._counters.settle(batch.signal, "accepted", batch.items)
            case PartlyAccepted(rejected, _) if alone:
                rejected = min(rejected, batch.items)
                self._counters.settle(batch.signal, "rejected", rejected)
                self._counters.settle(batch.signal, "accepted", batch.items - rejected)
            case PartlyAccepted():
                self._counters.settle(batch.signal, "accepted", batch.items)
            case Rejected() | Split():
                self._counters.settle(batch.signal, _REFUSED[type(outcome)], batch.items)
            case RetryLater() | Hold():
                reason = "evicted" if parcel.keep else "dropped" if parcel.own else "refused"
                self._counters.settle(batch.signal, reason, batch.items)
        if parcel.stowable and self._spool is not None:
            self._leave(parcel, outcome, self._spool)
        self._answer(parcel, outcome, alone)

    def _leave(self, parcel: Parcel, outcome: Outcome, spool: Spool) -> None:
        """Out of the spool, whether it has a row there, will have one or only a place."""
        written = parcel.stowed or parcel.writing
        if type(outcome) in _REFUSED:
            spool.quarantine(parcel.number, self.upstream.name, parcel.batch, _REFUSED[type(outcome)], _why(outcome))
        elif written:
            spool.delete(parcel.number)
        if not written:
            spool.release(self.upstream.name, len(parcel.batch.body))
        self.claimed.discard(parcel.number)

    def _answer(self, parcel: Parcel, outcome: Outcome, alone: bool) -> None:
        request, parcel.request = parcel.request, None
        if request is not None:
            request.settle(outcome, alone, self._rng)


def _joined(parcels: list[Parcel]) -> Batch:
    first = parcels[0].batch
    if len(parcels) == 1:
        return first
    batches = [parcel.batch for parcel in parcels]
    body = b"".join([b.body for b in batches])
    longest = max(batches, key=_hops)
    return Batch(first.signal, body, sum([b.items for b in batches]), longest.hops, longest.via)


def _hops(batch: Batch) -> int:
    return batch.hops


def _is_looped(outcome: Outcome) -> bool:
    return isinstance(outcome, Hold) and outcome.looped


def _why(outcome: Outcome) -> str:
    match outcome:
        case Rejected(why) | Split(why) | RetryLater(_, why) | Hold(why) | PartlyAccepted(_, why):
            return why
    return ""


def _report(message: str, error: BaseException | None) -> None:
    asyncio.get_running_loop().call_exception_handler({"message": message, "exception": error})
