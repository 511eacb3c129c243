"""Apache's error log."""

from __future__ import annotations

import pytest

from sidecar.logs.formats.apache import Apache
from sidecar.model.logs import Keep, LogRecord

from .times import AT, NOW, US

CASES = {
    "of a request, with the system's reason": (
        (
            b"[Tue Jan 02 03:04:05.678901 2024] [core:error] [pid 12:tid 139872] (13)Permission denied: [client ::1:5678] "
            b"AH00035: access to / denied"
        ),
        LogRecord(
            b"(13)Permission denied: AH00035: access to / denied",
            AT + 678_901 * US,
            17,
            "error",
            {
                "apache.module": "core",
                "process.pid": 12,
                "thread.id": 139872,
                "client.address": "::1",
                "client.port": 5678,
            },
        ),
    ),
    "of the server itself": (
        b"[Tue Jan 02 03:04:05.000001 2024] [mpm_event:notice] [pid 1] AH00489: Apache/2.4.62 configured",
        LogRecord(
            b"AH00489: Apache/2.4.62 configured",
            AT + US,
            10,
            "notice",
            {"apache.module": "mpm_event", "process.pid": 1},
        ),
    ),
    "a step of trace": (
        b"[Tue Jan 02 03:04:05.000001 2024] [http:trace4] [pid 1] http_request.c(433): [client 10.0.0.1:5678] Headers",
        LogRecord(
            b"http_request.c(433): Headers",
            AT + US,
            1,
            "trace4",
            {"apache.module": "http", "process.pid": 1, "client.address": "10.0.0.1", "client.port": 5678},
        ),
    ),
    "2.2": (
        b"[Tue Jan 02 03:04:05 2024] [error] [client ::1] File does not exist: /srv/a",
        LogRecord(b"File does not exist: /srv/a", AT, 17, "error", {"client.address": "::1"}),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_line_is_read_as(name: str) -> None:
    line, record = CASES[name]
    assert Apache().parse(line, NOW) == record


@pytest.mark.parametrize("line", [b"", b"[Tue Jan 02 03:04:05 2024] error", b"[Day Jan 02 03:04:05 2024] [error] x"])
def test_what_lacks_a_field_is_refused(line: bytes) -> None:
    assert Apache().parse(line, NOW) is None


def test_lifted_keeps_the_line_and_none_the_message() -> None:
    line = CASES["2.2"][0]
    assert Apache(Keep.LIFTED).parse(line, NOW) == LogRecord(line, AT, 17, "error")
    assert Apache(Keep.NONE).parse(line, NOW) == LogRecord(b"File does not exist: /srv/a", AT, 17, "error")
