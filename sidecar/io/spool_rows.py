"""A row of the spool as SQLite holds it: schema, columns, and the way from and to a `Row`."""

from __future__ import annotations

from zlib import crc32

from ..model.signals import Batch, Signal
from ..model.spool import Row, Totals

SCHEMA = """
CREATE TABLE batch (id INTEGER PRIMARY KEY, upstream TEXT NOT NULL, signal TEXT NOT NULL, items INTEGER NOT NULL,
  hops INTEGER NOT NULL, written REAL NOT NULL, size INTEGER NOT NULL, crc INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX batch_due ON batch (upstream, signal, id, size);
CREATE TABLE quarantine (id INTEGER PRIMARY KEY, upstream TEXT NOT NULL, signal TEXT NOT NULL, items INTEGER NOT NULL,
  hops INTEGER NOT NULL, written REAL NOT NULL, size INTEGER NOT NULL, crc INTEGER NOT NULL, body BLOB NOT NULL,
  reason TEXT NOT NULL, moved REAL NOT NULL);
CREATE TABLE probe (one INTEGER PRIMARY KEY, filler BLOB);
"""
COLUMNS = "id, upstream, signal, items, hops, written, size, crc, body"

Values = tuple[object, ...]
"""In the order of `COLUMNS`."""


def cost_of(size: int) -> int:
    """Bytes that a row takes on disk at most, by the size of its body: SQLite's pages are 4 KiB, and two small rows may not fit
    into one."""
    return min(2 * size, size + 4096) + 400


def left_by(size: int) -> int:
    """Bytes that a row leaves to others when it goes, at least."""
    return size + 60


def marks(number: int) -> str:
    return ", ".join("?" * number)


def values_of(row: Row) -> Values:
    b = row.batch
    return (row.id, row.upstream, b.signal.value, b.items, b.hops, row.written, len(b.body), crc32(b.body), b.body)


def row_of(values: Values) -> Row | None:
    """None where the body is not what was written."""
    number, upstream, signal, items, hops, written, size, crc, body = values
    if not isinstance(body, bytes) or len(body) != size or crc32(body) != crc:
        return None
    try:
        batch = Batch(Signal(str(signal)), body, int(str(items)), int(str(hops)))
        return Row(int(str(number)), str(upstream), batch, float(str(written)))
    except ValueError:
        return None


def add(totals: Totals, upstream: str, signal: Signal, rows: int, size: int) -> None:
    had = totals.get((upstream, signal), (0, 0))
    now = (had[0] + rows, had[1] + size)
    if now[0] > 0:
        totals[upstream, signal] = now
    else:
        totals.pop((upstream, signal), None)
