"""Fewer records of a source that says too much: by severity, by repetition, by rate. What is left out is told of.

A record passes three gates, in this order, and only those that were configured:

1. `drop_below`: it has a lower severity. Where the severity is unknown nothing is dropped.
2. `dedup`: it is the record before it in its stream once more, in all but the time. Repetitions cost nothing of the rate.
3. `rate_limit`: more records than that in a second, with one second's worth at once. All severities alike: an error in a flood
   is suppressed as the flood is, and the summary has the severity of the worst.

The rate is one of all streams of a source; what repeats is known for each, see `Repeats`.

Summaries are records too. A repetition is told of before the next record that is let through, a flood once nothing was
suppressed for a second; either after ten seconds if it goes on.
"""

from __future__ import annotations

from ..model.logs import LogRecord
from .otlp_logs import attributes_of

EVERY = 10.0
"""Seconds after which what goes on is told of."""
QUIET = 1.0
"""Seconds without a suppressed record that end a flood."""
EXCERPT = 200
"""Bytes of a body that a summary repeats."""


class Noise:
    """The gates of one source. `dropped` counts what did not pass by reason: severity, duplicate, rate_limit.

    `now` is unix seconds; a clock that is set back or forward neither opens nor shuts a gate for longer than it would be."""

    def __init__(
        self, dropped: dict[str, int], rate_limit: int | None = None, dedup: bool = False, drop_below: int = 0
    ) -> None:
        self._dropped = dropped
        self._drop_below = drop_below
        self._dedup = dedup
        self._flood = _Flood(rate_limit) if rate_limit else None

    def repeats(self) -> Repeats | None:
        """For a new stream; None where repetitions pass."""
        return Repeats() if self._dedup else None

    def admit(self, record: LogRecord, now: float, repeats: Repeats | None = None) -> bool:
        """Whether the record goes on; `repeats` is its stream's. Ask `due` of both in between: what they return belongs before
        the record."""
        if 0 < record.severity < self._drop_below:
            reason = "severity"
        elif repeats and repeats.same(record, now):
            reason = "duplicate"
        elif self._flood and not self._flood.room(now):
            self._flood.suppress(record.body, record.severity, now)
            if repeats:
                repeats.forget()
            reason = "rate_limit"
        else:
            return True
        self._dropped[reason] = self._dropped.get(reason, 0) + 1
        return False

    @property
    def waits(self) -> bool:
        """Will a summary of a flood be due, if nothing more comes?"""
        return self._flood is not None and self._flood.waits

    def due(self, now: float, closing: bool = False) -> list[LogRecord]:
        """Summaries of floods that it is time for; with `closing` all that there are, because nothing more will come."""
        return self._flood.due(now, closing) if self._flood else []


class Repeats:
    """How often the last record of one stream came again.

    It is the same in body, severity and its word, attributes with their types, trace and span; the time does not matter. Of the
    record itself only a hash is kept (by the process's secret, 64 bits), of one that came again what its summary says."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._count = 0
        self._since = 0.0
        self._excerpt = b""
        self._severity = 0
        self._ended: list[LogRecord] = []

    def same(self, record: LogRecord, now: float) -> bool:
        """Also encodes the record's attributes, which has to be done anyway if it goes on."""
        if record.attributes and not record.encoded:
            record.encoded = attributes_of(record.attributes)
        last, self._last = self._last, _identity(record)
        if last == self._last:
            if not self._count:
                self._since, self._excerpt, self._severity = now, _excerpt(record.body), record.severity
            self._count += 1
            return True
        self._tell(now)
        return False

    @property
    def waits(self) -> bool:
        """Will a summary be due, if nothing more comes?"""
        return self._count > 0 or bool(self._ended)

    def forget(self) -> None:
        """The last record was not seen after all: the next is no repetition of it."""
        self._last = None

    def due(self, now: float, closing: bool = False) -> list[LogRecord]:
        """As `Noise.due`, of repetitions."""
        if closing or _over(self._since, now, EVERY):
            self._tell(now)
        due, self._ended = self._ended, []
        return due

    def _tell(self, now: float) -> None:
        if self._count:
            times = "once" if self._count == 1 else f"{self._count:,} times"
            told = f"last line repeated {times}: ".encode() + self._excerpt
            self._ended.append(_summary(told, self._severity, now))
            self._count = 0


def _identity(record: LogRecord) -> int:
    """A hash of all but the time."""
    said = (record.body, record.severity, record.severity_text, record.encoded, record.dropped)
    return hash((said, record.trace_id, record.span_id, record.flags))


class _Flood:
    """A bucket that holds a second's worth of records and fills evenly."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._room = float(rate)
        self._filled: float | None = None
        self._count = 0
        self._since = 0.0
        self._until = 0.0
        self._first = b""
        self._last = b""
        self._worst = 0

    def room(self, now: float) -> bool:
        if now != self._filled:
            if self._filled is not None and now > self._filled:
                self._room = min(self._rate, self._room + (now - self._filled) * self._rate)
            self._filled = now
        if self._room < 1:
            return False
        self._room -= 1
        return True

    @property
    def waits(self) -> bool:
        return self._count > 0

    def suppress(self, body: bytes, severity: int, now: float) -> None:
        if not self._count:
            self._since = now
            self._first = body
            self._worst = severity
        self._count += 1
        self._until = now
        self._last = body
        if severity > self._worst:
            self._worst = severity

    def due(self, now: float, closing: bool) -> list[LogRecord]:
        if not self._count or not (closing or _over(self._since, now, EVERY) or _over(self._until, now, QUIET)):
            return []
        seconds = max(1, round(self._until - self._since))
        lines = "line" if self._count == 1 else "lines"
        told = f"{self._count:,} {lines} suppressed in {seconds}s: first ".encode() + _excerpt(self._first)
        if self._count > 1:
            told += b" last " + _excerpt(self._last)
        self._count = 0
        self._first = self._last = b""
        return [_summary(told, self._worst, now)]


def _over(since: float, now: float, seconds: float) -> bool:
    """Also where the clock was set back behind `since`."""
    return not since <= now < since + seconds


def _excerpt(body: bytes) -> bytes:
    """The first line, in quotes, cut between two characters."""
    line = body[: EXCERPT + 1].partition(b"\n")[0]
    if len(line) > EXCERPT:
        end = EXCERPT
        while end > EXCERPT - 4 and line[end] & 0xC0 == 0x80:
            end -= 1
        line = line[:end]
    return b'"' + line + (b"\xe2\x80\xa6" if len(line) < len(body) else b"") + b'"'


def _summary(body: bytes, severity: int, now: float) -> LogRecord:
    return LogRecord(body, time=int(now * 1e9), severity=severity)
