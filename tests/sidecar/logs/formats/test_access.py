"""Access logs."""

from __future__ import annotations

import pytest

from sidecar.logs.formats.access import Access
from sidecar.model.logs import Keep, LogRecord

from .times import AT, NOW

GET = {"http.request.method": "GET", "url.path": "/a", "network.protocol.version": "1.1"}

CASES = {
    "common": (
        b'127.0.0.1 - - [02/Jan/2024:03:04:05 +0000] "GET /a HTTP/1.1" 200 12',
        LogRecord(
            b"GET /a HTTP/1.1",
            AT,
            9,
            "",
            {"client.address": "127.0.0.1", **GET, "http.response.status_code": 200, "http.response.body.size": 12},
        ),
    ),
    "combined, in another zone": (
        b'::1 - Ann Lee [02/Jan/2024:05:04:05 +0200] "POST /a?b=1&c=%20 HTTP/2.0" 404 0 "http://x/" "curl/8.5"',
        LogRecord(
            b"POST /a?b=1&c=%20 HTTP/2.0",
            AT,
            13,
            "",
            {
                "client.address": "::1",
                "user.name": "Ann Lee",
                "http.request.method": "POST",
                "url.path": "/a",
                "url.query": "b=1&c=%20",
                "network.protocol.version": "2.0",
                "http.response.status_code": 404,
                "http.response.body.size": 0,
                "user_agent.original": "curl/8.5",
                "http.request.header.referer": ["http://x/"],
            },
        ),
    ),
    "a virtual host, forwarded": (
        b'shop.example:443 10.0.0.1 - - [02/Jan/2024:03:04:05 +0000] "GET /a HTTP/1.1" 503 - "-" "-" "1.2.3.4, ::1"',
        LogRecord(
            b"GET /a HTTP/1.1",
            AT,
            17,
            "",
            {
                "client.address": "10.0.0.1",
                "server.address": "shop.example",
                "server.port": 443,
                **GET,
                "http.response.status_code": 503,
                "http.request.header.x-forwarded-for": ["1.2.3.4, ::1"],
            },
        ),
    ),
    "a handshake instead of a request": (
        rb'10.0.0.1 - - [02/Jan/2024:03:04:05 +0000] "\x16\x03\x01 \"" 400 157 "-" "-" "-"',
        LogRecord(
            rb"\x16\x03\x01 \"",
            AT,
            13,
            "",
            {"client.address": "10.0.0.1", "http.response.status_code": 400, "http.response.body.size": 157},
        ),
    ),
    "an unknown method, quotes in the headers, more behind them": (
        rb'10.0.0.1 - - [02/Jan/2024:03:04:05 +0000] "BREW http://h/x HTTP/1.0" 301 0 "a\x22\xc3\xa9" "b\"\\" 0.005 "up"',
        LogRecord(
            b'BREW http://h/x HTTP/1.0 0.005 "up"',
            AT,
            9,
            "",
            {
                "client.address": "10.0.0.1",
                "http.request.method": "_OTHER",
                "http.request.method_original": "BREW",
                "url.full": "http://h/x",
                "network.protocol.version": "1.0",
                "http.response.status_code": 301,
                "http.response.body.size": 0,
                "user_agent.original": 'b"\\',
                "http.request.header.referer": ['a"é'],
            },
        ),
    ),
    "Werkzeug, in colour": (
        b'127.0.0.1 - - [02/Jan/2024 03:04:05] "\x1b[33mGET /a HTTP/1.1\x1b[0m" 404 -',
        LogRecord(
            b"GET /a HTTP/1.1", AT, 13, "", {"client.address": "127.0.0.1", **GET, "http.response.status_code": 404}
        ),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_line_is_read_as(name: str) -> None:
    line, record = CASES[name]
    assert Access().parse(line, NOW) == record


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b'127.0.0.1 - - [02/Jan/2024:03:04:05 +0000] "GET / HTTP/1.1" 200',
        b'127.0.0.1 - - [02/Jan/2024:03:04:05 +0000] "GET / HTTP/1.1 200 12',
        b'127.0.0.1 - - [02/Jan/2024:03:04:05 +0000] "GET / HTTP/1.1" 2000 12',
        b'the list [a, b, c, and as many as it takes] "is" 200 12',
    ],
)
def test_what_lacks_a_field_is_no_access(line: bytes) -> None:
    assert Access().parse(line, NOW) is None


def test_lifted_keeps_the_line_and_none_the_request() -> None:
    line = CASES["common"][0]
    assert Access(Keep.LIFTED).parse(line, NOW) == LogRecord(line, AT, 9)
    assert Access(Keep.NONE).parse(line, NOW) == LogRecord(b"GET /a HTTP/1.1", AT, 9)


@pytest.mark.parametrize(
    ("status", "severity"),
    [(b"101", 9), (b"399", 9), (b"400", 13), (b"499", 13), (b"500", 17), (b"599", 17), (b"-", 9)],
)
def test_the_status_decides_on_the_severity(status: bytes, severity: int) -> None:
    record = Access().parse(b'::1 - - [02/Jan/2024:03:04:05 +0000] "GET /a HTTP/1.1" %b 1' % status, NOW)
    assert record is not None
    assert record.severity == severity
