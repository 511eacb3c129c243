"""What the fields of one JSON line become: `json_names` says what stands where."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...logic import severity
from ...logic.severity import of_word
from ...logic.timestamps import nanoseconds
from ...logic.trace_ids import span_id, trace_flags, trace_id, traceparent
from ...model.logs import LogRecord
from . import json_names
from .json_errors import name_error, name_source
from .json_names import Layout
from .json_values import bound, thin

MAX_REMEMBERED = 4096
"""Bytes of the longest line whose keys are remembered."""

_SCALES: dict[str, Callable[[int], int]] = {
    "level_value": severity.of_logback,
    "levelno": severity.of_python,
    "level_number": severity.of_python,
    "severity_number": severity.of_otel,
    "severityNumber": severity.of_otel,
    "PRIORITY": severity.of_syslog,
}
_NO_CONTEXT = (b"", b"", 0)


def layout_of(fields: dict[str, Any], line: bytes) -> Layout:
    """Of `fields`; those of tracing-subscriber's `fields` become fields of the line first."""
    layout = layout_named(tuple(fields), line)
    if layout.unfolds and type(fields["fields"]) is dict:
        for name, value in fields.pop("fields").items():
            fields[f"fields.{name}" if name in fields else name] = value
        layout = layout_named(tuple(fields), line)
    return layout


def layout_named(names: tuple[str, ...], line: bytes) -> Layout:
    """Of fields with these names, which the line holds."""
    return (json_names.remembered if len(line) <= MAX_REMEMBERED else json_names.layout)(names)


def whole_record(fields: dict[str, Any], line: bytes, now: int, attributes: bool) -> LogRecord | None:
    """With the message as its body; with `attributes` what is left of the fields becomes them."""
    layout = layout_of(fields, line)
    record = lifted_record(fields, layout, line, now)
    if layout.message:
        message = fields[layout.message]
        if type(message) is str:
            record.body = message.encode()
            del fields[layout.message]
    if attributes:
        if layout.renames:
            _rename(fields, layout)
        if layout.over:
            record.dropped = thin(fields)
        try:
            bound(fields)
        except RecursionError:
            return None  # it could just be decoded; writing it takes a little more of the stack
        record.attributes = fields
    return record


def lifted_record(fields: dict[str, Any], layout: Layout, line: bytes, now: int) -> LogRecord:
    """With the line as its body. What it takes is no more in `fields`."""
    time = number = 0
    text = ""
    if layout.time:
        time = nanoseconds(fields[layout.time], now)
        if time:
            del fields[layout.time]
        else:
            time = _other_time(fields, now)
    if layout.severity:
        level = fields[layout.severity]
        number = of_level(layout.severity, level, line)
        if number:
            text = str(level)
            del fields[layout.severity]
        else:
            number, text = _other_severity(fields, line)
    if not layout.trace and not layout.holders:
        return LogRecord(line, time, number, text)
    trace, span, flags = _context(fields, layout) if layout.trace else _NO_CONTEXT
    if not trace:
        trace, span, flags = _find_context(fields, layout.holders)
    return LogRecord(line, time, number, text, {}, trace, span, flags)


def _rename(fields: dict[str, Any], layout: Layout) -> None:
    for old, new in layout.renamed:
        kind = type(fields.get(old))
        if kind is str or kind is int:
            fields[new] = fields.pop(old)
    for name in layout.errors:
        if name in fields:
            name_error(fields, name)
    if layout.source:
        name_source(fields)


def of_level(name: str, level: object, line: bytes) -> int:
    if type(level) is str:
        number = of_word(level)
        if number or len(level) > 5 or not level.isdecimal():
            return number
        level = int(level)
    return of_number(name, level, line)


def of_number(name: str, level: object, line: bytes) -> int:
    """Which scale a number is of says its name. As `level` it is syslog's up to 7, and after that pino's and bunyan's, unless the
    line says where in Python it was written."""
    if type(level) is not int:
        return 0
    scale = _SCALES.get(name)
    if scale is None:
        if level < 10:
            scale = severity.of_syslog
        elif level < 100:
            scale = severity.of_pino if line.find(b'"lineno"') < 0 else severity.of_python
        else:
            scale = severity.of_logback
    return scale(level)


def _other_time(fields: dict[str, Any], now: int) -> int:
    """Where the first name that may be a time's holds something else, or an object."""
    for name in json_names.TIME:
        value = fields.get(name)
        if type(value) is dict:
            seconds, rest = value.get("epochSecond"), value.get("nanoOfSecond")
            if type(seconds) is int and type(rest) is int and 0 <= rest < 10**9:
                time = nanoseconds(seconds)
                time = time and time + rest
            else:
                time = nanoseconds(value.get("$date"), now)
        else:
            time = nanoseconds(value, now)
        if time:
            del fields[name]
            return time
    return 0


def _other_severity(fields: dict[str, Any], line: bytes) -> tuple[int, str]:
    """Where the first name that may be a level's holds something else, or ECS's object `log`."""
    log = fields.get("log")
    if type(log) is dict:
        level = log.get("level")
        number = of_level("level", level, line)
        if number:
            del log["level"]
            if not log:
                del fields["log"]
            return number, str(level)
    for name in json_names.SEVERITY:
        level = fields.get(name)
        number = of_level(name, level, line)
        if number:
            del fields[name]
            return number, str(level)
    return 0, ""


def _context(fields: dict[str, Any], at: Layout) -> tuple[bytes, bytes, int]:
    if at.trace == "traceparent":
        found = traceparent(fields[at.trace])
        if found[0]:
            del fields[at.trace]
        return found
    trace = trace_id(fields[at.trace])
    if not trace:
        return _NO_CONTEXT
    del fields[at.trace]
    span = span_id(fields[at.span]) if at.span else b""
    if span:
        del fields[at.span]
    return trace, span, trace_flags(fields.pop(at.flags)) if at.flags else 0


def _find_context(fields: dict[str, Any], holders: tuple[str, ...]) -> tuple[bytes, bytes, int]:
    """In an object of the line, which is kept as it is."""
    for name in holders:
        holder = fields.get(name)
        if type(holder) is not dict:
            continue
        if name == "trace":
            span = fields.get("span")
            trace = trace_id(holder.get("id"))
            found = trace, span_id(span.get("id")) if type(span) is dict else b"", 0
        else:
            at = json_names.layout(tuple(holder))
            found = _context(dict(holder), at) if at.trace else _NO_CONTEXT
        if found[0]:
            return found
    return _NO_CONTEXT
