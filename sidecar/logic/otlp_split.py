"""One export request cut in two between its items, for an upstream that finds it too large. Decodes nothing.

Both halves carry what stands around the items: Resource, scope, schema URLs and, where a single metric has many data points,
its name and unit. Items keep their order. Used rarely, so written for clarity. Nothing is held for each item: a hostile one
has two bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from ..model.signals import Batch, Signal
from .otlp_wire import POINTS_OF, count
from .protobuf import FIELD_1, FIELD_2, encode_varint, read_tag, read_varint, skip

_Levels: TypeAlias = tuple[frozenset[int], ...]
"""Where the items are: the fields that lead down to them, from the outermost message on."""

_ITEMS = (frozenset({FIELD_1}), frozenset({FIELD_2}), frozenset({FIELD_2}))
_POINTS = (*_ITEMS, POINTS_OF, frozenset({FIELD_1}))


def halve(batch: Batch) -> tuple[Batch, Batch] | None:
    """The first and the second half of its items; None where it cannot be cut. The framing must have been counted."""
    if batch.items < 2:
        return None
    body, levels = batch.body, _POINTS if batch.signal is Signal.METRICS else _ITEMS
    cut = _cut(body, 0, len(body), levels, batch.items // 2)
    halves = [
        Batch(batch.signal, half, count(batch.signal, half), batch.hops, batch.via) for half in (bytes(h) for h in cut)
    ]
    return (halves[0], halves[1]) if halves[0].items and halves[1].items else None


def _cut(buf: bytes, p: int, end: int, levels: _Levels, most: int) -> tuple[bytearray, bytearray]:
    """The message between `p` and `end` with its first `most` leaves, and with the others."""
    left, right = bytearray(), bytearray()
    for at, tag, start, stop in _fields(buf, p, end):
        if tag not in levels[0]:
            left += buf[at:stop]
            right += buf[at:stop]
            continue
        inside = _leaves(buf, start, stop, levels[1:])
        if inside <= most:
            left += buf[at:stop]
        elif most <= 0 or len(levels) == 1 or not _divisible(buf, start, stop, levels[1:]):
            right += buf[at:stop]
        else:
            for side, part in zip((left, right), _cut(buf, start, stop, levels[1:], most), strict=True):
                side += encode_varint(tag) + encode_varint(len(part)) + part
        most -= inside
    return left, right


def _leaves(buf: bytes, p: int, end: int, levels: _Levels) -> int:
    if not levels:
        return 1
    found = sum(_leaves(buf, at, stop, levels[1:]) for _, tag, at, stop in _fields(buf, p, end) if tag in levels[0])
    return found if _divisible(buf, p, end, levels) else min(found, 1)


def _divisible(buf: bytes, p: int, end: int, levels: _Levels) -> bool:
    """A metric with two kinds of data has the last of them only: such a one stays whole."""
    return levels[0] is not POINTS_OF or sum(tag in POINTS_OF for _, tag, _, _ in _fields(buf, p, end)) == 1


def _fields(buf: bytes, p: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Of each field where it begins, its tag, where its payload begins (if it is length-delimited) and where it ends."""
    while p < end:
        tag, start = read_tag(buf, p)
        at, p = p, skip(buf, p)
        if tag & 7 == 2:
            start = read_varint(buf, start)[1]
        yield at, tag, start, p
