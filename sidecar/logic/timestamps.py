"""When a line says that it was written: every usual spelling as unix nanoseconds, 0 where it is none.

A time without a zone is UTC, as in containers. One without a year (syslog, klog) is the last one until a day after `now`: clocks
and zones differ, but no line is from the future. A zone's name other than UTC, GMT and Z is not one place's, and is read as UTC.
What is before 1973 or after 2262 is no time of a log line: the zero times of Go and Java are none. Of numbers it is what is
before September 2001: durations are not taken for times.

The fast path is a date, a time and a fraction; the same second comes many times in a row, so its date is calculated once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime
from functools import lru_cache

SECOND = 1_000_000_000
DAY = 86_400
EARLIEST = 100_000_000 * SECOND
EARLIEST_EPOCH = 1_000_000_000 * SECOND
LATEST = (1 << 63) - 1
MAX_LENGTH = 64
"""Characters of the longest text that is looked at."""
NANOSECONDS_LONG = 28
"""Characters from which a date and time that ends in Z may have more than six digits of a fraction."""
REMEMBERED = 64
"""Seconds whose date is remembered."""

_seconds: dict[str, int] = {}
_from_iso = datetime.fromisoformat
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_SCALE: tuple[int, ...] = tuple(10 ** (9 - digits) for digits in range(10))
_MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, 1)}

_ISO = re.compile(r"(\d{4})([-/.])(\d\d)\2(\d\d)[Tt ](\d\d):(\d\d):(\d\d)", re.ASCII)
_FRACTION = re.compile(r"[.,](\d{1,30})", re.ASCII)
_CLOCK = r"(?P<hour>\d\d?):(?P<minute>\d\d):(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,30}))?"
_ZONE = r"(?: ?(?P<zone>[+-]\d\d(?::?\d\d)?|[A-Za-z]{1,5})(?: [A-Z]{1,5}| [+-]\d{2,4})?(?: m=[+-][\d.]+)?|)"
_AFTER = re.compile(_ZONE + r"(?:\[[^\]]*\])?", re.ASCII)
"""Behind the fraction: a zone, Go's second name for it and its monotonic reading, Java's name of a place."""
_WEEKDAY = r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,? )?"
_MONTH = r"(?P<month>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_COMPACT = r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)t(?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d)"
_FORMS = [
    re.compile(form, re.ASCII | re.IGNORECASE)
    for form in (
        # 10/Oct/2000:13:55:36 -0700; Mon, 02 Jan 2006 15:04:05 MST; 02 Jan 2006 15:04:05.123; 10-Oct-2000 13:55:36
        rf"{_WEEKDAY}(?P<day>\d\d?)[ /-]{_MONTH}[ /-](?P<year>\d{{4}})[ :]{_CLOCK}{_ZONE}",
        # Mon Jan _2 15:04:05 MST 2006; with the fraction and the zone of Apache's error log and of `date`
        rf"{_WEEKDAY}{_MONTH} {{1,2}}(?P<day>\d\d?) {_CLOCK}{_ZONE} (?P<year>\d{{4}})",
        # Jan 02, 2006 3:04:05 PM
        rf"{_WEEKDAY}{_MONTH} (?P<day>\d\d?),? (?P<year>\d{{4}}),? {_CLOCK}(?: (?P<half>am|pm))?{_ZONE}",
        # 20060102T150405Z
        rf"{_COMPACT}(?:[.,](?P<fraction>\d{{1,30}}))?{_ZONE}",
    )
]
_YEARLESS = [
    re.compile(rf"{_MONTH} {{1,2}}(?P<day>\d\d?) {_CLOCK}", re.ASCII | re.IGNORECASE),
    re.compile(rf"(?P<month>\d\d)(?P<day>\d\d) {_CLOCK}", re.ASCII),
]
_NUMBER = re.compile(r"(\d{10,19})(?:\.(\d{1,30}))?", re.ASCII)


def nanoseconds(value: object, now: int = 0) -> int:
    """Unix nanoseconds of a text (also as bytes) or an epoch in seconds, milli-, micro- or nanoseconds, by its size; 0 where
    it is no time. `now`, in unix nanoseconds, is for the spellings without a year. Never raises."""
    if type(value) is not str:
        return _of_number(value) if not isinstance(value, bytes) else nanoseconds(value.decode("latin-1"), now)
    second = _seconds.get(value[:19])
    if second is None:
        second = _second(value[:19])
    if not second:
        return _of_other(value, now)
    if value[-1] == "Z" and len(value) < NANOSECONDS_LONG:
        try:
            return second + _from_iso(value).microsecond * 1000
        except ValueError:
            pass  # a leap second, or no dashes in its date
    return _with_rest(second, value[19:])


def _second(text: str) -> int:
    found = _ISO.fullmatch(text)
    time = _utc(*map(int, found.group(1, 3, 4, 5, 6, 7))) if found else 0
    if len(_seconds) >= REMEMBERED:
        _seconds.clear()
    _seconds[text] = _within(time)
    return _seconds[text]


def _with_rest(second: int, rest: str) -> int:
    """`second` with what stands behind it: a fraction, a zone, both or nothing; 0 where it is something else."""
    if len(rest) > MAX_LENGTH:
        return 0
    zone = -1 if rest[-1:] == "Z" else -6
    digits = rest[1:zone]
    if rest[:1] == "." and digits.isdecimal() and len(digits) < 10:
        offset = _offset(rest[zone:])
        if offset is not None:
            return _within(second + int(digits) * _SCALE[len(digits)] - offset)
    fraction = _FRACTION.match(rest)
    if fraction:
        second += _fraction(fraction[1])
        rest = rest[fraction.end() :]
    offset = _offset(rest)
    return 0 if offset is None else _within(second - offset)


@lru_cache(maxsize=64)
def _offset(rest: str) -> int | None:
    """Nanoseconds east of UTC; None where it is not the end of a time."""
    found = _AFTER.fullmatch(rest)
    return _zone(found["zone"]) if found else None


def _zone(zone: str | None) -> int | None:
    if not zone or zone[0] not in "+-":
        return 0
    digits = zone[1:].replace(":", "").ljust(4, "0")
    hours, minutes = int(digits[:2]), int(digits[2:])
    if hours > 18 or minutes > 59:
        return None
    seconds = hours * 3600 + minutes * 60
    return (-seconds if zone[0] == "-" else seconds) * SECOND


def _fraction(digits: str) -> int:
    digits = digits[:9]
    return int(digits) * _SCALE[len(digits)]


def _of_other(text: str, now: int) -> int:
    text = text.strip("[] \t")
    if not 9 <= len(text) <= MAX_LENGTH:
        return 0
    if text[:10].isdecimal():
        found = _NUMBER.fullmatch(text)
        if found:
            return _of_integer(int(found[1]), found[2] or "")
    return _of_form(text) or _of_yearless(text, now)


@lru_cache(maxsize=64)
def _of_form(text: str) -> int:
    for form in _FORMS:
        found = form.fullmatch(text)
        if found:
            at = found.groupdict()
            hour = int(at["hour"])
            if at.get("half"):
                hour = hour % 12 + (12 if at["half"].lower() == "pm" else 0)
            time = _utc(
                int(at["year"]), _month(at["month"]), int(at["day"]), hour, int(at["minute"]), int(at["second"])
            )
            offset = _zone(at["zone"])
            return 0 if offset is None or not time else _within(time + _fraction(at["fraction"] or "0") - offset)
    return 0


def _of_yearless(text: str, now: int) -> int:
    """Month and day are those of `now`'s year or of the years beside it, whichever is last without being from the future."""
    for form in _YEARLESS:
        found = form.fullmatch(text)
        if found:
            times = _in_years(
                now // SECOND // DAY,
                _month(found["month"]),
                int(found["day"]),
                int(found["hour"]),
                int(found["minute"]),
                int(found["second"]),
            )
            latest = now + DAY * SECOND - (fraction := _fraction(found["fraction"] or "0"))
            return next((time + fraction for time in times if time <= latest), 0)
    return 0


@lru_cache(maxsize=64)
def _in_years(today: int, month: int, day: int, hour: int, minute: int, second: int) -> Sequence[int]:
    """In the year after today's, in today's and in the one before, where there is such a time."""
    try:
        year = date.fromordinal(today + _EPOCH_DAY).year
    except (ValueError, OverflowError):
        return ()
    times = [_within(_utc(near, month, day, hour, minute, second)) for near in (year + 1, year, year - 1)]
    return [time for time in times if time]


def _month(month: str) -> int:
    return int(month) if month.isdecimal() else _MONTHS[month[:3].lower()]


def _utc(year: int, month: int, day: int, hour: int, minute: int, second: int) -> int:
    """0 where there is no such time. Second 60, a leap second, is the next minute's first."""
    if hour > 23 or minute > 59 or second > 60:
        return 0
    try:
        days = date(year, month, day).toordinal() - _EPOCH_DAY
    except ValueError:
        return 0
    return (days * DAY + hour * 3600 + minute * 60 + second) * SECOND


def _of_number(value: object) -> int:
    if type(value) is int:
        return _of_integer(value)
    return _of_float(value) if type(value) is float else 0


def _of_integer(number: int, fraction: str = "") -> int:
    """`fraction` are the digits behind the point, of the number's unit."""
    unit = 9 if number < 10**11 else 6 if number < 10**14 else 3 if number < 10**17 else 0
    time = number * _SCALE[9 - unit] + (int(fraction[:unit].ljust(unit, "0")) if fraction and unit else 0)
    return time if EARLIEST_EPOCH <= time <= LATEST else 0


def _of_float(number: float) -> int:
    """To the microsecond: until 2106 a double of seconds is as exact as that, and no more."""
    if not EARLIEST_EPOCH / SECOND <= number < LATEST:
        return 0
    if number >= 1e17:
        return _of_integer(int(number))
    unit = 1e6 if number < 1e11 else 1e3 if number < 1e14 else 1
    return _of_integer(round(number * unit))


def _within(time: int) -> int:
    return time if EARLIEST <= time <= LATEST else 0
