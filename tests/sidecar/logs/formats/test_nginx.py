"""nginx's error log."""

from __future__ import annotations

import pytest

from sidecar.logs.formats.nginx import Nginx
from sidecar.model.logs import Keep, LogRecord

from .times import AT, NOW

CASES = {
    "of a request": (
        (
            b'2024/01/02 03:04:05 [error] 29#30: *7 open() "/srv/a" failed (2: No such file or directory), client: 10.0.0.1, '
            b'server: shop.example, request: "GET /a?b=1 HTTP/1.1", host: "localhost"'
        ),
        LogRecord(
            b'open() "/srv/a" failed (2: No such file or directory), client: 10.0.0.1, '
            b'server: shop.example, request: "GET /a?b=1 HTTP/1.1", host: "localhost"',
            AT,
            17,
            "error",
            {
                "process.pid": 29,
                "thread.id": 30,
                "nginx.connection": 7,
                "client.address": "10.0.0.1",
                "http.request.method": "GET",
                "url.path": "/a",
                "url.query": "b=1",
                "network.protocol.version": "1.1",
            },
        ),
    ),
    "of nginx itself": (
        b"2024/01/02 03:04:05 [notice] 1#1: start worker processes",
        LogRecord(b"start worker processes", AT, 10, "notice", {"process.pid": 1, "thread.id": 1}),
    ),
    "of a connection": (
        b"2024/01/02 03:04:05 [info] 29#29: *8 client 10.0.0.1 closed keepalive connection, client: 10.0.0.1, server: 0.0.0.0:80",
        LogRecord(
            b"client 10.0.0.1 closed keepalive connection, client: 10.0.0.1, server: 0.0.0.0:80",
            AT,
            9,
            "info",
            {"process.pid": 29, "thread.id": 29, "nginx.connection": 8, "client.address": "10.0.0.1"},
        ),
    ),
    "emergency": (
        b"2024/01/02 03:04:05 [emerg] 1#1: host not found in upstream",
        LogRecord(b"host not found in upstream", AT, 21, "emerg", {"process.pid": 1, "thread.id": 1}),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_line_is_read_as(name: str) -> None:
    line, record = CASES[name]
    assert Nginx().parse(line, NOW) == record


@pytest.mark.parametrize("line", [b"", b"2024/01/02 03:04:05 [error] x", b"2024/01/02 03:04:05 [high] 1#1: x"])
def test_what_lacks_a_field_is_refused(line: bytes) -> None:
    assert Nginx().parse(line, NOW) is None


def test_lifted_keeps_the_line_and_none_the_message() -> None:
    line = CASES["of nginx itself"][0]
    assert Nginx(Keep.LIFTED).parse(line, NOW) == LogRecord(line, AT, 10, "notice")
    assert Nginx(Keep.NONE).parse(line, NOW) == LogRecord(b"start worker processes", AT, 10, "notice")
