"""Many JSON lines at once: what `json_record` does line by line is done by column where lines have the same keys and nothing
about them is unusual. A program has few shapes of lines, and what is done once per column costs next to nothing per line."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from itertools import repeat
from operator import itemgetter
from typing import Any, TypeVar

import msgspec

from ...logic.needles import holds
from ...logic.otlp_columns import encode_columns
from ...logic.severity import of_word
from ...logic.timestamps import nanoseconds
from ...logic.trace_ids import span_id, trace_flags, trace_id
from ...model.logs import LogRecord
from .json_names import Layout
from .json_record import of_level, of_number
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


def whole_records(
    layout: Layout, columns: dict[str, Sequence[Any]], lines: Sequence[bytes], now: int, attributes: bool
) -> list[LogRecord | None] | None:
    """As `whole_record`, of lines that have these values, a column for each key; None where a line needs a look of its own."""
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
    spans = encoded = traces
    bodies = lines
    if layout.time:
        times = [nanoseconds(value, now) for value in columns.pop(layout.time)]
        if not all(times):
            return None
    if layout.severity:
        levels = columns.pop(layout.severity)
        severities = _severities(levels) or [
            of_level(layout.severity, level, line) for level, line in zip(levels, lines, strict=True)
        ]
        if not all(severities):
            return None
        words = list(map(str, levels))
    if layout.trace:
        traces = list(map(trace_id, columns.pop(layout.trace)))
        if not all(traces):
            return None
        if layout.span:
            spans = list(map(span_id, columns.pop(layout.span)))
            if not all(spans):
                return None
        if layout.flags:
            flags = list(map(trace_flags, columns.pop(layout.flags)))
    if layout.message:
        messages = columns.pop(layout.message)
        if set(map(type, messages)) != {str}:
            return None
        bodies = list(map(str.encode, messages))
    if attributes and columns:
        if not _rename(columns, layout.renamed):
            return None
        try:
            encoded = encode_columns({name: bounded(values) for name, values in columns.items()})
        except RecursionError:
            return None
    return list(map(LogRecord, bodies, times, severities, words, repeat({}), traces, spans, flags, repeat(0), encoded))


def known_records(
    level: str, rows: Sequence[msgspec.Struct], lines: Sequence[bytes], now: int
) -> list[LogRecord | None] | None:
    """Of what a stream's lines are known to have, the time, level, trace and span id and flags of each; None where one of them
    has something else. `level` is the name of the level's field."""
    instants, levels, contexts, spans, flags = zip(*map(msgspec.structs.astuple, rows), strict=True)
    times = [nanoseconds(value, now) for value in instants]
    if not all(times):
        return None
    severities = _severities(levels) or [
        of_word(word) if type(word) is str else of_number(level, word, line)
        for word, line in zip(levels, lines, strict=True)
    ]
    if not all(severities):
        return None
    silent = [line for context, line in zip(contexts, lines, strict=True) if context is None]
    if silent and holds(b"\n".join(silent), b"race"):
        return None
    words = map(str, levels)
    if not any(contexts):
        return list(map(LogRecord, lines, times, severities, words))
    traces = [trace_id(context) if context else b"" for context in contexts]
    if list(map(bool, traces)) != list(map(bool, contexts)):
        return None
    return list(
        map(
            LogRecord,
            *(lines, times, severities, words, repeat({}), traces),
            [span_id(span) if trace else b"" for trace, span in zip(traces, spans, strict=True)],
            [trace_flags(flag) if trace else 0 for trace, flag in zip(traces, flags, strict=True)],
        )
    )


def _severities(levels: Sequence[Any]) -> list[int] | None:
    """None unless all are words."""
    if set(map(type, levels)) != {str}:
        return None
    known = {word: of_word(word) for word in set(levels)}
    return list(map(known.__getitem__, levels)) if all(known.values()) else None


def _rename(columns: dict[str, Sequence[Any]], renamed: Sequence[tuple[str, str]]) -> bool:
    """False where not all values of a column are of the kinds that are renamed."""
    for old, new in renamed:
        if old in columns:
            if not {str, int}.issuperset(map(type, columns[old])):
                return False
            columns[new] = columns.pop(old)
    return True
