"""What cannot be read is always counted, and the log stays readable."""

from __future__ import annotations

import errno
import os
from collections.abc import MutableMapping
from typing import Any

import structlog
from structlog.testing import capture_logs

from sidecar.logs.complaints import Complaints
from sidecar.model.counters import LogCounters


def refused(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def names(said: list[MutableMapping[str, Any]]) -> list[str | int]:
    return [each.get("path") or each["number"] for each in said]


def make() -> tuple[Complaints, LogCounters]:
    counters = LogCounters()
    return Complaints(counters, structlog.get_logger()), counters


def test_each_reason_is_said_of_ten_names_and_then_as_a_number() -> None:
    with capture_logs() as said:
        complaints, counters = make()
        paths = [f"/{number}" for number in range(30)]
        for now in (0.0, 1.0):
            for path in paths:
                complaints.say(path, refused(errno.EACCES))
            complaints.say("/app.log", refused(errno.EIO))
            complaints.looked([*paths, "/app.log"], now)
    assert names(said) == [*paths[:10], "/app.log", 20]
    assert counters.errors == {"EACCES": 30, "EIO": 1}
    assert complaints.why == "/0: Permission denied, and 30 more"


def test_names_that_come_and_go_are_counted_forgotten_and_summed_up_after_ten_minutes() -> None:
    with capture_logs() as said:
        complaints, counters = make()
        for second in range(611):
            complaints.say(f"/{second}", refused(errno.EACCES))
            complaints.looked([f"/{second}"], float(second))
    assert names(said) == [*(f"/{number}" for number in range(10)), 591, *(f"/{number}" for number in range(601, 611))]
    assert counters.errors == {"EACCES": 611}
    assert complaints.why == "/610: Permission denied"
    complaints.looked([], 611.0)
    assert complaints.why == ""


def test_of_more_names_than_are_known_each_is_counted_each_time() -> None:
    with capture_logs() as said:
        complaints, counters = make()
        paths = [f"/{number}" for number in range(10_002)]
        for _ in range(2):
            for path in paths:
                complaints.say(path, refused(errno.EACCES))
        complaints.say("/1", refused(errno.EIO))
    assert counters.errors == {"EACCES": 10_004, "EIO": 1}
    assert said[-1]["path"] == "/1"


def test_only_what_was_said_is_said_to_be_over() -> None:
    with capture_logs() as said:
        complaints, _ = make()
        for number in range(12):
            complaints.say(f"/{number}", refused(errno.EACCES))
        for number in range(12):
            complaints.fine(f"/{number}")
    assert [each["path"] for each in said if each["log_level"] == "info"] == [f"/{number}" for number in range(10)]
    assert complaints.why == ""
