"""What a record says about now: that it was read, unless it was written before the window."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from sidecar.logic.log_watch import LogWatch, Seen
from sidecar.model.logs import LogRecord

NOW = 1_800_000_000.0
INFO, ERROR, FATAL = 9, 17, 21


def note(watch: LogWatch, *records: LogRecord, lines: list[bytes] | None = None) -> Seen:
    severities: dict[int, int] = {}
    for record in records:
        severities[record.severity] = severities.get(record.severity, 0) + 1
    watch.note(NOW, lines or [record.body for record in records], severities, records)
    return watch.seen(NOW)


def made(age: float, severity: int = INFO, body: bytes = b"x") -> LogRecord:
    """A record that was written `age` seconds ago."""
    return LogRecord(body, int((NOW - age) * 1e9), severity)


def minute(pattern: str = "") -> LogWatch:
    return LogWatch("", 60.0, re.compile(pattern) if pattern else None, NOW)


def test_records_that_were_written_before_the_window_are_left_out_of_every_count() -> None:
    seen = note(minute("x"), made(7, FATAL, b"x new"), made(3600, FATAL, b"x old"), made(4000, ERROR), made(4000, INFO))
    assert seen == Seen(1, 1, 1, 1, 3, "x new", "x new")


@pytest.mark.parametrize(
    "block",
    [
        [made(1), made(3600, ERROR), made(1)],
        [made(1), made(3600, INFO, b"boom"), made(1)],
        [made(3600), made(1), made(1)],
        [made(1), made(1), made(3600)],
    ],
)
def test_one_old_record_that_matters_or_stands_at_an_end_is_left_out(block: list[LogRecord]) -> None:
    assert note(minute("boom"), *block) == Seen(2, old=1)


def test_a_block_of_old_records_says_nothing_but_that_lines_come() -> None:
    watch = LogWatch("", 60.0, None, NOW - 100)
    assert note(watch, made(1e8), made(1e8, FATAL)) == Seen(old=2)
    assert watch.last == NOW


def test_old_records_do_not_thin_out_the_share_of_errors() -> None:
    watch = minute()
    note(watch, *[made(3600)] * 512)
    assert note(watch, *[made(1, ERROR)] * 10, *[made(1)] * 10) == Seen(20, 10, old=512)


@pytest.mark.parametrize("age", [0.0, 64.0, -3600.0, -1e8])
def test_what_is_recent_from_the_future_or_read_a_little_late_counts(age: float) -> None:
    assert note(minute(), made(age, FATAL)).fatal == 1


def test_what_has_no_time_counts() -> None:
    assert note(minute(), LogRecord(b"panic", severity=FATAL)).fatal == 1
    watch = minute("panic")
    watch.note(NOW, [b"panic"], {0: 1}, [])
    assert watch.seen(NOW).matches == 1


def at(age: float) -> str:
    return datetime.fromtimestamp(NOW - age, UTC).strftime("%H:%M:%S")


@pytest.mark.parametrize(
    ("hours", "zone", "counts"),
    [
        (5, "", 1),
        (3.5, ",123", 1),
        (12, " MST", 1),
        (5, "Z", 0),
        (5, ".25 +0000", 0),
        (5, "+00:00", 0),
        (12.5, "", 0),
        (4.75, "", 0),
        (24, "", 0),
    ],
)
def test_a_time_without_a_zone_is_old_where_it_would_be_so_in_every_zone(hours: float, zone: str, counts: int) -> None:
    record = made(hours * 3600 + 1, FATAL)
    line = f"2027-01-15 {at(hours * 3600 + 1)}{zone} FATAL gone".encode()
    assert note(minute(), record, lines=[line]).fatal == counts


def test_an_epoch_is_of_no_zone() -> None:
    assert note(minute(), made(5 * 3600, FATAL), lines=[b'{"time":1799982000,"level":"fatal"}']).fatal == 0
