"""Kubernetes and other users of glog and klog:
`I0102 03:04:05.678901    1234 controller.go:71] Starting`, since glog 0.7 also with a year (`I20240102`).

https://github.com/google/glog#log-line-prefix. What klog's structured calls write behind the bracket, a quoted message and pairs,
is taken apart: `"Unable to sync pod" pod="kube-system/dns" attempt=3`.
"""

from __future__ import annotations

import re

from ...logic import severity
from ...logic.pairs import Scalar, pairs, unquoted
from ...model.logs import LogRecord
from .json_errors import name_error
from .text import TextFormat, text

_HEADER = re.compile(
    rb"([IWEF])(\d{4}|\d{8}) (\d\d:\d\d:\d\d)\.(\d{1,9}) {1,8}(\d{1,10}) ([^\s:\]]{1,255}):(\d{1,9})\] ?", re.ASCII
)
_QUOTED = re.compile(rb'("[^"\\]*+(?:\\.[^"\\]*+)*+")(?= |$)')
_WORDS = {b"I": "INFO", b"W": "WARNING", b"E": "ERROR", b"F": "FATAL"}


class Klog(TextFormat):
    def parse(self, line: bytes, now: int) -> LogRecord | None:
        found = _HEADER.match(line)
        if found is None:
            return None
        letter, day, clock, fraction, thread, file, number = found.groups()
        if len(day) == 8:
            day = b"%b-%b-%b" % (day[:4], day[4:6], day[6:])
        message = line[found.end() :]
        fields: dict[str, Scalar] = {}
        quoted = _QUOTED.match(message)
        if quoted and (taken := pairs(message, quoted.end())) is not None:
            message, fields = unquoted(quoted[1]).encode(), taken
            if "err" in fields:
                name_error(fields, "err")
        word = _WORDS[letter]
        record = self._record(
            line, message, self._time(day + b" " + clock, fraction, now), severity.of_word(word), word
        )
        if self._all:
            record.attributes = {
                "thread.id": int(thread),
                "code.file.path": text(file),
                "code.line.number": int(number),
                **fields,
            }
        return record
