"""Lines of no format: the time at their beginning and the word for their severity near it."""

from __future__ import annotations

import pytest

from sidecar.logic.level_guess import tells
from sidecar.logs.formats.plain import Plain
from sidecar.model.logs import Keep, LogRecord

from .times import AT, MS, NOW

HOUR = 3600 * 10**9


@pytest.mark.parametrize(
    ("line", "time", "severity", "word"),
    [
        (b"", 0, 0, ""),
        (b"hello", 0, 0, ""),
        (b"\xff\x00", 0, 0, ""),
        (b"2024-01-02 03:04:05", AT, 0, ""),
        (b"2024-01-02 03:04:05,678 INFO started", AT + 678 * MS, 9, "INFO"),
        (b"2024-01-02T03:04:05.678Z started", AT + 678 * MS, 0, ""),
        (b"2024-01-02T03:04:05.678+01:00 [warn] slow", AT + 678 * MS - HOUR, 13, "warn"),
        (b"2024-01-02 03:04:05 +0000 UTC error: slow", AT, 17, "error"),
        (b"[2024-01-02 03:04:05] error: slow", AT, 17, "error"),
        (b"[02/Jan/2024 03:04:05] slow", AT, 0, ""),
        (b"02/Jan/2024:03:04:05 +0000 slow", AT, 0, ""),
        (b"Tue Jan  2 03:04:05 2024 FATAL: gone", AT, 21, "FATAL"),
        (b"Jan  2 03:04:05 slow", AT, 0, ""),
        (b"Jan 2, 2024 3:04:05 AM Orders main", AT, 0, ""),
        (b"2024-13-45 03:04:05 slow", 0, 0, ""),
        (b"2024-01-02 is a day", 0, 0, ""),
        (b"at 2024-01-02 03:04:05 it began", 0, 0, ""),
    ],
)
def test_a_line_is_read_as(line: bytes, time: int, severity: int, word: str) -> None:
    for keep in Keep:
        assert Plain(keep).parse(line, NOW) == LogRecord(line, time, severity, word)


def test_the_zone_counts_where_only_it_has_changed() -> None:
    plain = Plain()
    times = [plain.parse(b"2024-01-02 03:04:05%b x" % zone, NOW).time for zone in (b"Z", b"+01:00", b"-0100", b"")]
    assert times == [AT, AT - HOUR, AT + HOUR, AT]


def test_a_block_of_sentences_tells_nothing_and_is_read_as_its_lines_are() -> None:
    lines = [
        b"no error was found",
        b"2026-02-03 04:05:06 Started",
        b"error: at its start",
        b"thread 'a' panicked at x",
        b"x",
    ]
    assert not tells(b"\n".join(lines))
    one, all_ = Plain(), Plain()
    assert all_.parse_many(lines, NOW) == [one.parse(line, NOW) for line in lines]


def test_lines_that_say_nothing_are_bare() -> None:
    plain = Plain()
    assert plain.parse_many([b"worker 03 handled it", b"and said no more", b""], NOW) is None
    assert plain.parse_many([b"worker 03 handled it", b"WARN and said more"], NOW) is not None
    assert plain.parse_many([b"worker 03 handled it", b"2026-02-03 04:05:06 and said when"], NOW) is not None
