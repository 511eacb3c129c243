"""The thread that alone calls SQLite: it takes what waits, commits it at once, and says what came of it.

While the file cannot be written (`_trouble`), what has arrived meanwhile is remembered (`_dead`): it is not read again, and
leaves the file when that is possible. A trial a second is a real write.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from typing import TypeVar

from ..model.spool import Key, Row, Totals
from .spool_errors import Corrupt, Full, Unusable
from .spool_file import SpoolFile
from .spool_operations import Change, Delete, Evict, Move, News, Operation, Read, Result, Write, size_of
from .spool_rows import left_by

AGAIN = 1.0
"""Seconds between trials while nothing can be written."""
LINGER = 0.005
"""Seconds that a small row waits for others, to be committed with them."""
SMALL = 64 << 10

Found = TypeVar("Found")


class SpoolThread:
    """`run` is the thread's target; it ends with the operation None."""

    def __init__(
        self,
        opened: Callable[[], SpoolFile],
        operations: queue.SimpleQueue[Operation],
        report: Callable[[list[Result], News], bool],
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        """`report` is called in the thread; false: nobody listens any more."""
        self._opened = opened
        self._operations = operations
        self._report = report
        self._wait = wait
        self._file: SpoolFile | None = None
        self._dead: set[int] = set()
        self._trouble = "not open"
        self._said = ""
        self._told: Totals = {}
        self._used = 0
        self._quarantined = 0
        self._last_id = 0
        self._freed: dict[str, int] = {}
        self._errors: list[str] = []
        self._corrupt: list[Key] = []
        self._unreadable: dict[str, int] = {}

    def run(self) -> None:
        while True:
            operations = self._gather()
            closing = None in operations
            try:
                listening = self._turn([operation for operation in operations if operation is not None])
            except Exception as error:  # noqa: BLE001 - a bug of ours may not leave anybody waiting
                self._trouble = f"{type(error).__name__}: {error}"
                news = News(dict(self._told), self._used, self._quarantined, {}, 0, self._trouble, 0, ["bug"])
                listening = self._report([(operation, None) for operation in operations], news)
            if closing or not listening:
                break
        if self._file is not None:
            self._file.close()

    def _gather(self) -> list[Operation]:
        """Everything that waits; blocks until there is something, or until it is time to try again."""
        try:
            found = [self._operations.get(timeout=AGAIN if self._trouble or self._dead else None)]
        except queue.Empty:
            return []
        if isinstance(found[0], Write) and size_of(found[0]) < SMALL:
            self._wait(LINGER)
        size = 0
        most = self._file.group_bytes if self._file else 1 << 20
        while size < most and len(found) < 4096:
            try:
                more = self._operations.get_nowait()
            except queue.Empty:
                break
            found.append(more)
            size += size_of(more)
        return found

    def _turn(self, operations: list[Operation]) -> bool:
        if self._trouble or self._dead:
            self._recover()
        results: list[Result] = []
        changes: list[Change] = []
        for operation in operations:
            if isinstance(operation, Write | Delete | Move):
                changes.append(operation)
                continue
            results += self._change(changes)
            changes = []
            results.append((operation, self._do(operation)))
        results += self._change(changes)
        nothing: dict[str, float] = {}
        oldest = self._guarded(self._file.oldest, nothing) if self._file else nothing
        totals = dict(self._file.totals) if self._file else {}
        met = self._errors or self._corrupt or self._unreadable
        if not (results or met or self._trouble != self._said or totals != self._told):
            return True
        disk = 0
        if self._file:
            self._used = self._guarded(self._file.used_bytes, self._used)
            self._quarantined = self._file.quarantined_bytes
            disk = self._file.disk_bytes()
        unreadable = dict(self._unreadable)
        used, aside = self._used, self._quarantined
        news = News(
            totals, used, aside, oldest, disk, self._trouble, self._last_id, self._errors, self._corrupt, unreadable
        )
        self._said, self._told, self._last_id = self._trouble, totals, 0
        self._errors, self._corrupt = [], []
        self._unreadable.clear()
        return self._report(results, news)

    def _change(self, changes: list[Change]) -> list[Result]:
        """In one transaction; one by one where that fails, so that one row does not take the others with it."""
        if not changes:
            return []
        if self._apply(changes):
            return [(change, True) for change in changes]
        if len(changes) == 1 or self._trouble:
            self._dead |= {change.id for change in changes if isinstance(change, Delete)}
            self._dead |= {change.row.id for change in changes if isinstance(change, Move)}
            return [(change, False) for change in changes]
        return [result for change in changes for result in self._change([change])]

    def _apply(self, changes: list[Change]) -> bool:
        file = self._file
        if file is None or self._trouble:
            return False
        deletes = [change.id for change in changes if isinstance(change, Delete)]
        gone = set(deletes) | {change.row.id for change in changes if isinstance(change, Move)}
        writes = [c.row for c in changes if isinstance(c, Write) and c.row.id not in gone]
        moves = [(change.row, change.reason) for change in changes if isinstance(change, Move)]
        for _ in range(2):
            try:
                file.apply(writes, deletes, moves)
            except Corrupt as error:
                if not self._rescue(error):
                    return False
                continue
            except Full:
                self._errors.append("full")
                return False
            except Unusable as error:
                self._fail(error)
                return False
            return True
        return False

    def _do(self, operation: Operation) -> object:
        file = self._file
        match operation:
            case Read(upstream, signal, skip, limit) if file is not None:
                nothing: tuple[list[Row], list[Key]] = ([], [])
                rows, corrupt = self._guarded(lambda: file.read(upstream, signal, skip | self._dead, limit), nothing)
                self._corrupt += corrupt
                if not rows and not corrupt and not skip and not self._dead:
                    self._guarded(file.recount, None)
                return rows
            case Evict(upstream, size, skip) if file is not None:
                return self._evict(file, upstream, size, skip)
        return None

    def _evict(self, file: SpoolFile, upstream: str, size: int, skip: frozenset[int]) -> list[Key]:
        """Rows go as a whole, so some space is left over, and the next eviction has the use of it."""
        freed = self._freed.get(upstream, 0)
        gone: list[Key] = []
        if freed < size:
            gone = self._guarded(lambda: file.evict(upstream, size - freed, skip), gone)
            self._freed[upstream] = freed + sum(left_by(key.size) for key in gone)
        return gone

    def _guarded(self, work: Callable[[], Found], otherwise: Found) -> Found:
        try:
            return work()
        except Corrupt as error:
            self._rescue(error)
        except Full:
            self._errors.append("full")
        except Unusable as error:
            self._fail(error)
        return otherwise

    def _fail(self, error: Exception) -> None:
        self._trouble = str(error) or type(error).__name__
        self._errors.append(getattr(error, "reason", "other"))

    def _rescue(self, error: Exception) -> bool:
        """The file is broken: another one, with what can be read of it. False: that failed too."""
        self._errors.append("corrupt")
        if self._file is not None:
            try:
                self._lose(self._file.rescue())
                return True
            except (Corrupt, Unusable) as again:
                error = again
        self._fail(error)
        return False

    def _lose(self, unreadable: dict[str, int]) -> None:
        for upstream, rows in unreadable.items():
            self._unreadable[upstream] = self._unreadable.get(upstream, 0) + rows

    def _open(self) -> None:
        try:
            file = self._opened()
        except (Corrupt, Unusable) as error:
            self._fail(error)
            return
        self._file, self._trouble, self._last_id = file, "", file.last_id
        self._errors += file.found_broken
        self._lose(file.lost)

    def _recover(self) -> None:
        """Try again by writing."""
        file = self._file
        if file is None:
            self._open()
            return
        self._trouble = ""
        self._guarded(file.probe, None)
        if self._trouble and self._dead:
            self._guarded(lambda: self._renew(file), None)
        if self._dead:
            dead, self._dead = self._dead, set()
            if not self._apply([Delete(number) for number in dead]):
                self._dead |= dead

    def _renew(self, file: SpoolFile) -> None:
        """Nothing can be written, but if every row has arrived, the files may go."""
        if file.holds_only(self._dead):
            file.start_afresh()
            file.probe()
            self._dead = set()
            self._trouble = ""
