"""From packed records to the relay, and back to the streams: what is settled, in order.

::

    Stream ──> parts … parts ──(FULL bytes, or LINGER s)──> Parcel ──> take ──> OK: settled
                                                                        └─> refused: again, later, for ever

Parcels are settled in the order in which they were cut, whatever the order of their answers: a stream's mark never passes a line
that is not settled, so a restart from it loses nothing. `MOST` parcels may wait for their answer; then `room` waits, and with it
every source: files are the buffer. What an upstream rejects (400, 413) counts as settled, for reading it again would change
nothing: the relay has cut it down to what cannot be accepted, counts that as lost, and its spool has put it aside.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from typing import Protocol

from ..io.clock import Clock
from ..logic.otlp_http import Reply, decode_status, refusal
from ..logic.otlp_logs import Frame
from ..model.signals import Batch, Signal

FULL = 512 << 10
LINGER = 0.2
MOST = 4
LONGEST = 5.0
"""Seconds between two offers of a parcel that is refused."""


class Settles(Protocol):
    """A stream as the delivery sees it."""

    def settled(self, mark: int) -> None:
        """Everything up to `mark` has its place behind us."""


class _Parcel:
    __slots__ = ("done", "items", "marks")

    def __init__(self, marks: dict[Settles, int], items: int) -> None:
        self.marks = marks
        self.items = items
        self.done = False


Take = Callable[[Batch], "asyncio.Future[Reply]"]


class Delivery:
    """`put` records, `room` before more of them; `flush` and `close` in the end."""

    def __init__(self, take: Take | None, frame: Frame, clock: Clock, rng: random.Random) -> None:
        """Without `take` nothing leaves: what is put counts as settled at once."""
        self._take = take
        self._frame = frame
        self._clock = clock
        self._rng = rng
        self._parts: list[bytes] = []
        self._size = 0
        self._items = 0
        self._marks: dict[Settles, int] = {}
        self._outstanding: deque[_Parcel] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._changed = asyncio.Event()
        self.fed = asyncio.Event()
        """Set by each `put`, for whoever has to look after what is fed."""
        self.changes = 0
        """How often something was put or settled."""
        self.why = ""
        """Why the last offer was refused; empty when all is well."""
        self.full_since: float | None = None
        """By the monotonic clock, since when there is no room; None while there is."""

    def put(self, stream: Settles, parts: list[bytes], size: int, items: int, mark: int) -> None:
        """Records of `stream`, packed; with them everything up to `mark` is dealt with. `parts` may be empty."""
        self._marks[stream] = mark
        self.changes += 1
        self.fed.set()
        if size:
            self._parts += parts
            self._size += size
            self._items += items
        if self._size >= FULL:
            self._cut()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LINGER, self._cut)

    @property
    def is_idle(self) -> bool:
        """Is everything settled?"""
        return not self._outstanding and not self._marks

    @property
    def unsettled(self) -> int:
        """Records that are not known to have arrived, where they are to arrive anywhere."""
        return sum(parcel.items for parcel in self._outstanding if not parcel.done) + self._items if self._take else 0

    async def room(self) -> None:
        while self.full_since is not None:
            self._changed.clear()
            await self._changed.wait()

    async def flush(self) -> None:
        """Send what waits, and return when everything is settled."""
        self._cut()
        while self._outstanding:
            self._changed.clear()
            await self._changed.wait()

    async def close(self) -> None:
        """What is not settled by now is read again after the next start."""
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _cut(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._marks:
            return
        parcel = _Parcel(self._marks, self._items)
        self._outstanding.append(parcel)
        if len(self._outstanding) >= MOST and self.full_since is None:
            self.full_since = self._clock.monotonic()
        parts, size, items = self._parts, self._size, self._items
        self._parts, self._size, self._items, self._marks = [], 0, 0, {}
        if self._take is None or not size:
            parcel.done = True
            self._settle()
            return
        batch = Batch(Signal.LOGS, self._frame.around(parts, size), items)
        task = asyncio.get_running_loop().create_task(self._deliver(self._take, batch, parcel))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, take: Take, batch: Batch, parcel: _Parcel) -> None:
        """Offers it until it is accepted, or rejected for good. Each offer that is refused may have reached one of several
        upstreams, so offers become rarer."""
        failures = 0
        while True:
            try:
                reply = await take(batch)
            except Exception as error:  # noqa: BLE001 - a bug must not hold logs up without a word
                reply = refusal(503, f"broken: {type(error).__name__}: {error}")
            if reply.status == 200:
                self.why = ""
                break
            self.why = decode_status(reply.body)[1] or f"status {reply.status}"
            if reply.status in (400, 413):
                break
            wait = min(LONGEST, max(reply.retry_after or 0, 2.0 ** min(failures, 4)))
            failures += 1
            await self._clock.sleep(wait * (0.5 + self._rng.random() / 2))
        parcel.done = True
        self._settle()

    def _settle(self) -> None:
        self.changes += 1
        waiting = self._outstanding
        while waiting and waiting[0].done:
            for stream, mark in waiting.popleft().marks.items():
                stream.settled(mark)
        if len(waiting) < MOST:
            self.full_since = None
        self._changed.set()
