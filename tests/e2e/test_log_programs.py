"""Real programs write logs as they usually do; each record is compared with what it must be, field by field.

What differs from run to run is compared by its kind: a time is one at which the program ran, an address in memory a number.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from sidecar.logic.multiline import Mode, Multiline
from sidecar.logs.formats import AUTO, format_named
from sidecar.model.logs import Keep, LogRecord
from tests.e2e import foreign
from tests.fakes import until
from tests.ports import free_port
from tests.real import require

STAMPED = 1
"""Stands for a time at which the program ran."""
PROCESS = -1
"""Stands for its process id."""
TRACE = bytes.fromhex("4bf92f3577b34da6a3ce929d0e0e4736")
SPAN = bytes.fromhex("00f067aa0ba902b7")


class Like:
    """Equals the texts and bytes that this pattern matches as a whole."""

    def __init__(self, pattern: str) -> None:
        self._pattern = re.compile(pattern, re.DOTALL)

    def __eq__(self, other: object) -> bool:
        text = other.decode() if isinstance(other, bytes) else other
        return isinstance(text, str) and self._pattern.fullmatch(text) is not None

    def __hash__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return f"Like({self._pattern.pattern!r})"


def like(pattern: str) -> Any:
    return Like(pattern)


ORDER = {"order": 7, "total": 12.5, "gift": True}
REFUSED = {"exception.message": "connection refused"}
IN_REQUEST = {
    "span": {"id": 7, "method": "GET", "name": "request"},
    "spans": [{"id": 7, "method": "GET", "name": "request"}],
}
KLOG = {"thread.id": PROCESS, "code.file.path": "main.go"}
SERVICE = {"logger": "com.example.orders.OrderService", "thread.name": "main"}
LOGSTASH = {"@version": "1", "logger_name": "orders", "thread_name": "main"}
CAUSED = (
    r"java\.lang\.RuntimeException: write failed\n\tat Logs\.failed\(Logs\.java:\d+\)\n(\tat Logs\.\w+\(Logs\.java:\d+\)\n)+"
    r"Caused by: java\.lang\.IllegalStateException: account 7 is empty\n(\tat Logs\.\w+\(Logs\.java:\d+\)\n)+"
    r"\t\.\.\. 2 (common frames omitted|more)"
)
RUST = [
    LogRecord(b"order placed order=7 total=12.5 gift=true", STAMPED, 9, "INFO", {"target": "logs"}),
    LogRecord(
        b"write failed error=connection refused",
        STAMPED,
        17,
        "ERROR",
        {"spans": 'request{method="GET" id=7}', "target": "logs"},
    ),
    LogRecord(b"2 idle", STAMPED, 1, "TRACE", {"spans": 'request{method="GET" id=7}', "target": "db"}),
]

GOLDEN: dict[tuple[str, str], list[LogRecord]] = {
    ("go", "zap"): [
        LogRecord(
            b"order placed",
            STAMPED,
            9,
            "info",
            {
                "caller": like(r"logs/main\.go:\d+"),
                "order": 9007199254740993,
                "total": 12.5,
                "gift": True,
                "items": ["a", "b"],
            },
            TRACE,
            SPAN,
        ),
        LogRecord(
            b"write failed",
            STAMPED,
            17,
            "error",
            {
                "caller": like(r"logs/main\.go:\d+"),
                "logger": "db",
                "after": 1.5,
                "exception.stacktrace": like(r"main\.withZap\n\toutrider/programs/logs/main\.go:\d+\n.*"),
                **REFUSED,
            },
        ),
    ],
    ("go", "zerolog"): [
        LogRecord(b"retrying", STAMPED, 13, "warn", {"service": "checkout", "attempt": 3, **REFUSED}),
        LogRecord(
            like(r'\{"level":"debug","service":"checkout","text":"é\\n\\"x\\"","user":\{"id":7\},"time":\d{13}\}'),
            STAMPED,
            5,
            "debug",
            {"service": "checkout", "text": 'é\n"x"', "user": {"id": 7}},
        ),
    ],
    ("go", "slog"): [
        LogRecord(b"order placed", STAMPED, 9, "INFO", {"order": 7, "took": 1_500_000_000}),
        LogRecord(
            b"write failed",
            STAMPED,
            17,
            "ERROR",
            {"request": "r1", "http": {"status": 502, "error": "connection refused"}},
        ),
        LogRecord(b"between", STAMPED, 7, "DEBUG+2"),
    ],
    ("go", "slog-text"): [
        LogRecord(b"order placed", STAMPED, 9, "INFO", {"order": 7, "took": "1.5s", "path": "/a b"}),
        LogRecord(b'quotes "in" it', STAMPED, 13, "WARN", {"empty": ""}, TRACE, SPAN),
    ],
    ("go", "log"): [
        LogRecord(b"listening on :8080", STAMPED),
        LogRecord(b"ERROR: write failed", STAMPED, 17, "ERROR", {"code.file.path": "main.go", "code.line.number": 65}),
    ],
    ("go", "klog"): [
        LogRecord(b"Starting controller", STAMPED, 9, "INFO", {**KLOG, "code.line.number": 71}),
        LogRecord(
            b"Unable to sync pod",
            STAMPED,
            17,
            "ERROR",
            {**KLOG, "code.line.number": 72, "pod": "kube-system/dns", "attempt": 3, **REFUSED},
        ),
    ],
    ("go", "panic"): [
        LogRecord(b"before", STAMPED),
        LogRecord(
            like(
                r"panic: runtime error: invalid memory address or nil pointer dereference\n\[signal SIGSEGV: [^\n]+\]\n\n"
                r"goroutine 1 [^\n]*\[running\]:\nmain\.charge\(\S+\)\n\toutrider/programs/logs/main\.go:85 \+0x\w+\n"
                r"main\.withPanic\(\)\n\toutrider/programs/logs/main\.go:81 \+0x\w+\n"
                r"main\.main\(\)\n\toutrider/programs/logs/main\.go:29 \+0x\w+"
            ),
            0,
            19,
            "panic",
        ),
    ],
    ("rust", "json"): [
        LogRecord(b"order placed", STAMPED, 9, "INFO", {**ORDER, "target": "logs"}),
        LogRecord(b"write failed", STAMPED, 17, "ERROR", {**REFUSED, "target": "logs", **IN_REQUEST}),
        LogRecord(b"2 idle", STAMPED, 1, "TRACE", {"target": "db", **IN_REQUEST}),
    ],
    ("rust", "text"): RUST,
    ("rust", "colored"): RUST,
    ("rust", "env_logger"): [
        LogRecord(b"retrying: attempt 3", STAMPED, 13, "WARN", {"target": "logs"}),
        LogRecord(b"2 idle", STAMPED, 5, "DEBUG", {"target": "db::pool"}),
    ],
    ("rust", "panic"): [
        LogRecord(
            like(
                r"thread 'main' (\(\d+\) )?panicked at src/main\.rs:\d+:\d+:\n"
                r"index out of bounds: the len is 0 but the index is 7\nstack backtrace:\n.*\n +\d+: logs::charge\n.*"
                r"note: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace\."
            ),
            0,
            17,
        ),
    ],
    ("node", "pino"): [
        LogRecord(
            b"order placed", STAMPED, 9, "30", {"service": "checkout", **ORDER, "items": ["a", "b"]}, TRACE, SPAN
        ),
        LogRecord(
            b"write failed",
            STAMPED,
            17,
            "50",
            {
                "service": "checkout",
                "component": "db",
                "exception.type": "PaymentError",
                **REFUSED,
                "exception.stacktrace": like(
                    r"Error: connection refused\n    at Object\.pino \(\S+logs\.js:\d+:\d+\)\n.*"
                ),
            },
        ),
        LogRecord(b"gone", STAMPED, 21, "60", {"service": "checkout"}),
    ],
    ("node", "throw"): [
        LogRecord(b"listening on :8080"),
        LogRecord(b"WARN low on memory", 0, 13, "WARN"),
        LogRecord(
            like(
                r"\S+/logs\.js:\d+\n  throw new PaymentError\(`account \$\{account\} is empty`\);\n  \^\n\n"
                r"PaymentError: account 7 is empty\n    at charge \(\S+logs\.js:\d+:\d+\)\n.*\n    at \S+\n\nNode\.js v[\d.]+"
            ),
            0,
            17,
        ),
    ],
    ("java", "logback"): [
        LogRecord(b"order placed", STAMPED, 9, "INFO", {**SERVICE}),
        LogRecord(b"retrying", STAMPED, 13, "WARN", {**SERVICE, "attempt": "3"}),
        LogRecord(like(r"write failed\n" + CAUSED), STAMPED, 17, "ERROR", {**SERVICE}),
    ],
    ("java", "logstash"): [
        LogRecord(b"order placed", STAMPED, 9, "INFO", {**LOGSTASH, "level_value": 20000, "order": 7}, TRACE, SPAN),
        LogRecord(
            b"write failed",
            STAMPED,
            17,
            "ERROR",
            {**LOGSTASH, "level_value": 40000, "exception.stacktrace": like(CAUSED + r"\n")},
            TRACE,
            SPAN,
        ),
    ],
    ("java", "jul"): [
        LogRecord(like(r"\w+ \d+, \d{4},? [\d:]+ [AP]M Logs withJul"), STAMPED),
        LogRecord(b"INFO: order placed", 0, 9, "INFO"),
        LogRecord(like(r"\w+ \d+, \d{4},? [\d:]+ [AP]M Logs withJul"), STAMPED),
        LogRecord(like(r"SEVERE: write failed\n" + CAUSED), 0, 17, "SEVERE"),
    ],
    ("java", "printed"): [
        LogRecord(b"listening on :8080"),
        LogRecord(like(CAUSED), 0, 17),
        LogRecord(b"[WARN] going on", 0, 13, "WARN"),
    ],
    ("java", "thrown"): [
        LogRecord(
            like(
                r'Exception in thread "main" java\.lang\.IllegalStateException: account 7 is empty\n'
                r"\tat Logs\.charge\(Logs\.java:\d+\)\n.*\tat Logs\.main\(Logs\.java:\d+\)"
            ),
            0,
            17,
        ),
    ],
}
ENVIRON = {**os.environ, "TZ": "UTC", "LC_ALL": "C.UTF-8", "RUST_BACKTRACE": "1", "GOTRACEBACK": "single"}


class Reader:
    """What a program has written since this was made. Some write whole seconds."""

    def __init__(self, keep: Keep = Keep.ALL) -> None:
        self._keep = keep
        self._began = time.time_ns() // 10**9 * 10**9

    def read(self, file: Path, pid: int) -> list[LogRecord]:
        lines = file.read_bytes().split(b"\n")
        assert lines.pop() == b""
        joining = Multiline(Mode.AUTO)
        found = [*joining.feed(lines, range(1, len(lines) + 1), b"\n".join(lines))[0]]
        last = joining.flush()
        found += [last[0]] if last else []
        form = format_named(AUTO, self._keep)
        now = time.time_ns()
        made = [form.parse(line, now) for line in found]
        records = [record for record in made if record is not None]
        assert len(records) == len(made)
        for record in records:
            if record.time:
                assert self._began <= record.time <= now, record
                record.time = STAMPED
            for key in ("process.pid", "thread.id"):
                if record.attributes.get(key) == pid:
                    record.attributes[key] = PROCESS
        return records


@pytest.mark.parametrize(("language", "logger"), GOLDEN)
def test_a_logger_of_a_language(tmp_path: Path, language: str, logger: str) -> None:
    command = [*foreign.logs(language), logger]
    output = tmp_path / "output"
    reader = Reader()
    with output.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env=ENVIRON)
        process.wait(40)
    assert reader.read(output, process.pid) == GOLDEN[language, logger]


REQUEST = b'GET /missing?a=b HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: "curl"\r\nReferer: http://x/\r\nConnection: close\r\n\r\n'


def ask(port: int, request: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), 20) as connection:
        connection.sendall(request)
        while connection.recv(65536):
            pass


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def test_nginx(tmp_path: Path) -> None:
    port = free_port()
    config = tmp_path / "nginx.conf"
    places = "\n".join(
        f"{name}_temp_path {tmp_path}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config.write_text(f"""
        daemon off; master_process off; pid {tmp_path}/pid; error_log {tmp_path}/error.log notice;
        events {{}}
        http {{
          {places}
          access_log {tmp_path}/access.log combined;
          server {{ listen 127.0.0.1:{port}; server_name _; root {tmp_path}; location = / {{ return 200 "welcome"; }} }}
        }}
    """)
    reader = Reader()
    process = subprocess.Popen(
        [require("nginx"), "-p", str(tmp_path), "-e", str(tmp_path / "error.log"), "-c", str(config)], env=ENVIRON
    )
    try:
        await until(lambda: listening(port))
        await asyncio.to_thread(ask, port, b"GET / HTTP/1.0\r\n\r\n")
        await asyncio.to_thread(ask, port, REQUEST)
        await asyncio.to_thread(ask, port, b"\x16\x03\x01 \r\n\r\n")
    finally:
        process.terminate()
        process.wait(20)
    got = {"client.address": "127.0.0.1", "http.request.method": "GET", "http.response.status_code": 200}
    missing = {
        "http.request.method": "GET",
        "url.path": "/missing",
        "url.query": "a=b",
        "network.protocol.version": "1.1",
    }
    assert reader.read(tmp_path / "access.log", process.pid) == [
        LogRecord(
            b"GET / HTTP/1.0",
            STAMPED,
            9,
            "",
            {**got, "url.path": "/", "network.protocol.version": "1.0", "http.response.body.size": 7},
        ),
        LogRecord(
            b"GET /missing?a=b HTTP/1.1",
            STAMPED,
            13,
            "",
            {
                "client.address": "127.0.0.1",
                **missing,
                "http.response.status_code": 404,
                "http.response.body.size": 153,
                "user_agent.original": '"curl"',
                "http.request.header.referer": ["http://x/"],
            },
        ),
        LogRecord(
            rb"\x16\x03\x01 ",
            STAMPED,
            13,
            "",
            {"client.address": "127.0.0.1", "http.response.status_code": 400, "http.response.body.size": 157},
        ),
    ]
    errors = reader.read(tmp_path / "error.log", process.pid)
    assert [record for record in errors if record.severity_text == "error"] == [
        LogRecord(
            like(
                rf'open\(\) "{tmp_path}/missing" failed \(2: No such file or directory\), client: 127\.0\.0\.1, server: _, '
                r'request: "GET /missing\?a=b HTTP/1\.1", host: "shop\.example", referrer: "http://x/"'
            ),
            STAMPED,
            17,
            "error",
            {
                "process.pid": PROCESS,
                "thread.id": PROCESS,
                "nginx.connection": 3,
                "client.address": "127.0.0.1",
                **missing,
            },
        )
    ]
    assert (
        LogRecord(like(r"nginx/[\d.]+"), STAMPED, 10, "notice", {"process.pid": PROCESS, "thread.id": PROCESS})
        in errors
    )


async def test_redis(tmp_path: Path) -> None:
    port = free_port()
    output = tmp_path / "output"
    reader = Reader()
    command = [
        require("redis-server"),
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--loglevel",
        "verbose",
    ]
    with output.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, cwd=tmp_path, env=ENVIRON)
    try:
        await until(lambda: b"Ready to accept connections" in output.read_bytes())
    finally:
        process.terminate()
        process.wait(20)
    records = reader.read(output, process.pid)
    ours = {"process.pid": PROCESS, "redis.role": "master"}
    assert [record for record in records if record.attributes == ours and record.severity == 10][-2:] == []
