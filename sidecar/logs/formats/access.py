"""Access logs of nginx, Apache, Gunicorn, Werkzeug and others, in the common or the combined format, with a virtual host before
it or X-Forwarded-For behind it: `127.0.0.1 - - [02/Jan/2024:03:04:05 +0000] "GET /a?b=1 HTTP/1.1" 200 12 "-" "curl/8.5"`.

The body is the request, and what stands behind the fields that are known. The status decides on the severity: from 500 on it is
an error, from 400 on a warning.
"""

from __future__ import annotations

import re

from ...logic import severity, timestamps
from ...logic.ansi import uncolored
from ...model.logs import LogRecord, Value
from .request_line import request_attributes
from .text import TextFormat, text

_QUOTED = rb'"((?:[^"\\]++|\\.)*+)"'
_LINE = re.compile(
    rb'(?:([^\s:"]{1,255}):(\d{1,5}) )?([^\s"]{1,255}) [^\s"]{1,255} ([^\["]{1,255}) \[([^\]"]{16,40})\] '
    + _QUOTED
    + rb" (\d{3}|-) (\d{1,18}|-)(?= |$)(?: "
    + _QUOTED
    + rb" "
    + _QUOTED
    + rb"(?= |$))?",
    re.ASCII | re.DOTALL,
)
_FORWARDED = re.compile(rb' "([0-9A-Fa-f:., ]{2,1024}|-)"')
_ESCAPE = re.compile(rb"\\(?:x([0-9A-Fa-f]{2})|(.))", re.DOTALL)
_LETTERS = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"b": b"\b", b"v": b"\v"}
_FURTHEST = 1100
"""Where the request begins at the latest."""


class Access(TextFormat):
    def parse(self, line: bytes, now: int) -> LogRecord | None:
        if line.find(b'] "', 0, _FURTHEST) < 0:
            return None
        plain = uncolored(line)
        found = _LINE.match(plain)
        if found is None:
            return None
        host, port, client, user, time, request, status, size, referer, agent = found.groups()
        rest = plain[found.end() :]
        forwarded = _FORWARDED.fullmatch(rest) if rest else None
        record = self._record(
            line,
            request if forwarded or not rest else request + rest,
            timestamps.nanoseconds(time, now),
            _severity(status),
        )
        if self._all:
            made: dict[str, Value] = {"client.address": text(client)}
            if user != b"-":
                made["user.name"] = text(user)
            if host:
                made["server.address"] = text(host)
                made["server.port"] = int(port)
            made.update(request_attributes(request))
            if status != b"-":
                made["http.response.status_code"] = int(status)
            if size != b"-":
                made["http.response.body.size"] = int(size)
            if agent and agent != b"-":
                made["user_agent.original"] = _unescaped(agent)
            if referer and referer != b"-":
                made["http.request.header.referer"] = [_unescaped(referer)]
            if forwarded and forwarded[1] != b"-":
                made["http.request.header.x-forwarded-for"] = [text(forwarded[1])]
            record.attributes = made
        return record


def _severity(status: bytes) -> int:
    if status < b"400":
        return severity.INFO
    return severity.WARN if status < b"500" else severity.ERROR


def _unescaped(field: bytes) -> str:
    """nginx writes `\\x22`, Apache `\\"`."""
    return text(_ESCAPE.sub(_byte, field) if b"\\" in field else field)


def _byte(escape: re.Match[bytes]) -> bytes:
    return bytes([int(escape[1], 16)]) if escape[1] else _LETTERS.get(escape[2], escape[2])
