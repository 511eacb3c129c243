"""What the spool holds: one row for each request that an upstream still owes an answer for."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from .signals import Batch, Signal


class Row(msgspec.Struct, frozen=True):
    """A batch on its way to one upstream. `id` is its place in the order of arrival, `written` unix seconds."""

    id: int
    upstream: str
    batch: Batch
    written: float


class Key(msgspec.Struct, frozen=True):
    """A row without its body; `size` is that of the body."""

    id: int
    upstream: str
    signal: Signal
    size: int
    items: int


Totals: TypeAlias = dict[tuple[str, Signal], tuple[int, int]]
"""Rows and bytes of bodies, by upstream and signal; what has no rows is not in it."""
