"""Redis."""

from __future__ import annotations

import pytest

from sidecar.logs.formats.redis import Redis
from sidecar.model.logs import Keep, LogRecord

from .times import AT, MS, NOW

CASES = {
    "master": (
        b"1234:M 02 Jan 2024 03:04:05.678 * Ready to accept connections",
        LogRecord(
            b"Ready to accept connections",
            AT + 678 * MS,
            10,
            "notice",
            {"process.pid": 1234, "redis.role": "master"},
        ),
    ),
    "child": (
        b"9:C 02 Jan 2024 03:04:05.001 # Warning: no config file specified",
        LogRecord(
            b"Warning: no config file specified",
            AT + MS,
            13,
            "warning",
            {"process.pid": 9, "redis.role": "child"},
        ),
    ),
    "replica": (
        b"9:S 02 Jan 2024 03:04:05.000 - Accepted 127.0.0.1:6379",
        LogRecord(b"Accepted 127.0.0.1:6379", AT, 5, "verbose", {"process.pid": 9, "redis.role": "replica"}),
    ),
    "a signal": (
        b"9:signal-handler (1704164645) Received SIGTERM scheduling shutdown...",
        LogRecord(b"Received SIGTERM scheduling shutdown...", AT, attributes={"process.pid": 9}),
    ),
    "sentinel": (
        b"9:X 02 Jan 2024 03:04:05.000 . +",
        LogRecord(b"+", AT, 5, "debug", {"process.pid": 9, "redis.role": "sentinel"}),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_line_is_read_as(name: str) -> None:
    line, record = CASES[name]
    assert Redis().parse(line, NOW) == record


@pytest.mark.parametrize("line", [b"", b"1:M", b"           _.-``__ ''-._ ", b"1:Q 02 Jan 2024 03:04:05.678 * x"])
def test_the_banner_and_others_are_refused(line: bytes) -> None:
    assert Redis().parse(line, NOW) is None


def test_lifted_keeps_the_line_and_none_the_message() -> None:
    line = CASES["replica"][0]
    assert Redis(Keep.LIFTED).parse(line, NOW) == LogRecord(line, AT, 5, "verbose")
    assert Redis(Keep.NONE).parse(line, NOW) == LogRecord(b"Accepted 127.0.0.1:6379", AT, 5, "verbose")
