"""klog and glog."""

from __future__ import annotations

import pytest

from sidecar.logs.formats.klog import Klog
from sidecar.model.logs import Keep, LogRecord, Value

from .times import AT, NOW, US

PLACE: dict[str, Value] = {"thread.id": 1234, "code.file.path": "controller.go", "code.line.number": 71}

CASES = {
    "information": (
        b"I0102 03:04:05.678901    1234 controller.go:71] Starting workers",
        LogRecord(b"Starting workers", AT + 678_901 * US, 9, "INFO", {**PLACE}),
    ),
    "warning, with a year": (
        b"W20240102 03:04:05.000001 1234 controller.go:71] slow",
        LogRecord(b"slow", AT + US, 13, "WARNING", {**PLACE}),
    ),
    "structured": (
        b'E0102 03:04:05.678901    1234 controller.go:71] "Unable to \\"sync\\"" err="refused" pod="kube-system/dns" attempt=3',
        LogRecord(
            b'Unable to "sync"',
            AT + 678_901 * US,
            17,
            "ERROR",
            {**PLACE, "exception.message": "refused", "pod": "kube-system/dns", "attempt": 3},
        ),
    ),
    "a quoted word is no structure": (
        b'F0102 03:04:05.678901    1234 controller.go:71] "leases" are gone',
        LogRecord(b'"leases" are gone', AT + 678_901 * US, 21, "FATAL", {**PLACE}),
    ),
    "a day that does not exist": (
        b"I0231 03:04:05.678901    1234 controller.go:71] ",
        LogRecord(b"", 0, 9, "INFO", {**PLACE}),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_line_is_read_as(name: str) -> None:
    line, record = CASES[name]
    assert Klog().parse(line, NOW) == record


@pytest.mark.parametrize("line", [b"", b"I0102", b"Info: 1", b"D0102 03:04:05.678901    1234 a.go:71] x"])
def test_what_has_no_header_is_no_klog(line: bytes) -> None:
    assert Klog().parse(line, NOW) is None


def test_lifted_keeps_the_line_and_none_the_message() -> None:
    line = CASES["structured"][0]
    assert Klog(Keep.LIFTED).parse(line, NOW) == LogRecord(line, AT + 678_901 * US, 17, "ERROR")
    assert Klog(Keep.NONE).parse(line, NOW) == LogRecord(b'Unable to "sync"', AT + 678_901 * US, 17, "ERROR")


def test_the_same_second_of_another_line_is_the_same_time() -> None:
    klog = Klog()
    for fraction, day in ((1, b"0102"), (2, b"0102"), (3, b"0101")):
        record = klog.parse(b"I%b 03:04:05.%06d 1 a.go:1] x" % (day, fraction), NOW)
        assert record is not None
        assert record.time == AT + fraction * US - (86_400_000_000_000 if day == b"0101" else 0)
