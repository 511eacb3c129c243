"""logfmt: pairs become the record's own fields and attributes."""

from __future__ import annotations

import pytest

from sidecar.logs.formats.logfmt import Logfmt
from sidecar.model.logs import Keep, LogRecord

from .times import AT, MS, NOW

TRACE = bytes.fromhex("4bf92f3577b34da6a3ce929d0e0e4736")
SPAN = bytes.fromhex("00f067aa0ba902b7")

CASES = {
    "slog": (
        b'time=2024-01-02T03:04:05.678Z level=INFO msg="order placed" order=7 took=1.5s path="/a b"',
        LogRecord(b"order placed", AT + 678 * MS, 9, "INFO", {"order": 7, "took": "1.5s", "path": "/a b"}),
    ),
    "trace context": (
        b"ts=1704164645.5 lvl=warn msg=slow trace_id=4bf92f3577b34da6a3ce929d0e0e4736 span_id=00f067aa0ba902b7 trace_flags=01",
        LogRecord(b"slow", AT + 500 * MS, 13, "warn", {}, TRACE, SPAN, 1),
    ),
    "ids of digits alone": (
        b"level=info msg=a trace_id=12345678901234567890123456789012 span_id=1234567890123456 trace_flags=1",
        LogRecord(
            b"a",
            0,
            9,
            "info",
            {},
            bytes.fromhex("12345678901234567890123456789012"),
            bytes.fromhex("1234567890123456"),
            1,
        ),
    ),
    "traceparent": (
        b"level=info msg=a traceparent=00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        LogRecord(b"a", 0, 9, "info", {}, TRACE, SPAN, 1),
    ),
    "no trace id": (
        b"level=info msg=a trace_id=none span_id=none",
        LogRecord(b"a", 0, 9, "info", {"trace_id": "none", "span_id": "none"}),
    ),
    "types": (
        rb'a=1 b=-2.5 c=true d=false e="1" f=007 g=12345678901234567890 h= i="" j="x\n\"y\" \u00e9\x21" k=1e5',
        LogRecord(
            rb'a=1 b=-2.5 c=true d=false e="1" f=007 g=12345678901234567890 h= i="" j="x\n\"y\" \u00e9\x21" k=1e5',
            attributes={
                "a": 1,
                "b": -2.5,
                "c": True,
                "d": False,
                "e": "1",
                "f": "007",
                "g": "12345678901234567890",
                "h": "",
                "i": "",
                "j": 'x\n"y" é!',
                "k": "1e5",
            },
        ),
    ),
    "an error": (
        b'level=error msg="write failed" err="connection refused"',
        LogRecord(b"write failed", 0, 17, "error", {"exception.message": "connection refused"}),
    ),
    "what is no time and no level": (
        b"time=soon level=high msg=a",
        LogRecord(b"a", attributes={"time": "soon", "level": "high"}),
    ),
    "a message that looks like a number": (b"level=info msg=5", LogRecord(b"5", 0, 9, "info")),
}


@pytest.mark.parametrize("name", CASES)
def test_a_line_is_read_as(name: str) -> None:
    line, record = CASES[name]
    assert Logfmt().parse(line, NOW) == record


@pytest.mark.parametrize(
    "line", [b"", b"a=1", b"hello a=1 b=2", b"a=1 hello b=2", b'a=1 b="2', b'a=1 b="2"c', b"=1 =2", b'{"a": 1, "b": 2}']
)
def test_what_is_not_two_pairs_or_more_is_no_logfmt(line: bytes) -> None:
    assert Logfmt().parse(line, NOW) is None


def test_lifted_keeps_the_line_and_none_the_message() -> None:
    line = b"time=2024-01-02T03:04:05Z level=info msg=a n=1"
    assert Logfmt(Keep.LIFTED).parse(line, NOW) == LogRecord(line, AT, 9, "info")
    assert Logfmt(Keep.NONE).parse(line, NOW) == LogRecord(b"a", AT, 9, "info")


def test_attributes_beyond_the_bound_are_dropped_and_counted() -> None:
    record = Logfmt().parse(b"level=info msg=a " + b" ".join(b"k%d=%d" % (n, n) for n in range(200)), NOW)
    assert record is not None
    assert (len(record.attributes), record.dropped) == (128, 72)
    assert record.attributes["k127"] == 127
