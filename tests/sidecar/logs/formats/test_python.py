"""Python's logging."""

from __future__ import annotations

import pytest

from sidecar.logs.formats.python import Python
from sidecar.model.logs import Keep, LogRecord

from .times import AT, MS, NOW

LATER = AT + 678 * MS

CASES = {
    "the default": (b"WARNING:shop.db:slow: 2 s", LogRecord(b"slow: 2 s", 0, 13, "WARNING", {"logger": "shop.db"})),
    "with a time and dashes": (
        b"2024-01-02 03:04:05,678 - shop.db - CRITICAL - a - b",
        LogRecord(b"a - b", LATER, 21, "CRITICAL", {"logger": "shop.db"}),
    ),
    "without a name": (b"2024-01-02 03:04:05,678 - DEBUG - a", LogRecord(b"a", LATER, 5, "DEBUG")),
    "Flask": (
        b"[2024-01-02 03:04:05,678] ERROR in app: Exception on / [GET]",
        LogRecord(b"Exception on / [GET]", LATER, 17, "ERROR", {"logger": "app"}),
    ),
    "Gunicorn": (
        b"[2024-01-02 05:04:05 +0200] [12] [INFO] Booting worker with pid: 12",
        LogRecord(b"Booting worker with pid: 12", AT, 9, "INFO", {"process.pid": 12}),
    ),
    "Celery": (
        b"[2024-01-02 03:04:05,678: WARNING/ForkPoolWorker-1] late",
        LogRecord(b"late", LATER, 13, "WARNING", {"processName": "ForkPoolWorker-1"}),
    ),
    "Airflow": (
        b"[2024-01-02T03:04:05.678+0000] {dag.py:12} INFO - started",
        LogRecord(b"started", LATER, 9, "INFO", {"code.file.path": "dag.py", "code.line.number": 12}),
    ),
    "Uvicorn": (b"INFO:     Started server process [1]", LogRecord(b"Started server process [1]", 0, 9, "INFO")),
    "Uvicorn, in colour": (
        b'\x1b[32mINFO\x1b[0m:     127.0.0.1:5 - "\x1b[1mGET / HTTP/1.1\x1b[0m" \x1b[32m200 OK\x1b[0m',
        LogRecord(b'127.0.0.1:5 - "GET / HTTP/1.1" 200 OK', 0, 9, "INFO"),
    ),
    "Loguru": (
        b"2024-01-02 03:04:05.678 | SUCCESS  | shop.db:connect:12 - done",
        LogRecord(
            b"done",
            LATER,
            10,
            "SUCCESS",
            {"logger": "shop.db", "code.function.name": "connect", "code.line.number": 12},
        ),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_line_is_read_as(name: str) -> None:
    line, record = CASES[name]
    assert Python().parse(line, NOW) == record


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"WARNING",
        b"WARNING:root",
        b"INFO: as people write it",
        b"Warning:root:x",
        b"2024-01-02 03:04:05,678 INFO x",
        b"[2024-01-02 03:04:05,678] INFO x",
    ],
)
def test_what_is_laid_out_otherwise_is_refused(line: bytes) -> None:
    assert Python().parse(line, NOW) is None


def test_lifted_keeps_the_line_with_its_colours_and_none_the_message() -> None:
    line = b"\x1b[32mINFO\x1b[0m:     started"
    assert Python(Keep.LIFTED).parse(line, NOW) == LogRecord(line, 0, 9, "INFO")
    assert Python(Keep.NONE).parse(b"INFO:root:started", NOW) == LogRecord(b"started", 0, 9, "INFO")
