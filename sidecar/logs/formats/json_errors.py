"""Errors and source locations under OpenTelemetry's names: `exception.type`, `exception.message`, `exception.stacktrace`,
`code.file.path`, `code.line.number`, `code.function.name`."""

from __future__ import annotations

from typing import Any

_PARTS = {
    "exception.type": ("type", "name"),
    "exception.message": ("message", "msg"),
    "exception.stacktrace": ("stack", "stack_trace", "stacktrace"),
}
_SOURCE = {"file": "code.file.path", "line": "code.line.number", "function": "code.function.name"}


def name_error(fields: dict[str, Any], name: str) -> None:
    """Give the error at `name` its conventional names. A text is a message, or a stack where it has more than one line; of an
    object, what has no such name stays where it is."""
    value = fields[name]
    if type(value) is str:
        to = "exception.stacktrace" if "\n" in value else "exception.message"
        if to not in fields:
            fields[to] = fields.pop(name)
    elif type(value) is dict:
        for to, parts in _PARTS.items():
            part = next((part for part in parts if type(value.get(part)) is str), None)
            if part is not None and to not in fields:
                fields[to] = value.pop(part)
        if not value:
            del fields[name]


def name_source(fields: dict[str, Any]) -> None:
    """Go's `slog` writes where a line comes from as `source`, an object of exactly file, line and function."""
    value = fields["source"]
    if type(value) is dict and value.keys() == _SOURCE.keys():
        for part, name in _SOURCE.items():
            fields[name] = value[part]
        del fields["source"]
