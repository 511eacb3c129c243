"""Many JSON lines at once: what `json_record` does line by line is done by column where lines have the same keys and nothing
about them is unusual. A program has few shapes of lines, and what is done once per column costs next to nothing per line."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from itertools import repeat
from operator import itemgetter
from typing import Any, TypeVar

import msgspec

from ...logic import severity, trace_ids
from ...logic.otlp_columns import encode_columns
from ...logic.timestamps import nanoseconds
from ...model.logs import Keep, LogRecord
from .json_names import Layout
from .json_record import of_level
from .json_values import bounded

REFUSED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
FEWEST = 8
"""Lines that are worth columns of their own."""

Key = TypeVar("Key", bound=Hashable)
_first, _last = itemgetter(0), itemgetter(-1)


def objects(decode_lines: Callable[[bytes], list[Any]], lines: Sequence[bytes]) -> list[Any] | None:
    """What the lines hold; None unless each is one object that the decoder takes."""
    try:
        # An object that goes on behind a line's end needs one line that ends, or the next that begins, with something else.
        if set(map(_first, lines)) != {0x7B} or set(map(_last, lines)) != {0x7D}:
            return None
        rows = decode_lines(b"\n".join(lines))
    except (*REFUSED, IndexError):
        return None  # an IndexError is an empty line
    return rows if len(rows) == len(lines) else None


def grouped(keys: Sequence[Key]) -> dict[Key, list[int]]:
    """The numbers of those that are equal."""
    groups: dict[Key, list[int]] = {}
    for number, key in enumerate(keys):
        if key in groups:
            groups[key].append(number)
        else:
            groups[key] = [number]
    return groups


def make_records(
    layout: Layout, columns: dict[str, Sequence[Any]], lines: Sequence[bytes], now: int, keep: Keep
) -> list[LogRecord] | None:
    """The records of lines that have these values, a column for each key; None where a line needs a look of its own."""
    if (
        layout.unfolds
        or layout.holders
        or layout.errors
        or layout.source
        or layout.over
        or layout.trace == "traceparent"
    ):
        return None
    count = len(lines)
    times: Sequence[int] = (0,) * count
    severities = flags = times
    words: Sequence[str] = ("",) * count
    traces: Sequence[bytes] = (b"",) * count
    spans = attributes = traces
    bodies = lines
    if layout.time:
        times = [nanoseconds(value, now) for value in columns.pop(layout.time)]
        if not all(times):
            return None
    if layout.severity:
        levels = columns.pop(layout.severity)
        severities = _severities(layout.severity, levels, lines)
        if not all(severities):
            return None
        words = list(map(str, levels))
    if layout.trace:
        traces = list(map(trace_ids.trace_id, columns.pop(layout.trace)))
        if not all(traces):
            return None
        if layout.span:
            spans = list(map(trace_ids.span_id, columns.pop(layout.span)))
            if not all(spans):
                return None
        if layout.flags:
            flags = list(map(trace_ids.flags, columns.pop(layout.flags)))
    if keep is not Keep.LIFTED and layout.message:
        messages = columns.pop(layout.message)
        if set(map(type, messages)) != {str}:
            return None
        bodies = list(map(str.encode, messages))
    if keep is Keep.ALL and columns:
        if not _rename(columns, layout.renamed):
            return None
        attributes = encode_columns({name: bounded(values) for name, values in columns.items()})
    encoded = map(LogRecord, bodies, times, severities, words, repeat({}), traces, spans, flags, repeat(0), attributes)
    return list(encoded)


def _severities(name: str, levels: Sequence[Any], lines: Sequence[bytes]) -> Sequence[int]:
    if set(map(type, levels)) == {str}:
        known = {word: severity.of_word(word) for word in set(levels)}
        if all(known.values()):
            return list(map(known.__getitem__, levels))
    return [of_level(name, level, line) for level, line in zip(levels, lines, strict=True)]


def _rename(columns: dict[str, Sequence[Any]], renamed: Sequence[tuple[str, str]]) -> bool:
    """False where not all values of a column are of the kinds that are renamed."""
    for old, new in renamed:
        if old in columns:
            if not {str, int}.issuperset(map(type, columns[old])):
                return False
            columns[new] = columns.pop(old)
    return True
