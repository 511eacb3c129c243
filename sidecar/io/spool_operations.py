"""What the event loop asks of the spool's thread, and what it hears back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import msgspec

from ..model.signals import Signal
from ..model.spool import Key, Row, Totals


class Write(msgspec.Struct, frozen=True):
    """`done` is true when the row is committed."""

    row: Row
    done: asyncio.Future[bool]


class Delete(msgspec.Struct, frozen=True):
    id: int


class Move(msgspec.Struct, frozen=True):
    """To the quarantine."""

    row: Row
    reason: str


class Read(msgspec.Struct, frozen=True):
    upstream: str
    signal: Signal
    skip: frozenset[int]
    limit: int
    done: asyncio.Future[list[Row]]


class Evict(msgspec.Struct, frozen=True):
    """The oldest rows of the upstream go, until evictions have freed `size` bytes since the spool was opened."""

    upstream: str
    size: int
    skip: frozenset[int]


class Flush(msgspec.Struct, frozen=True):
    done: asyncio.Future[bool]


Operation: TypeAlias = Write | Delete | Move | Read | Evict | Flush | None
"""None is the last."""
Change: TypeAlias = Write | Delete | Move
Result: TypeAlias = tuple[Operation, object]
"""Of `Write` whether it is committed, of `Read` the rows, of `Evict` the keys that are gone."""


class News(msgspec.Struct, frozen=True):
    """How things stand: `why` is empty while the disk is well, `used_bytes` is of pages in use when `totals` was so, of which
    the quarantine has at least `quarantined_bytes`, `oldest` in unix seconds, `last_id` the highest in use when the file was
    opened (else 0).

    And what was met since the last news: `errors` by one word each, rows whose bodies were `corrupt`, and how many were
    `unreadable` in a broken file, by upstream.
    """

    totals: Totals
    used_bytes: int
    quarantined_bytes: int
    oldest: Mapping[str, float]
    disk_bytes: int
    why: str
    last_id: int
    errors: Sequence[str] = ()
    corrupt: Sequence[Key] = ()
    unreadable: Mapping[str, int] = {}


def size_of(operation: Operation) -> int:
    """Bytes that it brings to a transaction, about."""
    return len(operation.row.batch.body) if isinstance(operation, Write | Move) else 64
