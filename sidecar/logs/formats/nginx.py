"""nginx's error log: `2024/01/02 03:04:05 [error] 29#29: *7 open() "/a" failed (2: No such file or directory), client: 10.0.0.1,
server: _, request: "GET /a HTTP/1.1", host: "localhost"`, at a time in nginx's zone.

The body is all of the message; the client and the request are attributes too.
"""

from __future__ import annotations

import re

from ...logic import severity
from ...model.logs import LogRecord, Value
from .request_line import request_attributes
from .text import TextFormat, text

_LINE = re.compile(
    rb"(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) \[(debug|info|notice|warn|error|crit|alert|emerg)\] "
    rb"(\d{1,10})#(\d{1,10}): (?:\*(\d{1,18}) )?",
    re.ASCII,
)
_CONTEXT = re.compile(rb', client: ([^\s,]{1,255})(?:, server: [^,"]{0,1024})?(?:, request: "([^"]*+)")?')


class Nginx(TextFormat):
    def parse(self, line: bytes, now: int) -> LogRecord | None:
        found = _LINE.match(line)
        if found is None:
            return None
        second, level, pid, thread, connection = found.groups()
        word = level.decode()
        record = self._record(line, line[found.end() :], self._time(second, b"", now), severity.of_word(word), word)
        if self._all:
            made: dict[str, Value] = {"process.pid": int(pid), "thread.id": int(thread)}
            if connection:
                made["nginx.connection"] = int(connection)
            context = _CONTEXT.match(line, at) if (at := line.rfind(b", client: ")) > 0 else None
            if context:
                made["client.address"] = text(context[1])
                if context[2]:
                    made.update(request_attributes(context[2]))
            record.attributes = made
        return record
