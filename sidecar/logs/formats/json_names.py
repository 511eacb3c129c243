"""The names that the JSON dialects give to what every record has, the more telling ones first.

zap (`ts level msg caller logger stacktrace`), zerolog (`time level message error`), slog (`time level msg source`), logrus
(`time level msg error`), structlog (`timestamp level event`), pino (`time level msg pid hostname err`), bunyan (`time level msg v
name err`), tracing-subscriber (`timestamp level fields target span spans`), ECS (`@timestamp log.level message trace.id span.id
error.stack_trace`, flat or nested), logstash's encoder for logback (`@timestamp level level_value message logger_name thread_name
stack_trace`), logback's own (`timestamp level message mdc`), log4j2 (`instant level message contextMap`), GELF (`timestamp level
short_message`), Google Cloud (`time severity message logging.googleapis.com/trace`), Serilog's compact form (`@t @l @m @x
@tr`), .NET's console (`Timestamp LogLevel Message`), python-json-logger (`asctime levelname message exc_info`), MongoDB
(`t s c ctx msg`).
"""

from __future__ import annotations

from functools import lru_cache

import msgspec

from .json_values import MAX_ATTRIBUTES, MAX_KEY

TIME = ("time", "timestamp", "@timestamp", "ts", "@t", "Timestamp", "datetime", "asctime", "instant", "timeMillis", "t")
SEVERITY = (
    *("level", "severity", "log.level", "levelname", "LogLevel", "@l", "lvl", "Level", "severity_text", "severityText"),
    *("log", "level_value", "levelno", "level_number", "severity_number", "severityNumber", "PRIORITY"),
)
MESSAGE = ("message", "msg", "event", "short_message", "@m", "Message", "MESSAGE", "@message", "@mt")
CONTEXT = {
    "trace_id": ("span_id", "trace_flags"),
    "traceId": ("spanId", "traceFlags"),
    "trace.id": ("span.id", "trace.flags"),
    "traceID": ("spanID", "traceFlags"),
    "TraceId": ("SpanId", "TraceFlags"),
    "traceid": ("spanid", "traceflags"),
    "@tr": ("@sp", "TraceFlags"),
    "otelTraceID": ("otelSpanID", "otelTraceSampled"),
    "logging.googleapis.com/trace": ("logging.googleapis.com/spanId", "logging.googleapis.com/trace_sampled"),
}
"""Names of a trace id, and those that the span id and the flags have beside it."""
TRACE = (*CONTEXT, "traceparent")
HOLDERS = ("span", "otel", "openTelemetry", "opentelemetry", "trace_context", "mdc", "contextMap")
"""Objects that may hold the trace context."""
ERRORS = ("err", "error", "exception")
"""An error's message, its stack, or an object of both."""
MONGODB = {"t", "s", "c", "ctx", "msg"}
RENAMED = {
    "error.type": "exception.type",
    "error.message": "exception.message",
    "error.stack_trace": "exception.stacktrace",
    "stack_trace": "exception.stacktrace",
    "stacktrace": "exception.stacktrace",
    "stack": "exception.stacktrace",
    "exc_info": "exception.stacktrace",
    "@x": "exception.stacktrace",
}
LOCATIONS = (
    {"filename": "code.file.path", "line_number": "code.line.number"},
    {"pathname": "code.file.path", "lineno": "code.line.number", "funcName": "code.function.name"},
)
"""Of tracing-subscriber and Python, where all of them are there: one alone may mean something else."""


class Layout(msgspec.Struct, frozen=True, gc=False):
    """Which of a line's keys means what; "" where none does.

    `renamed` are keys and their conventional names, where the value is a text or a number; `errors` and `holders` those of
    `ERRORS` and `HOLDERS` that are there, and `trace`. `source` is whether there is one, `renames` whether any of
    these is not empty, `unfolds`
    whether `fields` may hold the message.
    `over` is whether there are more keys, or longer ones, than become attributes.
    """

    time: str = ""
    severity: str = ""
    message: str = ""
    trace: str = ""
    span: str = ""
    flags: str = ""
    renamed: tuple[tuple[str, str], ...] = ()
    errors: tuple[str, ...] = ()
    holders: tuple[str, ...] = ()
    source: bool = False
    renames: bool = False
    unfolds: bool = False
    over: bool = False


def layout(keys: tuple[str, ...]) -> Layout:
    present = set(keys)

    def first(names: tuple[str, ...]) -> str:
        return next((name for name in names if name in present), "")

    renamed = {new: old for old, new in reversed(RENAMED.items()) if old in present and new not in present}
    for location in LOCATIONS:
        if location.keys() <= present:
            renamed.update({new: old for old, new in location.items() if new not in present})
    message = first(MESSAGE)
    trace = first(TRACE)
    span, flags = CONTEXT.get(trace, ("", ""))
    errors = tuple(name for name in ERRORS if name in present)
    return Layout(
        first(TIME),
        first(SEVERITY) or ("s" if present >= MONGODB else ""),
        message,
        trace,
        span if span in present else "",
        flags if flags in present else "",
        tuple((old, new) for new, old in renamed.items()),
        errors,
        tuple(name for name in HOLDERS if name in present) + (("trace",) if "trace" in present else ()),
        "source" in present,
        bool(renamed or errors or "source" in present),
        not message and "fields" in present,
        len(keys) > MAX_ATTRIBUTES or not all(0 < len(key.encode()) <= MAX_KEY for key in keys),
    )


remembered = lru_cache(maxsize=256)(layout)
"""`layout`, for keys that are not long: a program has few shapes of lines."""
