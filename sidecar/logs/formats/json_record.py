"""What the fields of one JSON line become: `json` says what stands where."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...logic import severity, trace_ids
from ...logic.timestamps import nanoseconds
from ...model.logs import Keep, LogRecord
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


def make_record(fields: dict[str, Any], layout: Layout, line: bytes, now: int, keep: Keep) -> LogRecord:
    record = LogRecord(line)
    if layout.time:
        record.time = nanoseconds(fields[layout.time], now)
        if record.time:
            del fields[layout.time]
        else:
            record.time = _other_time(fields, now)
    if layout.severity:
        level = fields[layout.severity]
        record.severity = of_level(layout.severity, level, line)
        if record.severity:
            record.severity_text = str(level)
            del fields[layout.severity]
        else:
            _other_severity(fields, line, record)
    if layout.trace:
        _lift_context(fields, layout, record)
    if layout.holders and not record.trace_id:
        _find_context(fields, layout, record)
    if keep is Keep.LIFTED:
        return record
    if layout.message:
        message = fields[layout.message]
        if type(message) is str:
            record.body = message.encode()
            del fields[layout.message]
    if keep is Keep.NONE:
        return record
    for old, new in layout.renamed:
        kind = type(fields.get(old))
        if kind is str or kind is int:
            fields[new] = fields.pop(old)
    for name in layout.errors:
        if name in fields:
            name_error(fields, name)
    if layout.source:
        name_source(fields)
    if layout.over:
        record.dropped = thin(fields)
    bound(fields)
    record.attributes = fields
    return record


def of_level(name: str, level: object, line: bytes) -> int:
    if type(level) is str:
        number = severity.of_word(level)
        if number or len(level) > 5 or not level.isdecimal():
            return number
        level = int(level)
    return of_number(name, level, line)


def of_number(name: str, level: object, line: bytes) -> int:
    """Which scale a number is of says its name. As `level` it is syslog's up to 7, and after that pino's, unless the line says
    where in Python it was written."""
    if type(level) is not int:
        return 0
    scale = _SCALES.get(name)
    if scale is None:
        if level < 10:
            scale = severity.of_syslog
        elif level < 100:
            scale = severity.of_python if b'"lineno"' in line or b'"funcName"' in line else severity.of_pino
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


def _other_severity(fields: dict[str, Any], line: bytes, record: LogRecord) -> None:
    """Where the first name that may be a level's holds something else, or ECS's object `log`."""
    for name in json_names.SEVERITY:
        holder, key, level = fields, name, fields.get(name)
        if name == "log" and type(level) is dict:
            holder, key, level = level, "level", level.get("level")
        record.severity = of_level(name, level, line)
        if record.severity:
            record.severity_text = str(level)
            del holder[key]
            if not holder:
                del fields[name]
            return


def _lift_context(fields: dict[str, Any], at: Layout, record: LogRecord) -> None:
    if at.trace == "traceparent":
        record.trace_id, record.span_id, record.flags = trace_ids.traceparent(fields[at.trace])
        if record.trace_id:
            del fields[at.trace]
        return
    record.trace_id = trace_ids.trace_id(fields[at.trace])
    if not record.trace_id:
        return
    del fields[at.trace]
    if at.span:
        record.span_id = trace_ids.span_id(fields[at.span])
        if record.span_id:
            del fields[at.span]
    if at.flags:
        record.flags = trace_ids.flags(fields.pop(at.flags))


def _find_context(fields: dict[str, Any], layout: Layout, record: LogRecord) -> None:
    """In an object of the line, which is kept as it is."""
    trace, span = fields.get("trace"), fields.get("span")
    if type(trace) is dict:
        record.trace_id = trace_ids.trace_id(trace.get("id"))
        if record.trace_id and type(span) is dict:
            record.span_id = trace_ids.span_id(span.get("id"))
    for name in layout.holders:
        holder = fields[name]
        if record.trace_id:
            return
        if type(holder) is dict:
            at = json_names.layout(tuple(holder))
            if at.trace:
                _lift_context(dict(holder), at, record)
