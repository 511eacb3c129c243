"""Syslog, RFC 5424 and 3164."""

from __future__ import annotations

import pytest

from sidecar.logs.formats.syslog import Syslog
from sidecar.model.logs import Keep, LogRecord

from .times import AT, MS, NOW, US

CASES = {
    "5424 with structured data": (
        b'<165>1 2024-01-02T03:04:05.003Z host app 12 ID47 [example@32473 iut="3" e="a\\"]\\\\"][x@1] \xef\xbb\xbfmessage',
        LogRecord(
            b"message",
            AT + 3 * MS,
            10,
            "notice",
            {
                "syslog.version": 1,
                "host.name": "host",
                "syslog.appname": "app",
                "syslog.procid": "12",
                "syslog.msgid": "ID47",
                "example@32473": {"iut": "3", "e": 'a"]\\'},
                "x@1": {},
                "syslog.facility": 20,
            },
        ),
    ),
    "5424 with nothing": (
        b"<8>1 - - - - - -",
        LogRecord(b"", 0, 21, "emerg", {"syslog.version": 1, "syslog.facility": 1}),
    ),
    "5424 without priority": (
        b"1 2024-01-02T04:04:05+01:00 host app - - - ERROR: gone",
        LogRecord(
            b"ERROR: gone",
            AT,
            17,
            "ERROR",
            {"syslog.version": 1, "host.name": "host", "syslog.appname": "app"},
        ),
    ),
    "5424 with data that are none": (
        b"<14>1 2024-01-02T03:04:05Z host app - - [broken message",
        LogRecord(
            b"[broken message",
            AT,
            9,
            "info",
            {"syslog.version": 1, "host.name": "host", "syslog.appname": "app", "syslog.facility": 1},
        ),
    ),
    "3164": (
        b"<34>Jan  2 03:04:05 mymachine su[12]: 'su root' failed",
        LogRecord(
            b"'su root' failed",
            AT,
            18,
            "crit",
            {"host.name": "mymachine", "syslog.appname": "su", "syslog.procid": "12", "syslog.facility": 4},
        ),
    ),
    "3164 without a host": (
        b"<15>Jan  2 03:04:05 postfix/smtpd[7]: connect",
        LogRecord(
            b"connect", AT, 5, "debug", {"syslog.appname": "postfix/smtpd", "syslog.procid": "7", "syslog.facility": 1}
        ),
    ),
    "3164 without a tag": (
        b"<13>Jan  2 03:04:05 what it says",
        LogRecord(b"what it says", AT, 10, "notice", {"syslog.facility": 1}),
    ),
    "a priority alone": (b"<3>what it says", LogRecord(b"what it says", 0, 17, "err", {"syslog.facility": 0})),
    "of /var/log": (
        b"Jan  2 03:04:05 host kernel: [12.3] error: oops",
        LogRecord(b"[12.3] error: oops", AT, 0, "", {"host.name": "host", "syslog.appname": "kernel"}),
    ),
    "of /var/log, with rsyslog's time": (
        b"2024-01-02T03:04:05.678901+00:00 host CRON[123]: warning: late",
        LogRecord(
            b"warning: late",
            AT + 678_901 * US,
            13,
            "warning",
            {"host.name": "host", "syslog.appname": "CRON", "syslog.procid": "123"},
        ),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_line_is_read_as(name: str) -> None:
    line, record = CASES[name]
    assert Syslog().parse(line, NOW) == record


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"<",
        b"<192>x",
        b"<1234>x",
        b"<html>",
        b"Jan  2 03:04:05 what it says",
        b"Jan  2 03:04:05 prog: says",
        b"2024-01-02T03:04:05Z ERROR orders: says",
        b"1 2 3 4 5 6 -",
    ],
)
def test_what_is_no_syslog_is_refused(line: bytes) -> None:
    assert Syslog().parse(line, NOW) is None


def test_lifted_keeps_the_line_and_none_the_message() -> None:
    line = CASES["3164"][0]
    assert Syslog(Keep.LIFTED).parse(line, NOW) == LogRecord(line, AT, 18, "crit")
    assert Syslog(Keep.NONE).parse(line, NOW) == LogRecord(b"'su root' failed", AT, 18, "crit")


@pytest.mark.parametrize(
    ("number", "severity", "word"),
    [
        (0, 21, "emerg"),
        (1, 19, "alert"),
        (2, 18, "crit"),
        (3, 17, "err"),
        (4, 13, "warning"),
        (5, 10, "notice"),
        (6, 9, "info"),
        (7, 5, "debug"),
    ],
)
def test_severities_are_those_of_the_data_model(number: int, severity: int, word: str) -> None:
    record = Syslog().parse(b"<%d>1 - - - - - - x" % (184 + number), NOW)
    assert record is not None
    assert (record.severity, record.severity_text, record.attributes["syslog.facility"]) == (severity, word, 23)
