"""The spool on disk: what was acknowledged and has not yet arrived. Synchronous; `spool` gives it a thread of its own.

What holds, at any moment and after a kill at any moment:

1. A row is there from the commit that acknowledged it until a commit that says it arrived, was quarantined or evicted.
   Nothing else removes a row. A row that a newer or broken Outrider wrote is never dropped in silence.
2. `id` is the order of arrival, and within one upstream and signal rows are read in that order. Ids are never used twice
   while the file lives: the next one is above every row, quarantined ones included.
3. Every body carries its CRC32. One that does not fit is moved to `quarantine`, counted, and the next row is read.
4. The main file never exceeds `max_bytes` less a reserve for the WAL (`max_page_count`: SQLite itself refuses), and the WAL
   is restarted whenever it holds an eighth of that reserve; one transaction may write a quarter of it, or one row. Where somebody
   who reads the file keeps it from that, nothing is written once it holds half.
5. A file that SQLite calls corrupt is moved aside whole (`corrupt-…`), every row that can still be read is carried into a
   fresh one, and work goes on. A file of a newer schema is left alone.

What is durable: a commit survives the death of the process always. With `synchronous=NORMAL` power loss may take what was
committed since the last checkpoint (never the file's consistency); with FULL it takes nothing. One process at a time has the
spool: `lock` is held as long as the file is open, and the kernel lets go of it however the process ends.

Space: freed pages are used again, and given back to the file system when no row is left (`auto_vacuum=INCREMENTAL`). On a full
disk SQLite may be unable even to delete; `spool` then remembers what has arrived, and when that is every row the file is begun
anew (a death before that sends those rows twice).

::

    batch       id, upstream, signal, items, hops, written (unix seconds), size, crc, body
    quarantine  id, upstream, signal, items, hops, written, size, crc, body, reason, moved (unix seconds)
"""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from ..model.signals import Signal
from ..model.spool import Key, Row, Totals
from .spool_errors import Corrupt, Full, Unusable, translated
from .spool_log import is_torn
from .spool_rows import COLUMNS, SCHEMA, Values, add, left_by, marks, row_of, values_of
from .spool_salvage import salvage

VERSION = 1
NAME = "spool.db"
PAGE = 4096
PATIENCE = 5.0
"""Seconds to wait for another process, but never for one that reads."""
MOST_QUARANTINED = 1000
MOST_ROWS_READ = 1000


def reserve_of(max_bytes: int) -> int:
    """How much of the cap is the WAL's: room for the largest body (20 MiB) by default, a quarter of a small spool."""
    return max(1 << 20, min(max_bytes // 4, 24 << 20))


class SpoolFile:
    """Raises `Unusable`, `Full` or `Corrupt`; after each of them nothing of the failed call has been written."""

    def __init__(self, directory: str, max_bytes: int, *, full_sync: bool, now: Callable[[], float]) -> None:
        self.directory = Path(directory)
        self.totals: Totals = {}
        self.quarantined_bytes = 0
        """What the quarantine takes on disk, at least."""
        self.found_broken: list[str] = []
        """What was wrong with the files when they were opened, a word each: `corrupt`, `torn_log`. Work goes on."""
        self.lost: dict[str, int] = {}
        """Rows that could not be read then, by upstream, as `rescue` tells."""
        self._reserve = reserve_of(max_bytes)
        self._max_pages = max(64, (max_bytes - self._reserve) // PAGE)
        self._quarantine_bytes = max_bytes // 16
        self._sync = "FULL" if full_sync else "NORMAL"
        self._is_over = False
        """The file is larger than the cap, which was higher once."""
        self._log_is_held = False
        """Somebody was reading at the last checkpoint."""
        self._now = now
        self.last_id = 0
        """The highest id that was in use when the file was opened."""
        self._lock = self._locked()
        try:
            self._open()
        except BaseException:
            os.close(self._lock)
            raise

    @property
    def group_bytes(self) -> int:
        """What one transaction should write at most."""
        return self._reserve // 4

    def _locked(self) -> int:
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            reason = "read_only" if error.errno == errno.EROFS else "unwritable"
            raise Unusable(reason, f"{self.directory}: {error.strerror}") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise Unusable("locked", f"{self.directory} is in use by another process: stop that first") from None
        return lock

    def _open(self) -> None:
        try:
            self._connect()
        except Corrupt:
            self.found_broken.append("corrupt")
            self.lost = self.rescue()

    def _connect(self) -> None:
        with translated():
            db = sqlite3.connect(self.directory / NAME, isolation_level=None, timeout=PATIENCE, check_same_thread=False)
        self._db = db
        try:
            with translated():
                (version,) = db.execute("PRAGMA user_version").fetchone()
                if version > VERSION:
                    raise Unusable(
                        "newer", f"{self.directory / NAME} has schema {version}, this Outrider knows {VERSION}"
                    )
                _, frames, _ = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                if is_torn(self.directory / f"{NAME}-wal", max(0, frames)):
                    self.found_broken.append("torn_log")
                db.execute(f"PRAGMA page_size={PAGE}")
                db.execute("PRAGMA auto_vacuum=INCREMENTAL")
                db.execute("PRAGMA journal_mode=WAL")
                for pragma in (
                    "secure_delete=FAST",  # Debian's SQLite would write each page that is let go, full of zeros
                    f"synchronous={self._sync}",
                    "wal_autocheckpoint=0",
                    f"journal_size_limit={self._reserve // 8}",
                    "cache_size=-1024",
                    "temp_store=MEMORY",
                    f"max_page_count={self._max_pages}",
                ):
                    db.execute(f"PRAGMA {pragma}").fetchall()
                if version == 0:
                    db.executescript(f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version={VERSION}; COMMIT;")
                self._is_over = self._pages("page_count") > self._max_pages
                self.totals = self._count()
                self._quarantined()
                self.last_id = self._last_id()
                self._checkpoint()
        except BaseException:
            db.close()
            raise

    def _count(self) -> Totals:
        rows = self._db.execute("SELECT upstream, signal, count(*), sum(size) FROM batch GROUP BY upstream, signal")
        return {(upstream, Signal(signal)): (number, size) for upstream, signal, number, size in rows}

    def recount(self) -> None:
        """What is there, from the file itself."""
        with translated():
            self.totals = self._count()
            self._quarantined()

    def _quarantined(self) -> tuple[int, int]:
        """Rows and bytes of bodies."""
        rows, size = self._db.execute("SELECT count(*), coalesce(sum(size), 0) FROM quarantine").fetchone()
        self.quarantined_bytes = size + rows * left_by(0)
        return rows, size

    def _last_id(self) -> int:
        (last,) = self._db.execute(
            "SELECT max(coalesce((SELECT max(id) FROM batch), 0), coalesce((SELECT max(id) FROM quarantine), 0))"
        ).fetchone()
        return int(last)

    # Writing

    def apply(self, writes: Iterable[Row], deletes: Iterable[int], moves: Iterable[tuple[Row, str]]) -> None:
        """All of it or nothing, in one transaction: new rows, then rows that have arrived, then rows to quarantine (which need
        not be in the queue)."""
        db, totals = self._db, dict(self.totals)
        self._must_have_log()
        try:
            with translated():
                db.execute("BEGIN IMMEDIATE")
                for row in writes:
                    db.execute(f"INSERT INTO batch VALUES ({marks(9)})", values_of(row))  # noqa: S608 - marks only
                    add(totals, row.upstream, row.batch.signal, 1, len(row.batch.body))
                for number in deletes:
                    self._delete(number, totals)
                for row, reason in moves:
                    self._delete(row.id, totals)
                    self._quarantine(values_of(row), reason)
                db.execute("COMMIT")
                self.totals = totals
        except Full:
            self._rollback()
            raise self._why_full() from None
        except BaseException:
            self._rollback()
            raise
        self.tidy()

    def _why_full(self) -> Full | Unusable:
        """SQLite says the same of its cap and of the disk."""
        room = (self._max_pages - self._pages("page_count") + self._pages("freelist_count")) * PAGE
        if room < self._reserve:
            return Full("the spool has reached max_bytes")
        return Unusable("disk_full", f"{self.directory}: no space left on device")

    def _delete(self, number: int, totals: Totals) -> None:
        for upstream, signal, size in self._db.execute(
            "DELETE FROM batch WHERE id = ? RETURNING upstream, signal, size", (number,)
        ).fetchall():
            add(totals, upstream, Signal(signal), -1, -size)

    def _quarantine(self, values: Values, reason: str) -> None:
        db = self._db
        db.execute(f"INSERT OR REPLACE INTO quarantine VALUES ({marks(11)})", (*values, reason, self._now()))  # noqa: S608
        while True:
            rows, size = self._quarantined()
            if rows <= 1 or (rows <= MOST_QUARANTINED and size <= self._quarantine_bytes):
                break
            db.execute("DELETE FROM quarantine WHERE id = (SELECT min(id) FROM quarantine)")

    def evict(self, upstream: str, size: int, skip: Collection[int]) -> list[Key]:
        """Delete the oldest rows of an upstream, of any signal, that leave (`left_by`) `size` bytes together; which they were."""
        gone: list[Key] = []
        with translated():
            found = self._db.execute(
                "SELECT id, signal, size, items FROM batch WHERE upstream = ? ORDER BY id", (upstream,)
            )
            for number, signal, length, items in found:
                if size <= 0:
                    break
                if number not in skip:
                    gone.append(Key(number, upstream, Signal(signal), length, items))
                    size -= left_by(length)
            found.close()
        self.apply((), [key.id for key in gone], ())
        return gone

    def purge(self, upstream: str | None) -> int:
        """Delete all rows, or those of one upstream, and empty the quarantine of them; how many."""
        where, values = ("WHERE upstream = ?", (upstream,)) if upstream is not None else ("", ())
        with translated():
            gone = self._db.execute(f"DELETE FROM batch {where}", values).rowcount  # noqa: S608 - no input in it
            gone += self._db.execute(f"DELETE FROM quarantine {where}", values).rowcount  # noqa: S608
        self.recount()
        self.tidy()
        return gone

    def _rollback(self) -> None:
        try:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
                self._quarantined()
        except sqlite3.Error:
            pass  # what cannot be rolled back was not committed

    def tidy(self) -> None:
        """Restart the WAL before it grows, give space back when nothing is left, or what is over the cap. Best effort: work does
        not depend on it."""
        try:
            if self._is_over:
                self._db.executescript(f"PRAGMA incremental_vacuum({self.group_bytes // PAGE})")
                self._db.execute(f"PRAGMA max_page_count={self._max_pages}").fetchall()
                self._is_over = self._pages("page_count") > self._max_pages
            if not self.totals and self._pages("page_count") > 256 and self._pages("freelist_count") > 64:
                self._db.executescript("PRAGMA incremental_vacuum")  # which `execute` would leave after one page
                self._checkpoint("TRUNCATE")
            elif self._wal_bytes() > self._reserve // 8:
                self._checkpoint()
        except (sqlite3.Error, OSError):
            pass  # the next write meets the same trouble, and says so

    def _checkpoint(self, how: str = "RESTART") -> None:
        """Waits for nobody who reads."""
        self._db.execute("PRAGMA busy_timeout=0")
        (busy, _, _) = self._db.execute(f"PRAGMA wal_checkpoint({how})").fetchone()
        self._db.execute(f"PRAGMA busy_timeout={PATIENCE * 1000:.0f}")
        self._log_is_held = bool(busy)

    def _must_have_log(self) -> None:
        if self._log_is_held and self._wal_bytes() > self._reserve // 2:
            raise Unusable("locked", f"{self.directory}: the log is full while another process reads")

    def _pages(self, pragma: str) -> int:
        return int(self._db.execute(f"PRAGMA {pragma}").fetchone()[0])

    def _wal_bytes(self) -> int:
        try:
            return (self.directory / f"{NAME}-wal").stat().st_size
        except FileNotFoundError:
            return 0

    def used_bytes(self) -> int:
        """Of the main file, pages in use: rows, their index, the quarantine."""
        with translated():
            return (self._pages("page_count") - self._pages("freelist_count")) * PAGE

    def disk_bytes(self) -> int:
        """The main file and the WAL."""
        try:
            return (self.directory / NAME).stat().st_size + self._wal_bytes()
        except OSError:
            return 0

    def probe(self) -> None:
        """Can anything be written? A page's worth, really committed."""
        try:
            with translated():
                self._checkpoint()
                self._must_have_log()
                self._db.execute("INSERT OR REPLACE INTO probe VALUES (1, zeroblob(65536))")
                self._db.execute("DELETE FROM probe")
        except Full:
            self._rollback()
            why = self._why_full()
            if isinstance(why, Unusable):
                raise why from None
        except BaseException:
            self._rollback()
            raise

    # Reading

    def read(self, upstream: str, signal: Signal, skip: Collection[int], limit: int) -> tuple[list[Row], list[Key]]:
        """The oldest rows, `limit` bytes of them but at least one; and the corrupt ones, which were quarantined instead."""
        rows: list[Row] = []
        bad: list[Values] = []
        with translated():
            due = self._db.execute(
                "SELECT id, size FROM batch WHERE upstream = ? AND signal = ? ORDER BY id", (upstream, signal.value)
            )
            numbers: list[int] = []
            size = 0
            for number, length in due:
                if number in skip:
                    continue
                if numbers and (size + length > limit or len(numbers) >= MOST_ROWS_READ):
                    break
                numbers.append(number)
                size += length
            due.close()
            for number in numbers:
                values = self._db.execute(f"SELECT {COLUMNS} FROM batch WHERE id = ?", (number,)).fetchone()  # noqa: S608
                row = row_of(values)
                if row is None:
                    bad.append(values)
                else:
                    rows.append(row)
        if bad:
            self._set_aside(bad)
        return rows, [Key(int(str(v[0])), upstream, signal, int(str(v[6])), int(str(v[3]))) for v in bad]

    def _set_aside(self, bad: list[Values]) -> None:
        totals = dict(self.totals)
        try:
            with translated():
                self._db.execute("BEGIN IMMEDIATE")
                for values in bad:
                    self._delete(int(str(values[0])), totals)
                    self._quarantine(values, "corrupt")
                self._db.execute("COMMIT")
                self.totals = totals
        except BaseException:
            self._rollback()
            raise
        self.tidy()

    def oldest(self) -> dict[str, float]:
        """When the oldest row of each upstream was written, unix seconds."""
        found: dict[str, float] = {}
        with translated():
            for upstream, signal in self.totals:
                row = self._db.execute(
                    "SELECT written FROM batch WHERE upstream = ? AND signal = ? ORDER BY id LIMIT 1",
                    (upstream, signal.value),
                ).fetchone()
                if row is not None:
                    found[upstream] = min(row[0], found.get(upstream, row[0]))
        return found

    # Trouble

    def rescue(self) -> dict[str, int]:
        """Move the file aside and carry every row that can be read into a fresh one: how many could not, by upstream, as far as
        it is known what was there."""
        before = self.totals
        try:
            self._db.close()
        except sqlite3.Error:
            pass  # it is broken: that is why we are here
        aside = self.directory / f"corrupt-{int(self._now() * 1e6)}"
        try:
            aside.mkdir(mode=0o700)
            for name in (NAME, f"{NAME}-wal", f"{NAME}-shm"):
                if (self.directory / name).exists():
                    (self.directory / name).rename(aside / name)
        except OSError as error:
            raise Unusable("unwritable", f"{aside}: {error.strerror}") from None
        self._connect()
        for row in salvage(aside / NAME):
            try:
                self.apply((row,), (), ())
            except Full:
                break
        for older in sorted(self.directory.glob("corrupt-*"))[
            :-1
        ]:  # the last is kept to be looked at; more would fill the disk
            for file in older.iterdir():
                file.unlink()
            older.rmdir()
        lost = {name: 0 for name, _ in before}
        for key, (rows, _) in before.items():
            lost[key[0]] += rows - self.totals.get(key, (0, 0))[0]
        return {name: rows for name, rows in lost.items() if rows > 0}

    def holds_only(self, numbers: Collection[int]) -> bool:
        """Is every row one of these?"""
        with translated():
            return all(number in numbers for (number,) in self._db.execute("SELECT id FROM batch"))

    def start_afresh(self) -> None:
        """Delete the files and begin anew: for a disk so full that nothing can be deleted from within them. The quarantine goes
        too."""
        self._db.close()
        try:
            for name in (NAME, f"{NAME}-wal", f"{NAME}-shm"):
                (self.directory / name).unlink(missing_ok=True)
        except OSError as error:
            raise Unusable("unwritable", f"{self.directory}: {error.strerror}") from None
        finally:
            self._connect()

    def close(self) -> None:
        try:
            self._checkpoint("TRUNCATE")
            self._db.close()
        except sqlite3.Error:
            pass  # closing makes nothing worse
        os.close(self._lock)


def look(directory: str) -> sqlite3.Connection:
    """The file for reading only, while a sidecar may be using it. Raises `Unusable`."""
    path = Path(directory) / NAME
    if not path.is_file():
        raise Unusable("missing", f"{path}: no such file")
    try:
        return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=PATIENCE)
    except sqlite3.Error as error:
        raise Unusable("unreadable", f"{path}: {error}") from None
