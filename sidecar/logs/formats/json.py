"""One JSON object per line, in the dialects of `json_names`.

What is known becomes the record's own: time, severity, trace context, and the message its body; a line without a message is its
own body. The other fields become attributes and keep their types. Errors and source locations get their conventional names;
nothing else is renamed.

`attributes: lifted` decodes only what the stream's last lines had as time, severity and trace context, and looks at the whole
line again where one of them is missed.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec

from ...logic.loose_json import loose_object
from ...logic.severity import of_word
from ...logic.timestamps import nanoseconds
from ...logic.trace_ids import span_id, trace_flags, trace_id
from ...model.logs import Keep, LogRecord
from ..base import Format
from . import json_names
from .json_block import FEWEST, REFUSED, grouped, known_records, objects, whole_records
from .json_record import layout_named, layout_of, lifted_record, of_number, whole_record

SMALL = 32
"""Lines of a block that is not cut any smaller to keep a line that is no strict JSON from the others."""

_any = msgspec.json.Decoder()


def json_format(keep: Keep) -> Format:
    return Lifted() if keep is Keep.LIFTED else Whole(keep)


class Whole:
    """Its body is the message."""

    def __init__(self, keep: Keep) -> None:
        self._attributes = keep is Keep.ALL

    def parse(self, line: bytes, now: int) -> LogRecord | None:
        fields = _object(line)
        return None if fields is None else whole_record(fields, line, now, self._attributes)

    def parse_many(self, lines: Sequence[bytes], now: int) -> list[LogRecord | None]:
        rows = objects(_any.decode_lines, lines)
        if rows is None:
            return _in_halves(self, lines, now)
        records: list[LogRecord | None] = [None] * len(lines)
        for keys, numbers in grouped(list(map(tuple, rows))).items():
            alike = [rows[number] for number in numbers], [lines[number] for number in numbers]
            for number, record in zip(numbers, self._alike(keys, *alike, now), strict=True):
                records[number] = record
        return records

    def _alike(
        self, keys: tuple[str, ...], rows: Sequence[dict[str, Any]], lines: Sequence[bytes], now: int
    ) -> Sequence[LogRecord | None]:
        """Objects with the same keys."""
        if len(rows) >= FEWEST:
            columns: dict[str, Sequence[Any]] = dict(zip(keys, zip(*map(dict.values, rows), strict=True), strict=True))
            layout = layout_named(keys, max(lines, key=len))
            made = whole_records(layout, columns, lines, now, self._attributes)
            if made is not None:
                return made
        return [whole_record(row, line, now, self._attributes) for row, line in zip(rows, lines, strict=True)]


class Lifted:
    """Its body is the line."""

    def __init__(self) -> None:
        self._level = "level"
        self._known = _decoder("time", "level", "trace_id", "span_id", "trace_flags")

    def parse(self, line: bytes, now: int) -> LogRecord | None:
        try:
            known = self._known.decode(line)
        except REFUSED:
            return self._learn(line, now)
        return self._record(known, line, now) or self._learn(line, now)

    def parse_many(self, lines: Sequence[bytes], now: int) -> list[LogRecord | None]:
        decoder = self._known
        rows = objects(decoder.decode_lines, lines)
        if rows is None:
            return _in_halves(self, lines, now)
        made = known_records(self._level, rows, lines, now)
        if made is not None:
            return made
        records: list[LogRecord | None] = []
        for known, line in zip(rows, lines, strict=True):
            if self._known is decoder:
                records.append(self._record(known, line, now) or self._learn(line, now))
            else:  # learned from a line before
                records.append(self.parse(line, now))
        return records

    def _record(self, known: Any, line: bytes, now: int) -> LogRecord | None:
        """None where the line needs a look as a whole."""
        level, trace = known.severity, known.trace
        number = of_word(level) if type(level) is str else of_number(self._level, level, line)
        time = nanoseconds(known.time, now)
        if number and time:
            if trace:
                trace = trace_id(trace)
                if trace:
                    flags = known.flags
                    if flags is not None:
                        flags = trace_flags(flags)
                    return LogRecord(line, time, number, str(level), {}, trace, span_id(known.span), flags or 0)
            elif trace is not None or line.find(b"race") < 0:
                return LogRecord(line, time, number, str(level))
        return None

    def _learn(self, line: bytes, now: int) -> LogRecord | None:
        fields = _object(line)
        if fields is None:
            return None
        layout = layout_of(fields, line)
        self._level = layout.severity or "level"
        # A traceparent says more than an id, and the whole line is looked at for it.
        trace = "trace_id" if layout.trace in ("", "traceparent") else layout.trace
        beside = json_names.CONTEXT.get(trace, ("span_id", "trace_flags"))
        self._known = _decoder(layout.time or "time", self._level, trace, *beside)
        return lifted_record(fields, layout, line, now)


@lru_cache(maxsize=32)
def _decoder(*names: str) -> msgspec.json.Decoder[Any]:
    """Of an object's values under these names, as `time`, `severity`, `trace`, `span`, `flags`; None where there is none."""
    roles = ("time", "severity", "trace", "span", "flags")
    known = msgspec.defstruct(
        "Known", [(role, Any, None) for role in roles], rename=dict(zip(roles, names, strict=True)), gc=False
    )
    return msgspec.json.Decoder(known)


def _object(line: bytes) -> dict[str, Any] | None:
    if line[:1] != b"{" and line.lstrip()[:1] != b"{":
        return None
    try:
        fields = _any.decode(line)
    except REFUSED:
        return loose_object(line)
    return fields if type(fields) is dict else None


def _in_halves(format_: Whole | Lifted, lines: Sequence[bytes], now: int) -> list[LogRecord | None]:
    """Lines of which one is no strict JSON."""
    if len(lines) <= SMALL:
        return [format_.parse(line, now) for line in lines]
    half = len(lines) // 2
    return format_.parse_many(lines[:half], now) + format_.parse_many(lines[half:], now)
