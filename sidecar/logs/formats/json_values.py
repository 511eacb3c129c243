"""What JSON values become as attributes: their own type, within bounds.

Integers beyond 64 bits are kept as their digits. Objects and arrays are kept as such up to `MAX_DEPTH` levels and `MAX_VALUES`
values each, and as their JSON text beyond. Null is no attribute.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ...model.logs import Value

MAX_ATTRIBUTES = 128
MAX_KEY = 256
"""Bytes of an attribute's name."""
MAX_DEPTH = 8
MAX_VALUES = 1024
_LOW, _HIGH = -(1 << 63), (1 << 63) - 1


class _TooMuch(Exception):
    """A nested value is deeper or has more in it than is kept."""


def bound(fields: dict[str, Any]) -> None:
    """Bring the values of `fields` within the bounds, in place. Raises RecursionError where one is nested as deeply as can be."""
    odd = []
    for key, value in fields.items():
        kind = type(value)
        if kind is str or kind is bool or kind is float or (kind is int and _LOW <= value <= _HIGH):
            continue
        odd.append(key)
    for key in odd:
        value = fields[key]
        if value is None:
            del fields[key]
        elif type(value) is int:
            fields[key] = str(value)
        else:
            try:
                fields[key] = _nested(value, MAX_DEPTH, [MAX_VALUES])
            except _TooMuch:
                fields[key] = json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def bounded(values: Sequence[Any]) -> Sequence[Value]:
    """Each within the bounds."""
    if {list, dict}.isdisjoint(map(type, values)):
        return values
    rows = [{"": value} for value in values]
    for row in rows:
        bound(row)
    return [row.get("") for row in rows]


def thin(fields: dict[str, Any]) -> int:
    """Drop the fields whose names are empty or longer than `MAX_KEY`, and those beyond `MAX_ATTRIBUTES`; how many they were."""
    keys = [key for key in fields if 0 < len(key) <= MAX_KEY and len(key.encode()) <= MAX_KEY]
    over = set(fields).difference(keys[:MAX_ATTRIBUTES])
    for key in over:
        del fields[key]
    return len(over)


def _nested(value: Any, depth: int, left: list[int]) -> Value:
    kind = type(value)
    if kind is not dict and kind is not list:
        return str(value) if kind is int and not _LOW <= value <= _HIGH else value
    left[0] -= len(value)
    if not depth or left[0] < 0:
        raise _TooMuch
    if kind is dict:
        return {key: _nested(inner, depth - 1, left) for key, inner in value.items()}
    return [_nested(inner, depth - 1, left) for inner in value]
