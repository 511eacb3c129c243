"""Go's standard log."""

from __future__ import annotations

import pytest

from sidecar.logs.formats.go import Go
from sidecar.model.logs import Keep, LogRecord

from .times import AT, NOW, US

CASES = {
    "the default": (b"2024/01/02 03:04:05 listening on :8080", LogRecord(b"listening on :8080", AT)),
    "with microseconds and the place": (
        b"2024/01/02 03:04:05.678901 cmd/main.go:12: ERROR: write failed",
        LogRecord(
            b"ERROR: write failed",
            AT + 678_901 * US,
            17,
            "ERROR",
            {"code.file.path": "cmd/main.go", "code.line.number": 12},
        ),
    ),
    "with a level in brackets": (b"2024/01/02 03:04:05 [debug] x", LogRecord(b"[debug] x", AT, 5, "debug")),
    "a panic that was caught": (
        b"2024/01/02 03:04:05 http: panic serving 127.0.0.1:5: x",
        LogRecord(b"http: panic serving 127.0.0.1:5: x", AT),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_line_is_read_as(name: str) -> None:
    line, record = CASES[name]
    assert Go().parse(line, NOW) == record


@pytest.mark.parametrize(
    "line", [b"", b"2024/01/02", b"2024-01-02 03:04:05 x", b"2024/01/02 03:04:05 [error] 29#30: *7 open() failed"]
)
def test_others_are_refused_and_nginx_is_left_to_its_format(line: bytes) -> None:
    assert Go().parse(line, NOW) is None


def test_lifted_keeps_the_line_and_none_the_message() -> None:
    line = CASES["the default"][0]
    assert Go(Keep.LIFTED).parse(line, NOW) == LogRecord(line, AT)
    assert Go(Keep.NONE).parse(line, NOW) == LogRecord(b"listening on :8080", AT)
