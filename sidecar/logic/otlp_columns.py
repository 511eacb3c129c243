"""The attributes of many records at once, where all have the same keys: `otlp_logs.attributes_of`, column by column.

What is done for each value is done by C (`map`, `zip`, `join`); Python looks at each column's kind, its lengths, or its distinct
values.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence

from ..model.logs import Value
from .otlp_logs import attributes_of, key_head, varint

_double = struct.Struct("<d").pack


def encode_columns(columns: Mapping[str, Sequence[Value]]) -> list[bytes]:
    """Of each record its attributes; None is none. There is a column, all are as long, and their texts can be encoded."""
    pieces = [piece for key, values in columns.items() for piece in _column(key, values)]
    return list(map(b"".join, zip(*pieces, strict=True)))


def _column(key: str, values: Sequence[Value]) -> Iterable[Iterable[bytes]]:
    kinds = set(map(type, values))
    if kinds == {str}:
        texts = list(map(str.encode, values))  # type: ignore[arg-type]
        sizes = list(map(len, texts))
        heads = {size: _head(key, size) for size in set(sizes)}
        return map(heads.__getitem__, sizes), texts
    if kinds == {float}:
        start = attributes_of({key: 0.0})[:-8]
        return (start,) * len(values), map(_double, values)
    if kinds == {int} or kinds == {bool}:
        made = {value: attributes_of({key: value}) for value in set(values)}
        return (map(made.__getitem__, values),)
    return ([b"" if value is None else attributes_of({key: value}) for value in values],)


def _head(key: str, size: int) -> bytes:
    """What stands before a text of so many bytes."""
    known = key_head(key)
    length = varint(size)
    inner = b"\x0a" + length
    value = varint(len(inner) + size)
    return b"\x32" + varint(len(known) + len(value) + len(inner) + size) + known + value + inner
