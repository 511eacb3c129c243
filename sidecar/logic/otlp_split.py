"""One export request cut in two between its items, for an upstream that finds it too large. Decodes nothing.

Both halves carry what stands around the items: Resource, scope, schema URLs and, where a single metric has many data points,
its name and unit. Items keep their order. Used rarely, so written for clarity.
"""

from __future__ import annotations

from ..model.signals import Batch, Signal
from .otlp_wire import POINTS_OF, count
from .protobuf import FIELD_1, FIELD_2, encode_varint, read_tag, read_varint, skip

_ITEMS = (frozenset({FIELD_1}), frozenset({FIELD_2}), frozenset({FIELD_2}))
_POINTS = (*_ITEMS, POINTS_OF, frozenset({FIELD_1}))


def halve(batch: Batch) -> tuple[Batch, Batch] | None:
    """The first and the second half of its items; None where it cannot be cut. The framing must have been counted."""
    if batch.items < 2:
        return None
    levels = _POINTS if batch.signal is Signal.METRICS else _ITEMS
    first, second = _cut(batch.body, levels, 0, batch.items // 2)
    halves = [Batch(batch.signal, body, count(batch.signal, body), batch.hops, batch.via) for body in (first, second)]
    return (halves[0], halves[1]) if halves[0].items and halves[1].items else None


def _cut(message: bytes, levels: tuple[frozenset[int], ...], level: int, most: int) -> tuple[bytes, bytes]:
    """The message with its first `most` leaves, and with the others."""
    left: list[bytes] = []
    right: list[bytes] = []
    for whole, tag, payload in _fields(message):
        if tag not in levels[level]:
            left.append(whole)
            right.append(whole)
            continue
        inside = _leaves(payload, levels, level + 1)
        if inside <= most:
            left.append(whole)
        elif most <= 0 or level + 1 == len(levels) or not _divisible(payload, levels, level + 1):
            right.append(whole)
        else:
            for side, part in zip((left, right), _cut(payload, levels, level + 1, most), strict=True):
                side.append(encode_varint(tag) + encode_varint(len(part)) + part)
        most -= inside
    return b"".join(left), b"".join(right)


def _leaves(message: bytes, levels: tuple[frozenset[int], ...], level: int) -> int:
    if level == len(levels):
        return 1
    found = sum(_leaves(payload, levels, level + 1) for _, tag, payload in _fields(message) if tag in levels[level])
    return found if _divisible(message, levels, level) else min(found, 1)


def _divisible(message: bytes, levels: tuple[frozenset[int], ...], level: int) -> bool:
    """A metric with two kinds of data has the last of them only: such a one stays whole."""
    return levels[level] is not POINTS_OF or sum(tag in POINTS_OF for _, tag, _ in _fields(message)) == 1


def _fields(message: bytes) -> list[tuple[bytes, int, bytes]]:
    """Each field whole, its tag, and its payload where it is length-delimited."""
    found = []
    p = 0
    while p < len(message):
        tag, after = read_tag(message, p)
        end = skip(message, p)
        payload = b""
        if tag & 7 == 2:
            size, start = read_varint(message, after)
            payload = message[start : start + size]
        found.append((message[p:end], tag, payload))
        p = end
    return found
