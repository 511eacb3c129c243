"""Real programs write logs as they usually do; each record is compared with what it must be, field by field.

What differs from run to run is compared by its kind: a time is one at which the program ran, an address in memory a number.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sidecar.model.logs import LogRecord, Value
from tests.e2e import foreign
from tests.e2e.processes import outrider, running
from tests.fakes import RecordingUpstream, until
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


ORDER: dict[str, Value] = {"order": 7, "total": 12.5, "gift": True}
REFUSED: dict[str, Value] = {"exception.message": "connection refused"}
IN_REQUEST: dict[str, Value] = {
    "span": {"id": 7, "method": "GET", "name": "request"},
    "spans": [{"id": 7, "method": "GET", "name": "request"}],
}
KLOG: dict[str, Value] = {"thread.id": PROCESS, "code.file.path": "main.go"}
SERVICE: dict[str, Value] = {"logger": "com.example.orders.OrderService", "thread.name": "main"}
LOGSTASH: dict[str, Value] = {"@version": "1", "logger_name": "orders", "thread_name": "main"}
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
ENVIRON = {"TZ": "UTC", "LC_ALL": "C.UTF-8", "RUST_BACKTRACE": "1", "GOTRACEBACK": "single"}


class Output(NamedTuple):
    """What a program has written, when it began to (some write whole seconds), and its process id."""

    file: Path
    began: int
    pid: int

    def same(self, record: LogRecord) -> LogRecord:
        """With what differs from run to run made the same."""
        if record.time:
            assert self.began // 10**9 * 10**9 <= record.time <= time.time_ns(), record
            record.time = STAMPED
        for key in ("process.pid", "thread.id"):
            if record.attributes.get(key) == self.pid:
                record.attributes[key] = PROCESS
        return record


def value(proto: Any) -> Value:
    kind = proto.WhichOneof("value")
    if kind == "array_value":
        return [value(inner) for inner in proto.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: value(pair.value) for pair in proto.kvlist_value.values}
    found: Value = getattr(proto, kind)
    return found


def received(proto: Any) -> tuple[str, LogRecord]:
    """The name of the file that it comes from, and the record without what tells where it was read."""
    attributes = {pair.key: value(pair.value) for pair in proto.attributes}
    name, path, uid = (str(attributes.pop(key)) for key in ("log.file.name", "log.file.path", "log.record.uid"))
    assert path.endswith("/" + name)
    assert re.fullmatch("[0-9a-f]+", uid)
    record = LogRecord(
        proto.body.string_value.encode(),
        proto.time_unix_nano,
        proto.severity_number,
        proto.severity_text,
        attributes,
        proto.trace_id,
        proto.span_id,
        proto.flags,
    )
    return name, record


async def read(
    folder: Path, outputs: Sequence[Output], enough: Callable[[list[str]], bool]
) -> dict[str, list[LogRecord]]:
    """The records that a sidecar makes of these files, by the name of the file, once the bodies of all are `enough`."""
    config = folder / "outrider.yaml"
    async with RecordingUpstream() as upstream:
        settings = {
            "service": {"name": "programs"},
            "export": [{"otlp_http": {"endpoint": upstream.url}}],
            "api": {"listen": "127.0.0.1:0"},
            "drain": "100ms",
            "logs": [{"file": [str(output.file) for output in outputs], "start_at": "beginning"}],
        }
        config.write_text(json.dumps(settings))
        with running(outrider("run", "--config", str(config)), folder / "sidecar.log"):
            await until(lambda: enough([record.body.string_value for _, record in upstream.records]))
    by_name = {output.file.name: output for output in outputs}
    found: dict[str, list[LogRecord]] = {name: [] for name in by_name}
    for _, proto in upstream.records:
        name, record = received(proto)
        found[name].append(by_name[name].same(record))
    return found


@pytest.mark.parametrize("language", ["go", "rust", "node", "java"])
async def test_the_loggers_of_a_language(tmp_path: Path, language: str) -> None:
    golden = {f"{logger}.log": records for (of, logger), records in GOLDEN.items() if of == language}
    outputs = []
    for name in golden:
        began = time.time_ns()
        with running([*foreign.logs(language), name.removesuffix(".log")], tmp_path / name, ENVIRON) as process:
            await asyncio.to_thread(process.wait, 40)
        outputs.append(Output(tmp_path / name, began, process.pid))
    found = await read(tmp_path, outputs, lambda bodies: len(bodies) >= sum(map(len, golden.values())))
    for name, records in golden.items():
        assert found[name] == records


def ask(port: int, request: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), 20) as connection:
        connection.sendall(request)
        while connection.recv(65536):
            pass


NGINX = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log notice;
events {{}}
http {{
  server_tokens off;
  access_log {folder}/access.log combined;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    server_name _;
    root {folder};
    location = / {{ return 200 "welcome"; }}
  }}
}}
"""
MISSING: dict[str, Value] = {
    "client.address": "127.0.0.1",
    "http.request.method": "GET",
    "url.path": "/missing",
    "url.query": "a=b",
    "network.protocol.version": "1.1",
}


async def test_nginx(tmp_path: Path) -> None:
    port = free_port()
    config = tmp_path / "nginx.conf"
    config.write_text(NGINX.format(folder=tmp_path, port=port))
    access, errors = tmp_path / "access.log", tmp_path / "error.log"
    began = time.time_ns()
    command = [require("nginx"), "-p", str(tmp_path), "-e", str(errors), "-c", str(config)]
    with running(command, tmp_path / "output", ENVIRON) as process:
        await until((tmp_path / "nginx.pid").exists)
        ask(port, b"GET / HTTP/1.0\r\n\r\n")
        ask(
            port,
            b"GET /missing?a=b HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n"
            b'User-Agent: "curl"\r\nReferer: http://x/\r\n\r\n',
        )
        ask(port, b"\x16\x03\x01 \r\n\r\n")
        # It writes them when it is done with the connection, which is after the client is.
        await until(lambda: access.read_bytes().count(b"\n") == 3)
    lines = access.read_bytes().count(b"\n") + errors.read_bytes().count(b"\n")
    outputs = [Output(file, began, process.pid) for file in (access, errors)]
    found = await read(tmp_path, outputs, lambda bodies: len(bodies) >= lines)
    assert found["access.log"] == [
        LogRecord(
            b"GET / HTTP/1.0",
            STAMPED,
            9,
            "",
            {
                "client.address": "127.0.0.1",
                "http.request.method": "GET",
                "url.path": "/",
                "network.protocol.version": "1.0",
                "http.response.status_code": 200,
                "http.response.body.size": 7,
            },
        ),
        LogRecord(
            b"GET /missing?a=b HTTP/1.1",
            STAMPED,
            13,
            "",
            {
                **MISSING,
                "http.response.status_code": 404,
                "http.response.body.size": 146,
                "user_agent.original": '"curl"',
                "http.request.header.referer": ["http://x/"],
            },
        ),
        LogRecord(
            rb"\x16\x03\x01 ",
            STAMPED,
            13,
            "",
            {"client.address": "127.0.0.1", "http.response.status_code": 400, "http.response.body.size": 150},
        ),
    ]
    ours: dict[str, Value] = {"process.pid": PROCESS, "thread.id": PROCESS}
    first, *others = found["error.log"]
    assert all(record.attributes.items() >= ours.items() and record.time == STAMPED for record in others)
    assert [first, *(record for record in others if record.severity != 10)] == [
        LogRecord(like(r'using the "\w+" event method'), STAMPED, 10, "notice", {**ours}),
        LogRecord(
            like(
                rf'open\(\) "{tmp_path}/missing" failed \(2: No such file or directory\), client: 127\.0\.0\.1, '
                r'server: _, request: "GET /missing\?a=b HTTP/1\.1", host: "shop\.example", referrer: "http://x/"'
            ),
            STAMPED,
            17,
            "error",
            {**ours, "nginx.connection": 2, **MISSING},
        ),
    ]


async def test_redis(tmp_path: Path) -> None:
    output = tmp_path / "output"
    port = str(free_port())
    began = time.time_ns()
    command = [require("redis-server"), "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    with running(command, output, ENVIRON) as process:
        await until(lambda: b"Ready to accept connections" in output.read_bytes())
    child: dict[str, Value] = {"process.pid": PROCESS, "redis.role": "child"}
    master: dict[str, Value] = {"process.pid": PROCESS, "redis.role": "master"}
    expected = [
        LogRecord(like(r"oO0OoO0OoO0Oo Redis is starting oO0OoO0OoO0Oo"), STAMPED, 13, "warning", {**child}),
        LogRecord(b"Configuration loaded", STAMPED, 13, "warning", {**child}),
        LogRecord(like(rf"Running mode=standalone, port={port}\."), STAMPED, 10, "notice", {**master}),
        LogRecord(like(r"Ready to accept connections( tcp)?"), STAMPED, 10, "notice", {**master}),
        LogRecord(b"Received SIGTERM scheduling shutdown...", STAMPED, 0, "", {"process.pid": PROCESS}),
        LogRecord(like(r"Redis is now ready to exit, bye bye\.\.\."), STAMPED, 13, "warning", {**master}),
    ]
    found = await read(
        tmp_path, [Output(output, began, process.pid)], lambda bodies: any("bye bye" in body for body in bodies)
    )
    assert [record for record in found["output"] if record in expected] == expected
