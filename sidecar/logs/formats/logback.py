"""Logback, Log4j and what is built on them, in their usual patterns.

- Logback's default: `03:04:05.678 [main] INFO c.e.Orders -- message`, with `-key="value"-` where the event has pairs, before 1.3
  ` - `; often with a date before it
- Log4j: `2024-01-02 03:04:05,678 INFO [main] c.e.Orders: message`, or ` - `; without a thread too (Hadoop)
- Spring Boot: `2024-01-02T03:04:05.678Z  INFO 12 --- [app] [  main] [<trace>-<span>] c.e.Orders  : message`; Boot 2 has less
- Tomcat: `02-Jan-2024 03:04:05.678 INFO [main] org.apache.catalina.startup.Catalina.start message`
- Kafka: `[2024-01-02 03:04:05,678] INFO message (kafka.server.KafkaServer)`
- Elasticsearch: `[2024-01-02T03:04:05,678][INFO ][o.e.n.Node     ] [node] message`

A time without a date is of the day that brings it nearest to now.
"""

from __future__ import annotations

import re

from ...logic import severity, timestamps, trace_ids
from ...logic.pairs import pairs
from ...model.logs import LogRecord, Value
from .text import TextFormat, text

_CLOCK = r"\d\d:\d\d:\d\d[.,]\d{3,9}"
_STAMP = rf"(?P<time>\d{{4}}-\d\d-\d\d[ T]{_CLOCK}(?:Z|[+-]\d\d:?\d\d)?)"
_LEVEL = r"(?P<level>TRACE|DEBUG|INFO|WARN|ERROR|FATAL)"
_LOGGER = r"(?P<logger>[A-Za-z_$][\w.$/-]{0,255})"
_THREAD = r"\[ *+(?P<thread>[^\]]{1,255})\]"
_TRACE = r"\[(?:(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})| *+)\]"
_PAIRS = r'(?P<pairs>(?:[^\s="]{1,64}="[^"]*+" ?){0,64}+)'
_DATED = tuple(
    re.compile(layout.encode(), re.ASCII)
    for layout in (
        rf"(?:{_STAMP}|(?P<clock>{_CLOCK})) {_THREAD} {_LEVEL} {{1,2}}{_LOGGER} -(?:{_PAIRS}-)? ",
        rf"{_STAMP} {{1,2}}{_LEVEL} {{1,2}}\d{{1,10}} --- (?:\[[^\]]{{0,255}}\] )?{_THREAD} (?:{_TRACE} )?{_LOGGER} *+: ",
        rf"(?P<time>\d\d-[A-Z][a-z]{{2}}-\d{{4}} {_CLOCK}) (?P<level>[A-Z]{{4,7}}) {_THREAD} {_LOGGER} ",
        rf"{_STAMP} {{1,2}}{_LEVEL} {{1,2}}(?:{_THREAD} |(?=\w++\.)){_LOGGER}(?::| -) ",
    )
)
_ELASTIC = re.compile(rf"\[{_STAMP}\]\[{_LEVEL} ?\]\[{_LOGGER} *+\] ?".encode(), re.ASCII)
_KAFKA = re.compile(rf"\[{_STAMP}\] {_LEVEL} ".encode(), re.ASCII)
_CLASS = re.compile(rb"[A-Za-z_$][\w.$]{0,255}\)", re.ASCII)
_DAY = 86_400 * timestamps.SECOND


class Logback(TextFormat):
    def parse(self, line: bytes, now: int) -> LogRecord | None:
        first = line[:1]
        if first.isdigit():
            for layout in _DATED:
                if found := layout.match(line):
                    return self._made(line, line[found.end() :], found.groupdict(), now)
        elif first == b"[":
            if found := _ELASTIC.match(line):
                return self._made(line, line[found.end() :], found.groupdict(), now)
            if found := _KAFKA.match(line):
                return self._kafka(line, found, now)
        return None

    def _kafka(self, line: bytes, found: re.Match[bytes], now: int) -> LogRecord | None:
        """The logger ends the line."""
        begin = line.rfind(b" (", found.end())
        if begin < 0 or not _CLASS.fullmatch(line, begin + 2):
            return None
        at = {**found.groupdict(), "logger": line[begin + 2 : -1]}
        return self._made(line, line[found.end() : begin], at, now)

    def _made(self, line: bytes, message: bytes, at: dict[str, bytes], now: int) -> LogRecord:
        clock = at.get("clock")
        time = _nearest(clock, now) if clock else timestamps.nanoseconds(at["time"])
        word = at["level"].decode()
        record = self._record(line, message, time, severity.of_word(word), word)
        if at.get("trace"):
            record.trace_id = trace_ids.trace_id(text(at["trace"]))
            record.span_id = trace_ids.span_id(text(at["span"])) if record.trace_id else b""
        if self._all:
            made: dict[str, Value] = {"logger": text(at["logger"])}
            if at.get("thread"):
                made["thread.name"] = text(at["thread"])
            if at.get("pairs"):
                made.update(pairs(at["pairs"]) or {})
            record.attributes = made
        return record


def _nearest(clock: bytes, now: int) -> int:
    """`03:04:05.678` of the day before `now`, that of `now` or the one after it; 0 where there is no such time."""
    hour, minute, second, fraction = int(clock[:2]), int(clock[3:5]), int(clock[6:8]), clock[9:]
    if hour > 23 or minute > 59 or second > 60:
        return 0
    time = (hour * 3600 + minute * 60 + second) * timestamps.SECOND + int(fraction.ljust(9, b"0"))
    midnight = now - now % _DAY
    return min((midnight + days * _DAY + time for days in (-1, 0, 1)), key=lambda at: abs(at - now))
