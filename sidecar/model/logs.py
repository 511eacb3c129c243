"""Log records on their way from a source to OTLP.

A *stream* is one sequence of lines: a file (by identity, not by name), a container's output, standard input. Every line of a
stream has a *mark*: an integer that rises strictly, says where the stream goes on behind the line, and means the same after a
restart. Of a file it is `generation << OFFSET_BITS | offset`; of an API `nanoseconds << ORDINAL_BITS | ordinal`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

import msgspec

OFFSET_BITS = 48
ORDINAL_BITS = 16
"""With 64 for the time that is 80, and no mark has more."""

Value: TypeAlias = "str | int | float | bool | list[Value] | dict[str, Value] | None"


SEVERITIES = ("unspecified", "trace", "debug", "info", "warn", "error", "fatal")
"""OpenTelemetry's ranges of severity numbers: 0, 1 to 4, 5 to 8, and so on."""


def range_of(severity: int) -> str:
    """The name of a severity number's range."""
    return SEVERITIES[(severity + 3) // 4]


class Keep(StrEnum):
    """What becomes of a structured line's fields beside those that every record has (time, severity, trace context).

    `all`: the body is the message, every other field an attribute. `lifted`: the body is the line as it was written.
    `none`: the body is the message, the other fields are dropped.
    """

    ALL = "all"
    LIFTED = "lifted"
    NONE = "none"


class StartAt(StrEnum):
    """Where reading begins at the very first start; what comes to be later is read from its beginning."""

    BEGINNING = "beginning"
    END = "end"


class LogRecord(msgspec.Struct, gc=False):
    """What a format has made of a line; https://opentelemetry.io/docs/specs/otel/logs/data-model/.

    `dropped` counts fields of the line that would have been too many attributes, or had too long names. Nothing in a record may
    refer to the record: the collector of cycles does not look at it.

    `time` is unix nanoseconds, 0 where the line says none. `severity` is OpenTelemetry's number, 1 to 24, 0 where unknown;
    `severity_text` is the word in the line. `body` is UTF-8, or bytes that may not be. `trace_id` has 16 bytes, `span_id` 8, or
    none. `encoded` are the attributes as OTLP's bytes (`logic.otlp_columns`), where a format has encoded them already.
    """

    body: bytes
    time: int = 0
    severity: int = 0
    severity_text: str = ""
    attributes: dict[str, Value] = {}
    trace_id: bytes = b""
    span_id: bytes = b""
    flags: int = 0
    dropped: int = 0
    encoded: bytes = b""
