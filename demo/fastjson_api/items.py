"""What the API sells, and the SQL that keeps it. Runs in the database's own thread; knows no event loop."""

from __future__ import annotations

import fcntl
import os
import random
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
Whole = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]

SCHEMA = """
CREATE TABLE IF NOT EXISTS items (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    price_cents INTEGER NOT NULL,
    stock INTEGER NOT NULL
)
"""
SEEDED = 200
ADJECTIVES = ("amber", "brass", "cedar", "ivory", "linen", "olive", "slate", "velvet")
NOUNS = ("basket", "chair", "clock", "kettle", "lamp", "mirror", "shelf", "vase")


class NewItem(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Name
    price_cents: Whole
    stock: Whole = 0


class Item(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    name: str
    price_cents: int
    stock: int


def connect(path: str) -> sqlite3.Connection:
    """A connection with the table made and, where it is empty, filled. Replicas may do so at once."""
    with _alone(Path(path).parent):
        db = sqlite3.connect(path, timeout=2.0, isolation_level=None)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("BEGIN IMMEDIATE")
        db.execute(SCHEMA)
        if db.execute("SELECT count(*) FROM items").fetchone()[0] == 0:
            db.executemany("INSERT INTO items (name, price_cents, stock) VALUES (?, ?, ?)", seed())
        db.execute("COMMIT")
    return db


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """One replica at a time. Of two that set a new file's journal mode, SQLite refuses one at once: it cannot wait
    where both read and want to write (sqlite.org/c3ref/busy_handler.html)."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def seed() -> list[tuple[str, int, int]]:
    """The same 200 items each time."""
    dice = random.Random(1)
    return [
        (
            f"{dice.choice(ADJECTIVES)} {dice.choice(NOUNS)}",
            dice.randrange(199, 19_900),
            dice.randrange(1, 500),
        )
        for _ in range(SEEDED)
    ]


def page(db: sqlite3.Connection, after: int, limit: int) -> list[Item]:
    rows = db.execute("SELECT id, name, price_cents, stock FROM items WHERE id > ? ORDER BY id LIMIT ?", (after, limit))
    return [item(row) for row in rows]


def get(db: sqlite3.Connection, key: int) -> Item | None:
    row = db.execute("SELECT id, name, price_cents, stock FROM items WHERE id = ?", (key,)).fetchone()
    return None if row is None else item(row)


def insert(db: sqlite3.Connection, new: NewItem) -> Item:
    cursor = db.execute(
        "INSERT INTO items (name, price_cents, stock) VALUES (?, ?, ?)",
        (new.name, new.price_cents, new.stock),
    )
    return Item(id=cursor.lastrowid or 0, name=new.name, price_cents=new.price_cents, stock=new.stock)


def update(db: sqlite3.Connection, key: int, new: NewItem) -> Item | None:
    cursor = db.execute(
        "UPDATE items SET name = ?, price_cents = ?, stock = ? WHERE id = ?",
        (new.name, new.price_cents, new.stock, key),
    )
    if cursor.rowcount == 0:
        return None
    return Item(id=key, name=new.name, price_cents=new.price_cents, stock=new.stock)


def delete(db: sqlite3.Connection, key: int) -> bool:
    return db.execute("DELETE FROM items WHERE id = ?", (key,)).rowcount > 0


def ping(db: sqlite3.Connection) -> None:
    db.execute("SELECT 1 FROM items LIMIT 1").fetchone()


def item(row: tuple[int, str, int, int]) -> Item:
    return Item(id=row[0], name=row[1], price_cents=row[2], stock=row[3])
