"""What can still be read of a spool whose file SQLite calls corrupt."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from ..model.spool import Row
from .spool_rows import COLUMNS, row_of

MOST_MISSES = 10_000
"""Ids in a row without a row, before it is given up."""


def salvage(path: Path) -> Iterator[Row]:
    """Every sound row of a broken file, each looked up by itself, past the pages that cannot be read."""
    db = sqlite3.connect(path, isolation_level=None)
    try:
        at, misses = 0, 0
        while misses < MOST_MISSES:
            try:
                values = db.execute(
                    f"SELECT {COLUMNS} FROM batch WHERE id >= ? ORDER BY id LIMIT 1",  # noqa: S608 - no input in it
                    (at,),
                ).fetchone()
            except sqlite3.DatabaseError:
                if misses == 0 and at == 0:
                    at = _first_by_index(db)
                at, misses = at + 1, misses + 1
                continue
            if values is None:
                return
            at, misses = values[0] + 1, 0
            row = row_of(values)
            if row is not None:
                yield row
    finally:
        db.close()


def _first_by_index(db: sqlite3.Connection) -> int:
    """Where to begin when the first page of the table itself is gone."""
    try:
        found = db.execute("SELECT min(id) FROM batch INDEXED BY batch_due WHERE upstream >= ''").fetchone()
    except sqlite3.DatabaseError:
        return 0
    return int(found[0] or 0)
