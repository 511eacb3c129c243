"""Ruby's Logger."""

from __future__ import annotations

import pytest

from sidecar.logs.formats.ruby import Ruby
from sidecar.model.logs import Keep, LogRecord

from .times import AT, NOW, US

CASES = {
    "with a name": (
        b"W, [2024-01-02T03:04:05.678901 #1234]  WARN -- shop: slow: 2 s",
        LogRecord(b"slow: 2 s", AT + 678_901 * US, 13, "WARN", {"process.pid": 1234, "logger": "shop"}),
    ),
    "without one, without a fraction": (
        b"E, [2024-01-02T03:04:05 #7] ERROR -- : failed",
        LogRecord(b"failed", AT, 17, "ERROR", {"process.pid": 7}),
    ),
    "of no level": (b"A, [2024-01-02T03:04:05 #7]   ANY -- : x", LogRecord(b"x", AT, 0, "ANY", {"process.pid": 7})),
}


@pytest.mark.parametrize("name", CASES)
def test_a_line_is_read_as(name: str) -> None:
    line, record = CASES[name]
    assert Ruby().parse(line, NOW) == record


@pytest.mark.parametrize("line", [b"", b"I, robot", b"W, [2024-01-02T03:04:05 #7] WARN: x"])
def test_what_lacks_a_field_is_refused(line: bytes) -> None:
    assert Ruby().parse(line, NOW) is None


def test_lifted_keeps_the_line_and_none_the_message() -> None:
    line = CASES["without one, without a fraction"][0]
    assert Ruby(Keep.LIFTED).parse(line, NOW) == LogRecord(line, AT, 17, "ERROR")
    assert Ruby(Keep.NONE).parse(line, NOW) == LogRecord(b"failed", AT, 17, "ERROR")
