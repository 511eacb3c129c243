"""Apache's error log: `[Tue Jan 02 03:04:05.678901 2024] [core:error] [pid 12:tid 34] [client 10.0.0.1:5678] AH00037: ...`; 2.2
wrote neither fraction nor module nor process.

https://httpd.apache.org/docs/2.4/mod/core.html#errorlogformat. What the system said, `(13)Permission denied: `, stands before the
client, and before the rest of the body.
"""

from __future__ import annotations

import re

from ...logic import severity
from ...model.logs import LogRecord, Value
from .text import TextFormat, text

_LINE = re.compile(
    rb"\[((?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d)(?:\.(\d{1,9}))?( \d{4})\] "
    rb"\[(?:([\w-]{0,64}):)?([a-z]{4,6}\d?)\] (?:\[pid (\d{1,10})(?::tid (\d{1,18}))?\] )?"
    rb"((?:[\w/.-]{1,255}\(\d{1,7}\): )?(?:\(\d{1,5}\)[^:\[]{1,255}: )?)(?:\[client ([^\]\s]{1,255})\] )?",
    re.ASCII,
)


class Apache(TextFormat):
    def parse(self, line: bytes, now: int) -> LogRecord | None:
        found = _LINE.match(line)
        if found is None:
            return None
        second, fraction, year, module, level, pid, thread, before, client = found.groups()
        word = level.decode()
        number = severity.of_word(word.rstrip("12345678"))
        record = self._record(
            line, before + line[found.end() :], self._time(second + year, fraction or b"", now), number, word
        )
        if self._all:
            made: dict[str, Value] = {}
            if module:
                made["apache.module"] = text(module)
            if pid:
                made["process.pid"] = int(pid)
            if thread:
                made["thread.id"] = int(thread)
            if client:
                # Since 2.4 the port is part of it, also behind an IPv6 address.
                address, _, port = client.rpartition(b":") if pid else (client, b"", b"")
                made["client.address"] = text(address or client)
                if port.isdigit():
                    made["client.port"] = int(port[:5])
            record.attributes = made
        return record
