"""History in SQLite: what happened, and the last standing of everybody, so that a restart forgets neither.

The seam is whole questions (append, a page of events, the last standings, prune), not SQL. One thread of its own runs
them in the order asked; the event loop never calls sqlite3. The queue is bounded: when the disk can't keep up, events
are dropped and counted, because the truth of now is in memory and must not wait for the history.

With a file: WAL and `synchronous=NORMAL`, so that a killed process loses nothing committed, and a power cut at most the
last moments. `user_version` holds the schema's version; a newer file is refused, untouched.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

import msgspec

from sidecar.model.health import State

from .events import Event, EventKind, Restored, Standing

SCHEMA = 1
MAX_QUEUE = 10_000
MAX_EVENTS = 100_000
MAX_AGE = 30 * 86400.0
PATIENCE = 30.0
"""Seconds that a question waits for its answer."""
HELD = 20.0
"""Seconds that another process may hold the file: one that ends, or a backup."""

T = TypeVar("T")

_TABLES = """
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, kind TEXT NOT NULL, service TEXT NOT NULL,
    instance TEXT NOT NULL, check_name TEXT NOT NULL, before TEXT, after TEXT, since REAL, output TEXT NOT NULL
);
CREATE INDEX events_by_service ON events (service, id);
CREATE INDEX events_by_age ON events (at);
CREATE TABLE standings (
    service TEXT NOT NULL, instance TEXT NOT NULL, check_name TEXT NOT NULL, status TEXT NOT NULL, since REAL NOT NULL,
    PRIMARY KEY (service, instance, check_name)
) WITHOUT ROWID;
"""


class StoreError(Exception):
    """The file can't be used: one line that says why."""


class Page(msgspec.Struct, frozen=True):
    """Events, newest first, with their ids; `more` says that there are older ones."""

    events: tuple[tuple[int, Event], ...]
    more: bool


class Store:
    """Opened by the constructor, which waits for the file; `close` writes what is queued and ends the thread."""

    def __init__(
        self, path: str, *, max_queue: int = MAX_QUEUE, max_events: int = MAX_EVENTS, patience: float = PATIENCE
    ) -> None:
        self.dropped = 0
        """Events that were not written: the queue was full, or the disk refused."""
        self.last_error = ""
        self._max_events = max_events
        self._patience = patience
        self._jobs: queue.Queue[Callable[[sqlite3.Connection], None] | None] = queue.Queue(max_queue)
        opened: Future[None] = Future()
        self._thread = threading.Thread(target=self._work, args=(path, opened), name="store", daemon=True)
        self._thread.start()
        opened.result()

    def append(self, events: Sequence[Event]) -> None:
        """Keeps events and the standings that they leave. Never waits."""
        if not events:
            return

        def job(db: sqlite3.Connection) -> None:
            try:
                _append(db, events, self._max_events)
            except sqlite3.Error as error:
                self.dropped += len(events)
                self.last_error = str(error)

        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            self.dropped += len(events)
            self.last_error = "the queue to the disk is full"

    async def page(self, *, service: str | None, before: int | None, limit: int) -> Page:
        """The newest `limit` events, of one service or all, with ids below `before`."""
        return await self._ask(lambda db: _page(db, service, before, limit))

    async def standings(self) -> list[Restored]:
        return await self._ask(_standings)

    async def prune(self, now: float, *, max_age: float = MAX_AGE) -> None:
        """Deletes events beyond the age. Standings stay."""
        await self._ask(lambda db: _prune(db, now - max_age))

    async def close(self) -> None:
        await asyncio.to_thread(self._jobs.put, None)
        await asyncio.to_thread(self._thread.join)

    async def _ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        answer: Future[T] = Future()

        def job(db: sqlite3.Connection) -> None:
            if not answer.set_running_or_notify_cancel():
                return  # nobody waits any more
            try:
                answer.set_result(question(db))
            except sqlite3.Error as error:
                answer.set_exception(StoreError(str(error)))
            except Exception as error:  # noqa: BLE001 - it belongs to who asked; the thread is everybody's
                answer.set_exception(error)

        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            raise StoreError("the queue to the disk is full") from None
        try:
            async with asyncio.timeout(self._patience):
                return await asyncio.wrap_future(answer)
        except TimeoutError:
            raise StoreError(f"no answer from the disk within {self._patience:g} s") from None

    def _work(self, path: str, opened: Future[None]) -> None:
        try:
            db = _open(path)
        except (sqlite3.Error, OSError, StoreError) as error:
            opened.set_exception(StoreError(f"{path}: {error}"))
            return
        opened.set_result(None)
        while (job := self._jobs.get()) is not None:
            job(db)
        db.close()


def _open(path: str) -> sqlite3.Connection:
    if path != ":memory:" and not Path(path).absolute().parent.is_dir():
        raise StoreError(f"the folder {Path(path).absolute().parent} does not exist")
    db = sqlite3.connect(path, isolation_level=None, timeout=HELD)
    try:
        if _version(db) == 0:
            _create(db)
        _keep_a_log(db)
        db.execute("PRAGMA synchronous=NORMAL")
    except BaseException:
        db.close()
        raise
    return db


def _version(db: sqlite3.Connection) -> int:
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA:
        raise StoreError(f"written by a newer version (schema {version}, expected at most {SCHEMA})")
    return version


def _create(db: sqlite3.Connection) -> None:
    db.execute("BEGIN IMMEDIATE")
    if _version(db) == 0:  # else somebody has come before us
        if db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise StoreError("a SQLite file of something else")
        for statement in _TABLES.split(";"):
            db.execute(statement)
        db.execute(f"PRAGMA user_version={SCHEMA}")
    db.execute("COMMIT")


def _keep_a_log(db: sqlite3.Connection) -> None:
    """WAL. Of two that change the mode of a new file SQLite refuses one at once, whatever its timeout, because both read
    and want to write (sqlite.org/c3ref/busy_handler.html); a moment later it has been done."""
    until = time.monotonic() + HELD
    while True:
        try:
            db.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
        time.sleep(0.02)


def _append(db: sqlite3.Connection, events: Sequence[Event], max_events: int) -> None:
    """Events, and the standings that they leave; the oldest beyond `max_events` make room, in the same transaction."""
    db.execute("BEGIN")
    try:
        for event in events:
            written = db.execute(
                "INSERT INTO events (at, kind, service, instance, check_name, before, after, since, output)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    event.at,
                    event.kind.value,
                    *_whom(event),
                    event.before.value if event.before else None,
                    event.after.value if event.after else None,
                    event.since,
                    event.output,
                ),
            )
            if event.after is not None:
                db.execute(
                    "INSERT OR REPLACE INTO standings VALUES (?, ?, ?, ?, ?)",
                    (*_whom(event), event.after.value, event.since or event.at),
                )
            elif event.kind in (EventKind.LEFT, EventKind.FORGOTTEN):
                # An empty name is the whole: a service takes its instances with it, an instance its checks.
                db.execute(
                    "DELETE FROM standings WHERE service = ? AND ? IN ('', instance) AND ? IN ('', check_name)",
                    _whom(event),
                )
        db.execute("DELETE FROM events WHERE id <= ?", ((written.lastrowid or 0) - max_events,))
        db.execute("COMMIT")
    except sqlite3.Error:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _whom(event: Event) -> tuple[str, str, str]:
    return event.service, event.instance, event.check


def _page(db: sqlite3.Connection, service: str | None, before: int | None, limit: int) -> Page:
    rows = db.execute(
        "SELECT id, at, kind, service, instance, check_name, before, after, since, output FROM events"  # noqa: S608 - literals
        f" WHERE id < ? {'AND service = ?' if service is not None else ''} ORDER BY id DESC LIMIT ?",
        (before or 1 << 62, *(() if service is None else (service,)), limit + 1),
    ).fetchall()
    events = tuple(
        (
            row[0],
            Event(
                at=row[1],
                kind=EventKind(row[2]),
                service=row[3],
                instance=row[4],
                check=row[5],
                before=State(row[6]) if row[6] else None,
                after=State(row[7]) if row[7] else None,
                since=row[8],
                output=row[9],
            ),
        )
        for row in rows[:limit]
    )
    return Page(events, len(rows) > limit)


def _standings(db: sqlite3.Connection) -> list[Restored]:
    return [
        Restored(service, instance, check, Standing(State(status), since))
        for service, instance, check, status, since in db.execute("SELECT * FROM standings")
    ]


def _prune(db: sqlite3.Connection, oldest: float) -> None:
    db.execute("DELETE FROM events WHERE at < ?", (oldest,))
