"""Times as lines spell them, against literal nanoseconds and against datetime."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sidecar.logic.timestamps import MAX_LENGTH, REMEMBERED, _seconds, nanoseconds

SECOND = 1_000_000_000
AT = 1_704_164_645 * SECOND
"""2024-01-02T03:04:05Z."""
NOW = AT + 3600 * SECOND


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-01-02T03:04:05Z", AT),
        ("2024-01-02t03:04:05z", AT),
        ("2024-01-02T03:04:05.1Z", AT + 100_000_000),
        ("2024-01-02T03:04:05.123Z", AT + 123_000_000),
        ("2024-01-02T03:04:05.123456Z", AT + 123_456_000),
        ("2024-01-02T03:04:05.1234567Z", AT + 123_456_700),
        ("2024-01-02T03:04:05.123456789Z", AT + 123_456_789),
        ("2024-01-02T03:04:05.123456789999Z", AT + 123_456_789),
        ("2024-01-02T04:04:05.123456789+01:00", AT + 123_456_789),
        ("2024-01-02T04:04:05.123+0100", AT + 123_000_000),
        ("2024-01-02T04:04:05+01", AT),
        ("2024-01-01T21:34:05-05:30", AT),
        ("2024-01-02T04:04:05.123+01:00[Europe/Berlin]", AT + 123_000_000),
        ("2024-01-02T03:04:05", AT),
        ("2024-01-02T03:04:05.123456", AT + 123_456_000),
        ("2024-01-02T03:04:05.123456789", AT + 123_456_789),
        ("2024-01-02T03:04:05.1234567", AT + 123_456_700),
        ("2024-01-02 03:04:05,123", AT + 123_000_000),
        ("2024-01-02 03:04:05,123Z", AT + 123_000_000),
        ("2024-01-02 03:04:05.123 UTC", AT + 123_000_000),
        ("2024-01-02 03:04:05.000000005 +0000 UTC", AT + 5),
        ("2024-01-02 04:04:05.5 +0100 CET m=+0.000123", AT + 500_000_000),
        ("2024/01/02 03:04:05", AT),
        ("2024/01/02 03:04:05.123456", AT + 123_456_000),
        ("20240102T030405Z", AT),
        ("20240102T030405.123Z", AT + 123_000_000),
        ("2023-12-31T23:59:60Z", 1_704_067_200 * SECOND),
        ("10/Oct/2000:13:55:36 -0700", 971_211_336 * SECOND),
        ("[10/Oct/2000:13:55:36 -0700]", 971_211_336 * SECOND),
        ("Tue, 02 Jan 2024 03:04:05 GMT", AT),
        ("Tue, 2 Jan 2024 04:04:05 +0100", AT),
        ("Tuesday, 02-Jan-2024 03:04:05 UTC", AT),
        ("02 Jan 2024 03:04:05.123", AT + 123_000_000),
        ("Tue Jan  2 03:04:05 2024", AT),
        ("Tue Jan 2 03:04:05 2024", AT),
        ("Tue Jan 02 03:04:05.123456 2024", AT + 123_456_000),
        ("Tue Jan  2 03:04:05 UTC 2024", AT),
        ("Jan 02, 2024 3:04:05 AM", AT),
        ("Jan 02, 2024 3:04:05 PM", AT + 12 * 3600 * SECOND),
        ("Jan 02, 2024 12:04:05 AM", AT - 3 * 3600 * SECOND),
        ("1704164645", AT),
        ("1704164645.123456789", AT + 123_456_789),
        ("1704164645123", AT + 123_000_000),
        ("1704164645123.25", AT + 123_250_000),
        ("1704164645123456", AT + 123_456_000),
        ("1704164645123456789", AT + 123_456_789),
    ],
)
def test_a_text_is_the_time_that_it_says(text: str, expected: int) -> None:
    assert nanoseconds(text) == expected
    assert nanoseconds(text) == expected, "remembered"
    assert nanoseconds(text.encode()) == expected


@pytest.mark.parametrize(
    ("text", "now", "expected"),
    [
        ("Jan  2 03:04:05", NOW, AT),
        ("Jan 2 03:04:05", NOW, AT),
        ("jan 02 03:04:05.123", NOW, AT + 123_000_000),
        ("0102 03:04:05.123456", NOW, AT + 123_456_000),
        ("Dec 31 23:59:59", NOW, 1_704_067_199 * SECOND),
        ("Jan  1 00:00:00", 1_704_067_199 * SECOND, 1_704_067_200 * SECOND),
        ("Jan  2 03:04:05", 1_795_219_200 * SECOND, 1_767_323_045 * SECOND),  # on 2026-11-21 in January before
        ("Nov 22 00:00:00", 1_795_219_200 * SECOND, 1_795_305_600 * SECOND),
        ("Nov 22 00:00:01", 1_795_219_200 * SECOND, 1_763_769_601 * SECOND),
        ("1122 00:00:00.000001", 1_795_219_200 * SECOND, 1_763_769_600 * SECOND + 1000),
        ("1122 00:00:01.000000", 1_795_219_200 * SECOND, 1_763_769_601 * SECOND),
        ("Nov 22 00:00:01", 1_795_219_201 * SECOND, 1_795_305_601 * SECOND),
        ("Jan  3 03:04:05", NOW, AT + 86_400 * SECOND),
        ("Jan  4 03:04:05", NOW, AT - 363 * 86_400 * SECOND),
        ("Feb 29 00:00:00", AT + 58 * 86_400 * SECOND, 1_709_164_800 * SECOND),
        ("Feb 29 00:00:00", AT + 400 * 86_400 * SECOND, 1_709_164_800 * SECOND),
        ("Feb 29 00:00:00", NOW, 0),
    ],
)
def test_a_time_without_a_year_is_the_last_one_that_is_not_from_the_future(text: str, now: int, expected: int) -> None:
    assert nanoseconds(text, now) == expected


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (1_704_164_645, AT),
        (1_704_164_645_123, AT + 123_000_000),
        (1_704_164_645_123_456, AT + 123_456_000),
        (1_704_164_645_123_456_789, AT + 123_456_789),
        (1_704_164_645.0, AT),
        (1_704_164_645.123456, AT + 123_456_000),
        (1_704_164_645_123.25, AT + 123_250_000),
        (1_704_164_645_123_456.0, AT + 123_456_000),
        (1.704164645e18, AT),
    ],
)
def test_an_epoch_has_the_unit_of_its_size(number: float, expected: int) -> None:
    assert nanoseconds(number) == expected


@pytest.mark.parametrize(
    "value",
    [
        *("", "Z", "now", "12ms", "INFO", "2024-01-02", "2024-13-02T03:04:05Z", "2024-02-30T03:04:05Z"),
        *(
            "2024-01-02T24:04:05Z",
            "2024-01-02T03:60:05Z",
            "2024-01-02T03:04:61Z",
        ),
        *("2024-01-02T03:04:05.12x4Z", "2024-01-02T03:04:05.123456Zulu time", "2024-01-02T03:04:05+99:00"),
        *("2024-01/02T03:04:05", "0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "9999-01-01T00:00:00Z"),
        *("32/Oct/2000:13:55:36 -0700", "Jan 32 03:04:05", "1332 03:04:05.000000", "170416464", "999999999", "1.5"),
        *("2024-01-02T03:04:05" + " " * 100, "1" * 5000, "2024-01-02T03:04:05." + "1" * 5000 + "Z"),
        *(
            0,
            1,
            -1,
            250,
            10**30,
            0.5,
            -1.0,
            150_000_000,
            999_999_999,
            99_999_999.5,
            10**12 - 1,
            float("nan"),
            float("inf"),
            1e300,
        ),
        *(True, None, [], {}, ["2024-01-02T03:04:05Z"], b"\xff\x00", "２０２４-01-02T03:04:05Z"),
    ],
)
def test_what_is_no_time_of_a_line_is_unknown(value: object) -> None:
    assert nanoseconds(value, NOW) == 0


MOMENTS = st.datetimes(min_value=datetime(1975, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC))
ZONES = st.integers(-18 * 60, 18 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


def exact(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000


@given(MOMENTS, ZONES, st.sampled_from(["T", " ", "t"]), st.sampled_from(["auto", "seconds", "milliseconds"]))
def test_iso_forms_are_what_datetime_says(moment: datetime, zone: timezone, between: str, digits: str) -> None:
    local = moment.astimezone(zone)
    text = local.isoformat(between, digits)
    assert nanoseconds(text) == exact(datetime.fromisoformat(text))
    utc = moment.isoformat(between, digits)
    assert nanoseconds(utc.replace("+00:00", "Z")) == nanoseconds(utc.removesuffix("+00:00"))
    assert nanoseconds(utc.replace(".", ",")) == nanoseconds(utc) == exact(datetime.fromisoformat(utc))


@given(MOMENTS, ZONES)
def test_other_forms_are_what_strftime_made_them_of(moment: datetime, zone: timezone) -> None:
    local = moment.astimezone(zone)
    second = exact(moment.replace(microsecond=0))
    for form in ("%d/%b/%Y:%H:%M:%S %z", "%a, %d %b %Y %H:%M:%S %z"):
        assert nanoseconds(local.strftime(form)) == second
    for form in ("%a %b %d %H:%M:%S %Y", "%b %d, %Y %I:%M:%S %p", "%Y/%m/%d %H:%M:%S", "%Y%m%dT%H%M%SZ"):
        assert nanoseconds(moment.strftime(form)) == second
    assert nanoseconds(moment.strftime("%m%d %H:%M:%S.%f"), exact(moment)) == exact(moment)
    assert nanoseconds(moment.strftime("%b %d %H:%M:%S"), exact(moment)) == second


@given(st.datetimes(min_value=datetime(2002, 1, 1), max_value=datetime(2106, 1, 1), timezones=st.just(UTC)))
def test_epochs_keep_what_their_type_can(moment: datetime) -> None:
    exactly = exact(moment)
    assert nanoseconds(exactly // 1000) == exactly
    assert nanoseconds(moment.timestamp()) == exactly
    assert nanoseconds(str(exactly // SECOND) + f".{exactly % SECOND:09d}") == exactly


@given(
    st.one_of(
        st.text(max_size=80),
        st.binary(max_size=80),
        st.text("0123456789-/:., TZ+[]JanFebAM", max_size=40),
        st.floats(),
        st.integers(),
        st.from_regex(r"\A2024-0[12]-[0-3]\d[T ]0\d:0\d:\d\d.{0,12}\Z"),
    ),
    st.integers(-(1 << 70), 1 << 70),
)
@example("Jan 01 00:00:00", 1 << 70)
@example("Jan 01 00:00:00", -(1 << 70))
def test_nothing_raises_and_nothing_leaves_the_range(value: object, now: int) -> None:
    assert 0 <= nanoseconds(value, now) < 1 << 63


def test_what_is_remembered_is_bounded() -> None:
    for second in range(REMEMBERED * 3):
        nanoseconds(f"2024-01-02T03:{second // 60:02d}:{second % 60:02d}Z" + "x" * MAX_LENGTH)
        assert len(_seconds) <= REMEMBERED
