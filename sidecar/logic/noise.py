"""Fewer records of a source that says too much: by severity, by repetition, by rate. What is left out is told of.

A record passes three gates, in this order, and only those that were configured:

1. `drop_below`: it has a lower severity. Where the severity is unknown nothing is dropped.
2. `dedup`: body and severity are those of the record before it. Repetitions cost nothing of the rate.
3. `rate_limit`: more records than that in a second, with one second's worth at once. All severities alike: an error in a flood
   is suppressed as the flood is, and the summary has the severity of the worst.

Summaries are records too. A repetition is told of before the next record that is let through, a flood once nothing was
suppressed for a second; either after ten seconds if it goes on.
"""

from __future__ import annotations

from ..model.logs import LogRecord

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
        self._repeats = _Repeats() if dedup else None
        self._flood = _Flood(rate_limit) if rate_limit else None

    def admit(self, body: bytes, severity: int, now: float) -> bool:
        """Whether the record goes on. Ask `due` in between: what it returns belongs before the record."""
        if 0 < severity < self._drop_below:
            reason = "severity"
        elif self._repeats and self._repeats.same(body, severity, now):
            reason = "duplicate"
        elif self._flood and not self._flood.room(now):
            self._flood.suppress(body, severity, now)
            if self._repeats:
                self._repeats.forget()
            reason = "rate_limit"
        else:
            return True
        self._dropped[reason] = self._dropped.get(reason, 0) + 1
        return False

    @property
    def waits(self) -> bool:
        """Will something be due, if nothing more comes?"""
        return bool(self._repeats and self._repeats.waits) or bool(self._flood and self._flood.waits)

    def due(self, now: float, closing: bool = False) -> list[LogRecord]:
        """Summaries that it is time for; with `closing` all that there are, because nothing more will come."""
        due = self._repeats.due(now, closing) if self._repeats else []
        return due + self._flood.due(now, closing) if self._flood else due


class _Repeats:
    """How often the last record came again."""

    def __init__(self) -> None:
        self._last: tuple[bytes, int] | None = None
        self._count = 0
        self._since = 0.0
        self._ended: list[LogRecord] = []

    def same(self, body: bytes, severity: int, now: float) -> bool:
        if self._last == (body, severity):
            if not self._count:
                self._since = now
            self._count += 1
            return True
        self._tell(now)
        self._last = (body, severity)
        return False

    @property
    def waits(self) -> bool:
        return self._count > 0 or bool(self._ended)

    def forget(self) -> None:
        """The last record was not seen after all: the next is no repetition of it."""
        self._last = None

    def due(self, now: float, closing: bool) -> list[LogRecord]:
        if closing or _over(self._since, now, EVERY):
            self._tell(now)
        due, self._ended = self._ended, []
        return due

    def _tell(self, now: float) -> None:
        if self._count and self._last:
            body, severity = self._last
            times = "once" if self._count == 1 else f"{self._count:,} times"
            self._ended.append(_summary(f"last line repeated {times}: ".encode() + _excerpt(body), severity, now))
            self._count = 0


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
