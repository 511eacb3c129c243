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
from operator import attrgetter
from typing import Any

import msgspec

from ...logic import severity, trace_ids
from ...logic.loose_json import loose_object
from ...logic.needles import holds
from ...logic.timestamps import nanoseconds
from ...model.logs import Keep, LogRecord
from .json_block import FEWEST, REFUSED, grouped, make_records, objects
from .json_names import Layout
from .json_record import layout_named, layout_of, make_record, of_number

SMALL = 32
"""Lines of a block that is not cut any smaller to keep a line that is no strict JSON from the others."""
LIFTED = ("time", "severity", "trace", "span", "flags")
"""The roles of what is decoded of a line of which nothing else is wanted."""

_any = msgspec.json.Decoder()


class Json:
    def __init__(self, keep: Keep) -> None:
        self._keep = keep
        self._known = Layout("time", "level", "", "trace_id", "span_id", "trace_flags")
        """The names of `LIFTED` in this stream."""
        self._decoder = _decoder(self._known)
        self.parse = self._lifted if keep is Keep.LIFTED else self._whole

    def parse_many(self, lines: Sequence[bytes], now: int) -> list[LogRecord | None]:
        lifted = self._keep is Keep.LIFTED
        rows = objects((self._decoder if lifted else _any).decode_lines, lines)
        if rows is None:
            if len(lines) <= SMALL:
                return [self.parse(line, now) for line in lines]
            half = len(lines) // 2
            return self.parse_many(lines[:half], now) + self.parse_many(lines[half:], now)
        records: list[LogRecord | None] = [None] * len(lines)
        make = self._lifted_group if lifted else self._whole_group
        for numbers in grouped([not row.trace for row in rows] if lifted else list(map(tuple, rows))).values():
            made = make([rows[number] for number in numbers], [lines[number] for number in numbers], now)
            for number, record in zip(numbers, made, strict=True):
                records[number] = record
        return records

    def _whole_group(self, rows: Sequence[dict[str, Any]], lines: Sequence[bytes], now: int) -> Sequence[LogRecord]:
        """Objects with the same keys."""
        if len(rows) >= FEWEST:
            names = tuple(rows[0])
            columns: dict[str, Sequence[Any]] = dict(zip(names, zip(*map(dict.values, rows), strict=True), strict=True))
            made = make_records(layout_named(names, max(lines, key=len)), columns, lines, now, self._keep)
            if made is not None:
                return made
        pairs = zip(rows, lines, strict=True)
        return [make_record(row, layout_of(row, line), line, now, self._keep) for row, line in pairs]

    def _lifted_group(self, rows: Sequence[Any], lines: Sequence[bytes], now: int) -> Sequence[LogRecord | None]:
        """Lines that all have a trace id, or none of which has one."""
        known = self._known
        columns = dict(zip(_names(known), zip(*map(_values, rows), strict=True), strict=True))
        if not rows[0].trace:
            known = msgspec.structs.replace(known, trace="")
        if known.trace or not holds(b"\n".join(lines), b"race"):
            made = make_records(known, columns, lines, now, self._keep)
            if made is not None:
                return made
        return [self._lifted(line, now) for line in lines]

    def _whole(self, line: bytes, now: int) -> LogRecord | None:
        fields = _object(line)
        return make_record(fields, layout_of(fields, line), line, now, self._keep) if fields is not None else None

    def _lifted(self, line: bytes, now: int) -> LogRecord | None:
        try:
            known = self._decoder.decode(line)
        except REFUSED:
            return self._learn(line, now)
        level = known.severity
        number = severity.of_word(level) if type(level) is str else of_number(self._known.severity, level, line)
        time = nanoseconds(known.time, now)
        if not number or not time:
            return self._learn(line, now)
        trace = known.trace
        if trace:
            trace = trace_ids.trace_id(trace)
            if trace:
                span, flags = trace_ids.span_id(known.span), trace_ids.flags(known.flags)
                return LogRecord(line, time, number, str(level), {}, trace, span, flags)
            return self._learn(line, now)
        if trace is None and b"race" in line:
            return self._learn(line, now)
        return LogRecord(line, time, number, str(level))

    def _learn(self, line: bytes, now: int) -> LogRecord | None:
        fields = _object(line)
        if fields is None:
            return None
        layout = layout_of(fields, line)
        self._known = Layout(
            layout.time or "time",
            layout.severity or "level",
            "",
            layout.trace if layout.trace not in ("", "traceparent") else "trace_id",
            layout.span or "span_id",
            layout.flags or "trace_flags",
        )
        self._decoder = _decoder(self._known)
        return make_record(fields, layout, line, now, Keep.LIFTED)


_values = msgspec.structs.astuple
_names = attrgetter(*LIFTED)


@lru_cache(maxsize=32)
def _decoder(known: Layout) -> msgspec.json.Decoder[Any]:
    """Of an object's values under these names, by their roles; None where there is none."""
    names = dict(zip(LIFTED, _names(known), strict=True))
    made = msgspec.defstruct("Known", [(role, Any, None) for role in LIFTED], rename=names, gc=False)
    return msgspec.json.Decoder(made)


def _object(line: bytes) -> dict[str, Any] | None:
    if line[:1] != b"{" and line.lstrip()[:1] != b"{":
        return None
    try:
        fields = _any.decode(line)
    except REFUSED:
        return loose_object(line)
    return fields if type(fields) is dict else None
