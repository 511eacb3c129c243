"""Rust's tracing-subscriber, as text, and env_logger.

- `2024-01-02T03:04:05.678901Z  INFO request{method="GET"}: shop::orders: message order=7`: the spans in which it happened stand
  before the target. The event's fields stand behind the message and stay in the body: nothing tells them from it. A span without
  fields is not told from a target.
- `[2024-01-02T03:04:05Z WARN  shop::orders] message`

Colours are taken out.
"""

from __future__ import annotations

import re

from ...logic import severity, timestamps
from ...logic.ansi import uncolored
from ...model.logs import LogRecord, Value
from .text import TextFormat, text

_STAMP = rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d))"
_LEVEL = rb"(TRACE|DEBUG|INFO|WARN|ERROR)"
_TRACING = re.compile(
    _STAMP + rb" {1,2}" + _LEVEL + rb" (?:(?P<thread>[\w-]{1,64}) )?(?:ThreadId\(\d{1,10}\) )?(?=[\w.-]{1,255}[:{])",
    re.ASCII,
)
_NESTED = re.compile(rb"[^\s{]{1,255}\{")
_SPAN = re.compile(rb"[^\s{:]{1,255}([{:])")
_TARGET = re.compile(rb"([\w.-](?:[\w.:-]{0,254}[\w.-])?): (?:([^\s:]{1,255}\.rs):(?:(\d{1,9}):)? )?", re.ASCII)
_ENV_LOGGER = re.compile(rb"\[" + _STAMP + rb" " + _LEVEL + rb" {1,2}(?:([\w.:-]{1,255}))?\] ", re.ASCII)
_LONGEST = 8192
"""Bytes of a span's fields."""


class Rust(TextFormat):
    def parse(self, line: bytes, now: int) -> LogRecord | None:
        plain = uncolored(line)
        found = _TRACING.match(plain)
        if found:
            return self._tracing(line, plain, found)
        found = _ENV_LOGGER.match(plain)
        if found is None:
            return None
        time, level, target = found.groups()
        word = level.decode()
        message = plain[found.end() :]
        record = self._record(line, message, timestamps.nanoseconds(time), severity.of_word(word), word)
        if target and self._all:
            record.attributes = {"target": text(target)}
        return record

    def _tracing(self, line: bytes, plain: bytes, found: re.Match[bytes]) -> LogRecord | None:
        begin = found.end()
        end = _spans(plain, begin) if _NESTED.match(plain, begin) else begin
        target = _TARGET.match(plain, end)
        if target is None and end == begin:
            return None
        message = plain[target.end() if target else end :]
        word = found[2].decode()
        record = self._record(line, message, timestamps.nanoseconds(found[1]), severity.of_word(word), word)
        if self._all:
            made: dict[str, Value] = {}
            if found["thread"]:
                made["thread.name"] = text(found["thread"])
            if end > begin:
                made["spans"] = text(plain[begin : end - 2])
            if target:
                made["target"] = text(target[1])
                if target[2]:
                    made["code.file.path"] = text(target[2])
                if target[3]:
                    made["code.line.number"] = int(target[3])
            record.attributes = made
        return record


def _spans(line: bytes, begin: int) -> int:
    """Where what follows `name{field=1}:name: ` begins; `begin`, where that is no list of spans."""
    at = begin
    while found := _SPAN.match(line, at):
        at = found.end()
        if found[1] == b"{":
            at = line.find(b"}:", at, at + _LONGEST) + 2
            if at == 1:
                return begin
        if line[at : at + 1] == b" ":
            return at + 1
    return begin
