"""logfmt, of slog's text handler, logrus, go-kit, Grafana and others:
`time=2024-01-02T03:04:05Z level=info msg="order placed" n=7`.

A line is of this format if it consists of at least two pairs. Their keys mean what they mean in JSON (`json_names`); a line
without a message is its own body.
"""

from __future__ import annotations

from ...logic import severity, timestamps, trace_ids
from ...logic.pairs import Scalar, pairs
from ...model.logs import LogRecord
from . import json_names
from .json_errors import name_error
from .json_values import MAX_ATTRIBUTES, thin
from .text import TextFormat


class Logfmt(TextFormat):
    def parse(self, line: bytes, now: int) -> LogRecord | None:
        fields = pairs(line)
        if fields is None or len(fields) < 2:
            return None
        layout = json_names.remembered(tuple(fields))
        record = LogRecord(line)
        if layout.time:
            record.time = timestamps.nanoseconds(fields[layout.time], now)
            if record.time:
                del fields[layout.time]
        if layout.severity:
            word = str(fields[layout.severity])
            record.severity = severity.of_word(word)
            if record.severity:
                record.severity_text = word
                del fields[layout.severity]
        if layout.trace:
            _lift_context(fields, layout, record)
        if self._raw:
            return record
        if layout.message:
            record.body = str(fields.pop(layout.message)).encode()
        if self._all:
            for name in layout.errors:
                name_error(fields, name)
            if len(fields) > MAX_ATTRIBUTES:
                record.dropped = thin(fields)
            record.attributes = {**fields}
        return record


def _lift_context(fields: dict[str, Scalar], at: json_names.Layout, record: LogRecord) -> None:
    """Ids of digits alone have been taken for integers."""
    trace = str(fields[at.trace])
    if at.trace == "traceparent":
        record.trace_id, record.span_id, record.flags = trace_ids.traceparent(trace)
    else:
        record.trace_id = trace_ids.trace_id(trace)
    if not record.trace_id:
        return
    del fields[at.trace]
    if at.span and not record.span_id:
        record.span_id = trace_ids.span_id(str(fields[at.span]))
        if record.span_id:
            del fields[at.span]
    if at.flags:
        flags = fields.pop(at.flags)
        record.flags = trace_ids.trace_flags(flags if type(flags) is bool else str(flags).zfill(2))
