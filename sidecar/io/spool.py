"""The spool as the event loop sees it: `write`, `delete`, `read` are put to one thread, which alone calls SQLite.

What a caller can rely on:

- Calls take effect in the order made. A future of `write` that is true means: committed. Everything that waits when the thread
  looks is committed at once (group commit), and a small row waits some milliseconds for others, so that a thousand small
  requests cost a few transactions.
- Nothing here raises, and nothing here stops for good. While the disk is full, read-only or broken, `why` says so, `usable` is
  false, writes fail at once and deletes are remembered; once a second the thread tries again, by a real write.
- `reserve` is answered on the loop, from numbers: pages in use as they were last measured, and at their worst cost the rows that
  are being written or have a place promised that they may never need. A promise that was given is kept unless the disk itself
  fails.
- An idle spool costs nothing: the thread waits without a timeout.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from enum import StrEnum
from typing import Annotated

import msgspec

from ..logic.scalars import NOT_ABSOLUTE, Bytes, Rule, is_absolute
from ..model.counters import SpoolCounters
from ..model.signals import Batch, Signal
from ..model.spool import Key, Row, Totals
from .spool_operations import Delete, Evict, Flush, Move, News, Operation, Read, Result, Write
from .spool_rows import cost_of, left_by

SMALLEST = 8 << 20
PATIENCE = 20.0
"""Seconds that anybody waits for the disk: a start, a stop, a producer."""
LATE = "the disk does not answer"


class OnFull(StrEnum):
    REFUSE = "refuse"
    EVICT_OLDEST = "evict_oldest"


class Fsync(StrEnum):
    NORMAL = "normal"
    FULL = "full"


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Where telemetry waits on disk for an upstream, and how much of it. Without `path` there is none."""

    path: Annotated[str, Rule(is_absolute, NOT_ABSOLUTE, "a directory such as /var/lib/outrider")]
    max_bytes: Annotated[Bytes, Rule(lambda n: n >= SMALLEST, "is too small", "at least 8MiB")] = 256 << 20
    on_full: OnFull = OnFull.REFUSE
    fsync: Fsync = Fsync.NORMAL


class _Evictions:
    """Of one upstream, in bytes since the spool was opened."""

    def __init__(self) -> None:
        self.asked = 0
        self.freed = 0
        self.waiting = 0
        """Evictions that are not answered yet."""

    @property
    def pending(self) -> int:
        """What will be free before anything is written that is asked for from now on."""
        return max(0, self.asked - self.freed)

    def answered(self, freed: int) -> None:
        self.freed += freed
        self.waiting -= 1
        if not self.waiting:
            self.asked = self.freed


def _cost_of(rows: int, size: int) -> int:
    """`cost_of`, at most, for rows with so many bytes in all."""
    return min(2 * size, size + 4096 * rows) + 400 * rows


def _density(news: News) -> float:
    """What its rows really take of their `cost_of`: at least their bodies, and what was measured. More than all of it where
    they were left on pages that others have gone from."""
    reckoned = sum(_cost_of(rows, size) for rows, size in news.totals.values())
    least = sum(rows + size for rows, size in news.totals.values())
    return max(least, news.used_bytes - news.quarantined_bytes) / reckoned if reckoned else 1.0


class Spool:
    """`await open(upstreams)` once, `await close()` once; between them everything may be called from the loop."""

    def __init__(self, config: Config, now: Callable[[], float]) -> None:
        """`now` is unix seconds; it is called from the thread too."""
        self.config = config
        self.counters = SpoolCounters()
        self.why = "not open"
        self.disk_bytes = 0
        self.on_change: Callable[[], None] = lambda: None
        """Called on the loop after rows have come or gone."""
        self.on_loss: Callable[[Key, str], None] = lambda key, reason: None
        """Called on the loop with each row that will not arrive, evicted or corrupt, whose upstream `open` was told of."""
        self._now = now
        self._quota = 0
        self._row_bytes = 0
        self._totals: Totals = {}
        self._density = 1.0
        """What a committed row really takes of its `cost_of`, on average."""
        self._oldest: Mapping[str, float] = {}
        self._writing: Totals = {}
        self._free = 0
        """Bytes for rows that are neither taken nor reserved."""
        self._least_aside = 0
        self._aside = 0
        """Bytes that are set apart for the quarantine: its share, or what it has where that is more."""
        self._own: dict[str, int] = {}
        """The same of each upstream's quota, once some of it was used."""
        self.rows_in_all = 0
        """Rows that wait or are being written, for every upstream."""
        self._waiting: dict[str, int] = {}
        self._taken: dict[str, int] = {}
        self._evictions: dict[str, _Evictions] = {}
        self._evictions_asked = self._evictions_answered = 0
        self._settled: dict[int, int] = {}
        """Rows that were deleted or quarantined while evictions were not answered, and the last of these: it loses nothing."""
        self._last = 0
        self._operations: queue.SimpleQueue[Operation] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._unanswered: asyncio.Future[bool] | None = None

    async def open(self, upstreams: Sequence[str]) -> None:
        """Start the thread; the rows of the last run are known when this returns, unless the disk does not answer. `upstreams`
        share the room equally."""
        from .spool_file import SpoolFile, reserve_of  # SQLite is for those who have a spool
        from .spool_thread import SpoolThread

        config = self.config
        budget = config.max_bytes - reserve_of(config.max_bytes)
        self._row_bytes = reserve_of(config.max_bytes) * 7 // 8
        self._aside = self._least_aside = budget // 16
        self._free = budget - self._aside
        self._quota = self._free // max(1, len(upstreams))
        self._loop = asyncio.get_running_loop()
        full = config.fsync is Fsync.FULL
        worker = SpoolThread(
            lambda: SpoolFile(config.path, config.max_bytes, full_sync=full, now=self._now),
            self._operations,
            self._from_thread,
        )
        self._thread = threading.Thread(target=worker.run, name="spool", daemon=True)
        self._thread.start()
        await self.flush()

    @property
    def usable(self) -> bool:
        return not self.why

    def next_id(self) -> int:
        """The next place in the order of arrival."""
        self._last += 1
        return self._last

    def rows(self, upstream: str, signal: Signal | None = None) -> int:
        """Rows that wait or are being written."""
        if signal is None:
            return self._waiting.get(upstream, 0)
        return sum(totals.get((upstream, signal), (0, 0))[0] for totals in (self._totals, self._writing))

    def bytes(self, upstream: str) -> int:
        return sum(
            totals.get((upstream, signal), (0, 0))[1] for signal in Signal for totals in (self._totals, self._writing)
        )

    def oldest(self, upstream: str) -> float | None:
        """When the oldest row was written, unix seconds; at most a group commit late."""
        return self._oldest.get(upstream)

    def names(self) -> set[str]:
        """Every upstream that has rows, also those that are configured no longer."""
        return {upstream for upstream, _ in self._totals}

    def _tally(self) -> None:
        """Once for each change of rows, because `reserve` is asked with every request."""
        before = self._taken
        self._waiting, self._taken = {}, {}
        for totals, density in ((self._totals, self._density), (self._writing, 1.0)):
            for (name, _), (rows, size) in totals.items():
                self._waiting[name] = self._waiting.get(name, 0) + rows
                self._taken[name] = self._taken.get(name, 0) + int(_cost_of(rows, size) * density)
        for name in before.keys() | self._taken.keys():
            self._reserve(name, self._taken.get(name, 0) - before.get(name, 0))
        self.rows_in_all = sum(self._waiting.values())

    def room(self, upstream: str) -> int:
        """Bytes that `reserve` may still give."""
        return min(self._room_of_all(), self._room_of(upstream))

    def _room_of_all(self) -> int:
        return self._free + sum(eviction.pending for eviction in self._evictions.values())

    def _room_of(self, upstream: str) -> int:
        """Of its quota. Less than nothing where others have gone from its pages, which are all its own since."""
        evictions = self._evictions.get(upstream)
        return self._own.get(upstream, self._quota) + (evictions.pending if evictions else 0)

    def share(self, upstream: str, signals: Collection[Signal], size: int) -> float:
        """The part of the upstream's quota that rows of these signals will have with a body of this size."""
        had = sum(_cost_of(*self._totals.get((upstream, signal), (0, 0))) for signal in signals) * self._density
        had += sum(_cost_of(*self._writing.get((upstream, signal), (0, 0))) for signal in signals)
        return (had + cost_of(size)) / self._quota

    def fits(self, size: int) -> bool:
        """Can a body of this size be written at all, now?"""
        return not self.why and size <= self._row_bytes and cost_of(size) <= self._quota

    def reserve(self, upstream: str, size: int, skip: Collection[int] = (), *, evict: bool = False) -> bool:
        """A place for a body. Where there is none and the oldest may go (`evict`, or by configuration), the oldest goes, but for
        `skip`."""
        cost = cost_of(size)
        own = self._own.get(upstream, self._quota)
        if cost <= own and cost <= self._free:
            self._own[upstream] = own - cost
            self._free -= cost
            return True
        missing = cost - self.room(upstream)
        if missing > 0:
            if not (evict or self.config.on_full is OnFull.EVICT_OLDEST):
                return False
            # Of what is beyond its quota not all goes at once: that would be nearly all that it has.
            is_beyond = self._room_of(upstream) < 0
            least = max(cost, cost - self._room_of_all()) if is_beyond else max(missing, 64 << 10)
            if not self._evict(upstream, least, skip):
                return False
        self._reserve(upstream, cost)
        return True

    def lacks(self, upstream: str, size: int) -> int:
        """Bytes that keep a body from a place that the upstream's own quota has."""
        cost = cost_of(size)
        return max(0, cost - self._room_of_all()) if cost <= self._room_of(upstream) else 0

    def shrink(self, upstream: str, size: int, skip: Collection[int]) -> None:
        """The oldest go, but for `skip`, until so many bytes are free or the upstream has no more than its quota."""
        beyond = min(size, -self._room_of(upstream))
        if beyond > 0:
            self._evict(upstream, beyond, skip)

    def _evict(self, upstream: str, size: int, skip: Collection[int]) -> bool:
        """False: there is nothing that may go."""
        if self.rows(upstream) <= len(skip):
            return False
        evictions = self._evictions.setdefault(upstream, _Evictions())
        evictions.asked = max(evictions.asked, evictions.freed) + size
        evictions.waiting += 1
        self._evictions_asked += 1
        self._operations.put(Evict(upstream, evictions.asked, frozenset(skip)))
        return True

    def _reserve(self, upstream: str, cost: int) -> None:
        self._own[upstream] = self._own.get(upstream, self._quota) - cost
        self._free -= cost

    def release(self, upstream: str, size: int) -> None:
        """The place is not needed."""
        self._reserve(upstream, -cost_of(size))

    def write(self, number: int, upstream: str, batch: Batch) -> asyncio.Future[bool]:
        """Into the reserved place; true when it is committed. When it is not, the place is reserved as before."""
        done: asyncio.Future[bool] = self._loop.create_future()
        if not self.usable:
            done.set_result(False)
            return done
        self.release(upstream, len(batch.body))
        self._count_writing(upstream, batch, 1)
        self._tally()
        self._operations.put(Write(Row(number, upstream, batch, self._now()), done))
        return done

    def _count_writing(self, upstream: str, batch: Batch, sign: int) -> None:
        key = (upstream, batch.signal)
        rows, size = self._writing.get(key, (0, 0))
        self._writing[key] = (rows + sign, size + sign * len(batch.body))

    def delete(self, number: int) -> None:
        """It has arrived. What is not there is no error."""
        self._settles(number)
        self._operations.put(Delete(number))

    def quarantine(self, number: int, upstream: str, batch: Batch, reason: str, why: str) -> None:
        """It will never arrive: keep it to be looked at, with `why`. It need not be in the queue. `reason` is a word for the
        counter."""
        SpoolCounters.add(self.counters.quarantined, (upstream, reason))
        self._settles(number)
        self._operations.put(Move(Row(number, upstream, batch, self._now()), why))

    def _settles(self, number: int) -> None:
        if self._evictions_answered < self._evictions_asked:
            self._settled[number] = self._evictions_asked

    def read(self, upstream: str, signal: Signal, skip: Collection[int], limit: int) -> asyncio.Future[list[Row]]:
        """The oldest rows but for `skip`, at most `limit` bytes of bodies unless the first alone has more."""
        done: asyncio.Future[list[Row]] = self._loop.create_future()
        self._operations.put(Read(upstream, signal, frozenset(skip), limit, done))
        return done

    async def flush(self) -> None:
        """Everything asked for so far has been tried, unless the disk does not answer."""
        if self._thread is None or not self._thread.is_alive() or self._is_stuck:
            return
        done: asyncio.Future[bool] = self._loop.create_future()
        self._operations.put(Flush(done))
        await asyncio.wait([done], timeout=PATIENCE)
        if not done.done():
            self._unanswered = done
            self.late()

    def late(self) -> None:
        """Somebody has waited too long: nothing is written until the thread has answered."""
        self.why = LATE

    @property
    def _is_stuck(self) -> bool:
        return self._unanswered is not None and not self._unanswered.done()

    async def close(self) -> None:
        if self._thread is None:
            return
        await self.flush()
        self._operations.put(None)
        if not self._is_stuck:  # else it ends with the process
            await asyncio.to_thread(self._thread.join)
        self._thread = None

    def _from_thread(self, results: list[Result], news: News) -> bool:
        if self._loop.is_closed():
            return False
        self._loop.call_soon_threadsafe(self._report, results, news)
        return True

    def _report(self, results: list[Result], news: News) -> None:
        self._totals, self.disk_bytes, self.why = news.totals, news.disk_bytes, news.why
        self._density = _density(news)
        aside = max(self._least_aside, news.quarantined_bytes)
        self._free += self._aside - aside
        self._aside = aside
        self._oldest = news.oldest
        self._last = max(self._last, news.last_id)
        for reason in news.errors:
            SpoolCounters.add(self.counters.errors, reason)
        for key in news.corrupt:
            SpoolCounters.add(self.counters.quarantined, (key.upstream, "corrupt"))
            self.on_loss(key, "corrupt")
        for upstream, rows in news.unreadable.items():
            SpoolCounters.add(self.counters.quarantined, (upstream, "unreadable"), rows)
        for operation, _ in results:
            if isinstance(operation, Write):
                self._count_writing(operation.row.upstream, operation.row.batch, -1)
        self._tally()
        for operation, result in results:
            self._answer(operation, result)
        self.on_change()

    def _answer(self, operation: Operation, result: object) -> None:
        match operation:
            case Write(row, done):
                if result:
                    SpoolCounters.add(self.counters.written, row.upstream)
                else:
                    self._reserve(row.upstream, cost_of(len(row.batch.body)))
                if not done.done():
                    done.set_result(bool(result))
            case Read(done=read):
                if not read.done():
                    read.set_result(result if isinstance(result, list) else [])
            case Evict(upstream):
                gone: list[Key] = result if isinstance(result, list) else []
                self._evictions[upstream].answered(sum(left_by(key.size) for key in gone))
                lost = [key for key in gone if key.id not in self._settled]
                SpoolCounters.add(self.counters.evicted, upstream, len(lost))
                for key in lost:
                    self.on_loss(key, "evicted")
                self._evictions_answered += 1
                while self._settled and next(iter(self._settled.values())) <= self._evictions_answered:
                    del self._settled[next(iter(self._settled))]
            case Flush(flushed):
                if not flushed.done():
                    flushed.set_result(True)
