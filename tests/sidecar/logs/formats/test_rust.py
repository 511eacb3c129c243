"""tracing-subscriber and env_logger."""

from __future__ import annotations

import pytest

from sidecar.logs.formats.rust import Rust
from sidecar.model.logs import Keep, LogRecord

from .times import AT, NOW, US

LATER = AT + 678_901 * US

CASES = {
    "an event": (
        b"2024-01-02T03:04:05.678901Z  INFO shop::orders: order placed order=7",
        LogRecord(b"order placed order=7", LATER, 9, "INFO", {"target": "shop::orders"}),
    ),
    "in spans": (
        b'2024-01-02T03:04:05.678901Z ERROR request{method="GET" a={b: 1}}:db: shop: failed: refused',
        LogRecord(
            b"failed: refused", LATER, 17, "ERROR", {"spans": 'request{method="GET" a={b: 1}}:db', "target": "shop"}
        ),
    ),
    "with thread, file and line": (
        b"2024-01-02T03:04:05.678901Z TRACE tokio-runtime-worker ThreadId(03) shop: src/main.rs:12: idle",
        LogRecord(
            b"idle",
            LATER,
            1,
            "TRACE",
            {
                "thread.name": "tokio-runtime-worker",
                "target": "shop",
                "code.file.path": "src/main.rs",
                "code.line.number": 12,
            },
        ),
    ),
    "in spans, without a target": (
        b"2024-01-02T03:04:05.678901Z DEBUG request{id=7}: order placed",
        LogRecord(b"order placed", LATER, 5, "DEBUG", {"spans": "request{id=7}"}),
    ),
    "in colour": (
        (
            b"\x1b[2m2024-01-02T03:04:05.678901Z\x1b[0m \x1b[33m WARN\x1b[0m \x1b[2mshop\x1b[0m\x1b[2m:\x1b[0m slow "
            b"\x1b[3mms\x1b[0m\x1b[2m=\x1b[0m7"
        ),
        LogRecord(b"slow ms=7", LATER, 13, "WARN", {"target": "shop"}),
    ),
    "env_logger": (
        b"[2024-01-02T03:04:05Z WARN  shop::db] slow",
        LogRecord(b"slow", AT, 13, "WARN", {"target": "shop::db"}),
    ),
    "env_logger without a target": (b"[2024-01-02T03:04:05Z ERROR ] failed", LogRecord(b"failed", AT, 17, "ERROR")),
}


@pytest.mark.parametrize("name", CASES)
def test_a_line_is_read_as(name: str) -> None:
    line, record = CASES[name]
    assert Rust().parse(line, NOW) == record


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"2024-01-02T03:04:05.678901Z  INFO order placed",
        b"2024-01-02T03:04:05.678901Z  INFO a{ no end of a span",
        b"2024-01-02T03:04:05.678901Z  LOUD shop: order placed",
        b"2024-01-02 03:04:05 INFO shop: order placed",
        b"[2024-01-02T03:04:05Z] INFO shop: order placed",
    ],
)
def test_what_is_laid_out_otherwise_is_refused(line: bytes) -> None:
    assert Rust().parse(line, NOW) is None


def test_lifted_keeps_the_line_with_its_colours_and_none_the_message() -> None:
    line = CASES["in colour"][0]
    assert Rust(Keep.LIFTED).parse(line, NOW) == LogRecord(line, LATER, 13, "WARN")
    assert Rust(Keep.NONE).parse(line, NOW) == LogRecord(b"slow ms=7", LATER, 13, "WARN")
