"""Syslog, as it is sent and as it stands in /var/log.

- RFC 5424: `<165>1 2003-10-11T22:14:15.003Z host app 12 ID47 [example@32473 iut="3"] message`
- RFC 3164: `<34>Oct 11 22:14:15 host su[12]: message`, also without the host, as programs send it to /dev/log
- either without `<priority>`, and with the time of rsyslog since 8.2210: `2003-10-11T22:14:15.003+00:00 host su[12]: message`

The names are those of the appendix of OpenTelemetry's data model. Structured data become one attribute per element, with the
element's id for its name and its parameters within. Without a priority the severity is that of a word at the message's beginning.
"""

from __future__ import annotations

import re

from ...logic import severity, timestamps
from ...logic.level_guess import guess
from ...model.logs import LogRecord, Value
from .text import TextFormat, text

_PRIORITY = re.compile(rb"<(\d{1,3})>", re.ASCII)
_ISO = rb"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)"
_RFC5424 = re.compile(rb"1 (-|" + _ISO + rb") (\S{1,255}) (\S{1,48}) (\S{1,128}) (\S{1,32}) (?=-(?: |$)|\[)", re.ASCII)
# The host is missing where the tag follows at once. Programs that put a level there are no syslog.
_RFC3164 = re.compile(
    rb"([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|" + _ISO + rb") "
    rb"(?:((?!(?:TRACE|DEBUG|INFO|WARN|ERROR) )[^\s:\[\]]{1,255}) )?"
    rb"([^\s:\[\]{}\"]{1,128})(?:\[([^\s\]]{1,64})\])?:(?: |$)",
    re.ASCII,
)
_STAMPED = re.compile(rb"([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|" + _ISO + rb") ", re.ASCII)
_VALUE = rb'="((?:[^"\\]++|\\.)*+)"'
_ELEMENT = re.compile(rb'\[([^\s="\]]{1,64})((?: [^\s="\]]{1,64}="(?:[^"\\]++|\\.)*+"){0,256}+)\]', re.DOTALL)
_PARAMETER = re.compile(rb' ([^\s="\]]{1,64})' + _VALUE, re.DOTALL)
_ESCAPE = re.compile(r'\\(["\\\]])')
_MAX_ELEMENTS = 64
_WORDS = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
_BOM = b"\xef\xbb\xbf"


class Syslog(TextFormat):
    def parse(self, line: bytes, now: int) -> LogRecord | None:
        priority = _PRIORITY.match(line) if line[:1] == b"<" else None
        start = priority.end() if priority else 0
        found = _RFC5424.match(line, start)
        if found:
            record = self._of_5424(line, found)
        else:
            found = _RFC3164.match(line, start)
            if found and (found[2] or priority):
                record = self._of_3164(line, found, now)
            elif priority:
                record = self._untagged(line, start, now)
            else:
                return None
        if priority:
            number = int(priority[1])
            if number > 191:
                return None
            record.severity, record.severity_text = severity.of_syslog(number & 7), _WORDS[number & 7]
            if self._all:
                record.attributes["syslog.facility"] = number >> 3
        return record

    def _of_5424(self, line: bytes, found: re.Match[bytes]) -> LogRecord:
        time, host, app, process, message_id = found.groups()
        data, end = _structured(line, found.end())
        message = line[end:].removeprefix(b" ").removeprefix(_BOM)
        record = self._record(line, message, timestamps.nanoseconds(time), *guess(message))
        if self._all:
            named = {
                "host.name": host,
                "syslog.appname": app,
                "syslog.procid": process,
                "syslog.msgid": message_id,
            }
            record.attributes = {
                "syslog.version": 1,
                **{name: text(field) for name, field in named.items() if field != b"-"},
                **data,
            }
        return record

    def _of_3164(self, line: bytes, found: re.Match[bytes], now: int) -> LogRecord:
        time, host, tag, process = found.groups()
        message = line[found.end() :]
        record = self._record(line, message, timestamps.nanoseconds(time, now), *guess(message))
        if self._all:
            named = {"host.name": host, "syslog.appname": tag, "syslog.procid": process}
            record.attributes = {name: text(field) for name, field in named.items() if field}
        return record

    def _untagged(self, line: bytes, start: int, now: int) -> LogRecord:
        """RFC 3164, section 4.3: whatever stands behind a priority is a message."""
        found = _STAMPED.match(line, start)
        if found is None:
            return self._record(line, line[start:], 0, 0)
        return self._record(line, line[found.end() :], timestamps.nanoseconds(found[1], now), 0)


def _structured(line: bytes, start: int) -> tuple[dict[str, Value], int]:
    """The elements from `start` on, and where they end; what is no element is left to the message."""
    if line[start : start + 1] == b"-":
        return {}, start + 1
    data: dict[str, Value] = {}
    end = start
    while len(data) < _MAX_ELEMENTS and (element := _ELEMENT.match(line, end)):
        data[text(element[1])] = {
            text(parameter[1]): _ESCAPE.sub(r"\1", text(parameter[2])) for parameter in _PARAMETER.finditer(element[2])
        }
        end = element.end()
    return data, end
