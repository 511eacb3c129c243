"""The spool as the event loop sees it: `write`, `delete`, `read` are put to one thread, which alone calls SQLite.

What a caller can rely on:

- Calls take effect in the order made. A future of `write` that is true means: committed. Everything that waits when the thread
  looks is committed at once (group commit), so that a thousand small requests cost a few transactions.
- Nothing here raises, and nothing here stops for good. While the disk is full, read-only or broken, `why` says so, `usable` is
  false, writes fail at once and deletes are remembered; once a second the thread tries again, by a real write.
- `reserve` is answered on the loop, from numbers: bytes of rows, bytes being written, and bytes that have a place promised but
  may never need one. A promise that was given is kept unless the disk itself fails.
- An idle spool costs nothing: the thread waits without a timeout.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Collection, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from ..logic.scalars import Bytes, show_bytes
from ..model.counters import SpoolCounters
from ..model.signals import Batch, Signal
from ..model.spool import Key, Row, Totals

if TYPE_CHECKING:
    from .spool_file import SpoolFile

AGAIN = 1.0
"""Seconds between trials while nothing can be written."""
SMALLEST = 8 << 20


class OnFull(StrEnum):
    REFUSE = "refuse"
    EVICT_OLDEST = "evict_oldest"


class Fsync(StrEnum):
    NORMAL = "normal"
    FULL = "full"


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Where telemetry waits on disk for an upstream, and how much of it. Without `path` there is none."""

    path: str
    max_bytes: Bytes = 256 << 20
    on_full: OnFull = OnFull.REFUSE
    fsync: Fsync = Fsync.NORMAL

    def problems(self) -> list[tuple[str, str, str]]:
        bad = []
        if not self.path.startswith("/") or "\0" in self.path:
            bad.append(("path", f'"{self.path}" is not an absolute path', "a directory such as /var/lib/outrider"))
        if self.max_bytes < SMALLEST:
            bad.append(("max_bytes", f"{show_bytes(self.max_bytes)} is too small", "at least 8MiB"))
        return bad


def cost_of(size: int) -> int:
    """What a body takes on disk at most: SQLite's pages are 4 KiB, and two small rows may not fit into one."""
    return min(2 * size, size + 4096) + 400


class _Write(msgspec.Struct, frozen=True):
    row: Row
    done: asyncio.Future[bool]


class _Delete(msgspec.Struct, frozen=True):
    id: int


class _Move(msgspec.Struct, frozen=True):
    row: Row
    reason: str


class _Read(msgspec.Struct, frozen=True):
    upstream: str
    signal: Signal
    skip: frozenset[int]
    limit: int
    done: asyncio.Future[list[Row]]


class _Evict(msgspec.Struct, frozen=True):
    upstream: str
    size: int
    skip: frozenset[int]


class _Flush(msgspec.Struct, frozen=True):
    done: asyncio.Future[bool]


_Operation: TypeAlias = _Write | _Delete | _Move | _Read | _Evict | _Flush | None
_Change: TypeAlias = _Write | _Delete | _Move


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
        self._now = now
        self._quota = 0
        self._budget = 0
        self._row_bytes = 0
        self._totals: Totals = {}
        self._oldest: dict[str, float] = {}
        self._writing: Totals = {}
        self._reserved: dict[str, int] = {}
        self._reserved_in_all = 0
        self._waiting: dict[str, int] = {}
        self._taken: dict[str, int] = {}
        self._taken_in_all = 0
        self._evicting: dict[str, int] = {}
        self._last = 0
        self._operations: queue.SimpleQueue[_Operation] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        # The thread's own
        self._file: SpoolFile | None = None
        self._dead: set[int] = set()
        self._trouble = ""
        self._said = ""
        self._told: Totals = {}
        self._opened_id = 0

    # On the loop

    async def open(self, upstreams: Sequence[str]) -> None:
        """Start the thread; the rows of the last run are known when this returns. `upstreams` share the room equally."""
        from .spool_file import reserve_of

        budget = self.config.max_bytes - reserve_of(self.config.max_bytes)
        self._row_bytes = reserve_of(self.config.max_bytes) * 7 // 8
        self._budget = budget * 15 // 16  # the rest is the quarantine's
        self._quota = self._budget // max(1, len(upstreams))
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)
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
        self._waiting, self._taken = {}, {}
        for totals in (self._totals, self._writing):
            for (name, _), (rows, size) in totals.items():
                self._waiting[name] = self._waiting.get(name, 0) + rows
                cost = min(2 * size, size + 4096 * rows) + 400 * rows
                self._taken[name] = self._taken.get(name, 0) + cost
        self._taken_in_all = sum(self._taken.values())

    def room(self, upstream: str) -> int:
        """Bytes that `reserve` may still give."""
        own = self._quota - self._taken.get(upstream, 0) - self._reserved.get(upstream, 0)
        free = self._budget - self._taken_in_all - self._reserved_in_all
        return (min(free, own)) + self._evicting.get(upstream, 0)

    def fits(self, size: int) -> bool:
        """Can a body of this size be written at all, now?"""
        return self.usable and size <= self._row_bytes and cost_of(size) <= self._quota

    def reserve(self, upstream: str, size: int, skip: Collection[int] = ()) -> bool:
        """A place for a body. Where there is none and the oldest may go, the oldest goes, but for `skip`."""
        cost = cost_of(size)
        missing = cost - self.room(upstream)
        if missing > 0:
            waiting = self.rows(upstream)
            if self.config.on_full is OnFull.REFUSE or not waiting:
                return False
            missing = max(missing, 64 << 10)
            self._evicting[upstream] = self._evicting.get(upstream, 0) + missing
            self._operations.put(_Evict(upstream, missing, frozenset(skip)))
        self._reserve(upstream, cost)
        return True

    def _reserve(self, upstream: str, cost: int) -> None:
        self._reserved[upstream] = self._reserved.get(upstream, 0) + cost
        self._reserved_in_all += cost

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
        self._operations.put(_Write(Row(number, upstream, batch, self._now()), done))
        return done

    def _count_writing(self, upstream: str, batch: Batch, sign: int) -> None:
        key = (upstream, batch.signal)
        rows, size = self._writing.get(key, (0, 0))
        self._writing[key] = (rows + sign, size + sign * len(batch.body))

    def delete(self, number: int) -> None:
        """It has arrived. What is not there is no error."""
        self._operations.put(_Delete(number))

    def quarantine(self, number: int, upstream: str, batch: Batch, reason: str) -> None:
        """It will never arrive: keep it to be looked at. It need not be in the queue."""
        SpoolCounters.add(self.counters.quarantined, upstream)
        self._operations.put(_Move(Row(number, upstream, batch, self._now()), reason))

    def read(self, upstream: str, signal: Signal, skip: Collection[int], limit: int) -> asyncio.Future[list[Row]]:
        """The oldest rows but for `skip`, at most `limit` bytes of bodies unless the first alone has more."""
        done: asyncio.Future[list[Row]] = self._loop.create_future()
        self._operations.put(_Read(upstream, signal, frozenset(skip), limit, done))
        return done

    async def flush(self) -> None:
        """Everything asked for so far has been tried."""
        if self._thread is None or not self._thread.is_alive():
            return
        done: asyncio.Future[bool] = self._loop.create_future()
        self._operations.put(_Flush(done))
        await done

    async def close(self) -> None:
        if self._thread is None:
            return
        await self.flush()
        self._operations.put(None)
        await asyncio.to_thread(self._thread.join)
        self._thread = None

    def _report(
        self,
        results: list[tuple[_Operation, object]],
        news: tuple[Totals, dict[str, float], int, str, int],
        errors: list[str],
        corrupt: dict[str, int],
    ) -> None:
        """From the thread: what was done, and how things stand."""
        self._totals, self._oldest, self.disk_bytes, self.why, last = news
        self._last = max(self._last, last)
        for reason in errors:
            SpoolCounters.add(self.counters.errors, reason)
        for upstream, number in corrupt.items():
            SpoolCounters.add(self.counters.quarantined, upstream, number)
        for operation, _ in results:
            if isinstance(operation, _Write):
                self._count_writing(operation.row.upstream, operation.row.batch, -1)
        self._tally()
        for operation, result in results:
            match operation:
                case _Write(row, done):
                    if result:
                        SpoolCounters.add(self.counters.written, row.upstream)
                    else:
                        self._reserve(row.upstream, cost_of(len(row.batch.body)))
                    if not done.done():
                        done.set_result(bool(result))
                case _Read(done=read):
                    if not read.done():
                        read.set_result(result if isinstance(result, list) else [])
                case _Evict(upstream, size):
                    self._evicting[upstream] -= size
                    SpoolCounters.add(self.counters.evicted, upstream, len(result) if isinstance(result, list) else 0)
                case _Flush(flushed):
                    if not flushed.done():
                        flushed.set_result(True)
        self.on_change()

    # In the thread

    def _run(self) -> None:
        self._open_file()
        while True:
            operations = self._gather()
            closing = None in operations
            try:
                self._turn([operation for operation in operations if operation is not None])
            except Exception as error:  # noqa: BLE001 - a bug of ours may not leave anybody waiting
                self._trouble = f"{type(error).__name__}: {error}"
                if self._loop.is_closed():
                    break
                results: list[tuple[_Operation, object]] = [(operation, None) for operation in operations]
                news: tuple[Totals, dict[str, float], int, str, int] = (dict(self._told), {}, 0, self._trouble, 0)
                self._loop.call_soon_threadsafe(self._report, results, news, ["bug"], {})
            if closing:
                break
        if self._file is not None:
            self._file.close()

    def _gather(self) -> list[_Operation]:
        """Everything that waits; blocks until there is something, or until it is time to try again."""
        try:
            found = [self._operations.get(timeout=AGAIN if self._trouble or self._dead else None)]
        except queue.Empty:
            return []
        size = 0
        most = self._file.group_bytes if self._file else 1 << 20
        while size < most and len(found) < 4096:
            try:
                more = self._operations.get_nowait()
            except queue.Empty:
                break
            found.append(more)
            size += len(more.row.batch.body) if isinstance(more, _Write | _Move) else 64
        return found

    def _turn(self, operations: list[_Operation]) -> None:
        errors: list[str] = []
        corrupt: dict[str, int] = {}
        if self._trouble or self._dead:
            self._recover(errors)
        results: list[tuple[_Operation, object]] = []
        changes: list[_Change] = []
        for operation in operations:
            if isinstance(operation, _Write | _Delete | _Move):
                changes.append(operation)
                continue
            results += self._change(changes, errors)
            changes = []
            results.append((operation, self._do(operation, errors, corrupt)))
        results += self._change(changes, errors)
        file = self._file
        oldest: dict[str, float] = {}
        totals: Totals = {}
        disk = last = 0
        if file is not None:
            totals, disk = dict(file.totals), file.disk_bytes()
            last, self._opened_id = self._opened_id, 0
            oldest = self._guarded(file.oldest, {}, errors)
        news = (totals, oldest, disk, self._trouble, last)
        if results or errors or corrupt or self._trouble != self._said or totals != self._told:
            self._said, self._told = self._trouble, totals
            self._loop.call_soon_threadsafe(self._report, results, news, errors, corrupt)

    def _change(self, changes: list[_Change], errors: list[str]) -> list[tuple[_Operation, object]]:
        """In one transaction; one by one where that fails, so that one row does not take the others with it."""
        if not changes:
            return []
        if self._apply(changes, errors):
            return [(change, True) for change in changes]
        if len(changes) == 1 or self._trouble:
            self._dead |= {change.id for change in changes if isinstance(change, _Delete)}
            self._dead |= {change.row.id for change in changes if isinstance(change, _Move)}
            return [(change, False) for change in changes]
        return [result for change in changes for result in self._change([change], errors)]

    def _apply(self, changes: list[_Change], errors: list[str]) -> bool:
        from .spool_file import Corrupt, Full, Unusable

        file = self._file
        if file is None or self._trouble:
            return False
        deletes = [change.id for change in changes if isinstance(change, _Delete)]
        gone = set(deletes) | {change.row.id for change in changes if isinstance(change, _Move)}
        writes = [c.row for c in changes if isinstance(c, _Write) and c.row.id not in gone]
        moves = [(change.row, change.reason) for change in changes if isinstance(change, _Move)]
        for _ in range(2):
            try:
                file.apply(writes, deletes, moves)
            except Corrupt as error:
                if not self._rescue(error, errors):
                    return False
                continue
            except Full:
                errors.append("full")
                return False
            except Unusable as error:
                self._fail(error, errors)
                return False
            return True
        return False

    def _do(self, operation: _Operation, errors: list[str], corrupt: dict[str, int]) -> object:
        file = self._file
        match operation:
            case _Read(upstream, signal, skip, limit) if file is not None:
                rows, bad = self._guarded(
                    lambda: file.read(upstream, signal, skip | self._dead, limit), ([], 0), errors
                )
                if bad:
                    corrupt[upstream] = corrupt.get(upstream, 0) + bad
                if not rows and not bad and not skip and not self._dead:
                    self._guarded(file.recount, None, errors)
                return rows
            case _Evict(upstream, size, skip) if file is not None:
                gone: list[Key] = self._guarded(lambda: file.evict(upstream, size, skip), [], errors)
                return gone
        return None

    def _guarded(self, work: Callable[[], object], otherwise: object, errors: list[str]) -> Any:
        from .spool_file import Corrupt, Full, Unusable

        try:
            return work()
        except Corrupt as error:
            self._rescue(error, errors)
        except Full:
            errors.append("full")
        except Unusable as error:
            self._fail(error, errors)
        return otherwise

    def _fail(self, error: Exception, errors: list[str]) -> None:
        self._trouble = str(error) or type(error).__name__
        errors.append(getattr(error, "reason", "other"))

    def _rescue(self, error: Exception, errors: list[str]) -> bool:
        """The file is broken: another one, with what can be read of it. False: that failed too."""
        from .spool_file import Corrupt, Unusable

        errors.append("corrupt")
        if self._file is not None:
            try:
                self._file.rescue()
                return True
            except (Corrupt, Unusable) as again:
                error = again
        self._fail(error, errors)
        return False

    def _renew(self, file: SpoolFile) -> None:
        """Nothing can be written, but if every row has arrived, the files may go."""
        if file.holds_only(self._dead):
            file.start_afresh()
            file.probe()
            self._dead = set()
            self._trouble = ""

    def _open_file(self) -> None:
        from .spool_file import Corrupt, SpoolFile, Unusable

        try:
            self._file = SpoolFile(
                self.config.path, self.config.max_bytes, full_sync=self.config.fsync is Fsync.FULL, now=self._now
            )
            self._opened_id = self._file.last_id()
            self._trouble = ""
        except (Corrupt, Unusable) as error:
            self._trouble = str(error)

    def _recover(self, errors: list[str]) -> None:
        """Try again by writing."""
        if self._file is None:
            self._open_file()
            return
        self._trouble = ""
        self._guarded(self._file.probe, None, errors)
        if self._trouble and self._dead:
            file = self._file
            self._guarded(lambda: self._renew(file), None, errors)
        if self._dead:
            dead, self._dead = self._dead, set()
            if not self._apply([_Delete(number) for number in dead], errors):
                self._dead |= dead
