"""What a check sees of the logs: counts of the last while, a second each.

Fed with whole blocks by the pipeline, asked by the probe. A block is looked at for the pattern as a whole first, because most
lines of most services hold nothing of what anybody looks for; unless the pattern looks at where a line begins or ends, or at what
is beside a match, which a block is no judge of.

A record counts when it is read, unless it says that it was written before the window: what is read late, at the first start,
after an outage or a restart, says nothing about now. Records are asked one by one only where that matters: in a block that begins
or ends with an old one, or holds what is looked for. What has no time counts, and so does what is from the future. A time without
a zone was taken for UTC, and may be hours later west of there: it is old where it would be so in every zone.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence

import msgspec

from ..model.logs import LogRecord

ERROR, FATAL = 17, 19
"""OpenTelemetry's severity numbers from which a record is an error, and from which something has ended: ERROR3, a panic, and
more."""
EXCERPT = 200
LOOKED_AT = 8 << 10
"""Bytes of a line that are searched for the pattern: with as many ways to match as one has, some milliseconds."""
DELAY = 5.0
"""Seconds that pass at most between writing and reading while all is well."""
ZONES = 12 * 3600.0
HALF_HOUR = 1800.0
"""West of Greenwich clocks are up to so much behind, by whole half-hours."""
_CLOCK = re.compile(rb"(?<!\d)\d\d:\d\d:\d\d(?:[.,]\d+)?(?P<zone> ?(?:Z|UTC|GMT|[+-]\d\d))?")
_EDGES = re.compile(r"[\^$]|\\[AZ]|\(\?<?[=!]")
"""What makes a pattern match in a line and not in the lines around it."""


class Seen(msgspec.Struct, frozen=True):
    """Within the window, with the last line that was fatal and the last that matched the pattern. `old` are records that were
    read within it, and written before."""

    records: int = 0
    errors: int = 0
    fatal: int = 0
    matches: int = 0
    old: int = 0
    last_fatal: str = ""
    last_match: str = ""


class Sight(msgspec.Struct, frozen=True):
    """How much of a source a check can see now."""

    why: str = ""
    """What keeps some of its lines from being read, or from being read in time; empty when all is well."""
    blind: bool = False
    """Whether nothing of what is written now may have been seen."""
    in_hand: bool = False
    """Lines were read that no check was told of yet."""
    reads: bool = True
    """Whether there is anything to read: a file, a container."""


class LogWatch:
    """What one check watches: the sources that it is attached to, over the last `window` seconds."""

    def __init__(self, source: str, window: float, pattern: re.Pattern[str] | None, now: float) -> None:
        """`source` is a name, or nothing for all of them."""
        self.window = window
        self.sources: Sequence[Callable[[], Sight]] | None = None
        """None where nobody reads logs."""
        self.last = now
        """When the last record came, or the watch began."""
        self._source = source
        self._pattern = re.compile(pattern.pattern.encode(), pattern.flags & ~re.UNICODE) if pattern else None
        self._blockwise = pattern is not None and not _EDGES.search(pattern.pattern)
        self._seconds: deque[tuple[int, Seen]] = deque()

    def means(self, source: str) -> bool:
        return self._source in ("", source)

    def note(
        self, now: float, lines: Sequence[bytes], severities: Mapping[int, int], records: Sequence[LogRecord]
    ) -> None:
        """A block's lines, how many records it had by severity number, and the record of each line; none where all are bare,
        with neither time nor severity."""
        if not lines:
            return
        self.last = now
        matching = self._matching(lines)
        old: set[int] = set()
        ends = (lines[0], lines[-1]), (*records[:1], *records[-1:])
        if matching or max(severities) >= ERROR or self._old(now, *ends):
            old = self._old(now, lines, records)
        if old:
            fresh = [n for n in range(len(lines)) if n not in old]
            lines, records = [lines[n] for n in fresh], [records[n] for n in fresh]
            severities = Counter(record.severity for record in records)
            matching = self._matching(lines) if matching else []
        fatal = sum(count for severity, count in severities.items() if severity >= FATAL)
        before = self._seconds.pop()[1] if self._seconds and self._seconds[-1][0] == int(now) else Seen()
        added = Seen(
            before.records + len(lines),
            before.errors + sum(count for severity, count in severities.items() if severity >= ERROR),
            before.fatal + fatal,
            before.matches + len(matching),
            before.old + len(old),
            _excerpt(_last_fatal(records)) if fatal else before.last_fatal,
            _excerpt(matching[-1]) if matching else before.last_match,
        )
        self._seconds.append((int(now), added))
        self._forget(now)

    def seen(self, now: float) -> Seen:
        self._forget(now)
        each = [seen for _, seen in self._seconds]
        return Seen(
            sum(seen.records for seen in each),
            sum(seen.errors for seen in each),
            sum(seen.fatal for seen in each),
            sum(seen.matches for seen in each),
            sum(seen.old for seen in each),
            next((seen.last_fatal for seen in reversed(each) if seen.last_fatal), ""),
            next((seen.last_match for seen in reversed(each) if seen.last_match), ""),
        )

    def _old(self, now: float, lines: Sequence[bytes], records: Sequence[LogRecord]) -> set[int]:
        """Which of them were written before the window."""
        begin = int((now - self.window - DELAY) * 1e9)
        early = [n for n, record in enumerate(records) if 0 < record.time < begin]
        return {n for n in early if not self._may_be_west(now - records[n].time / 1e9, lines[n])}

    def _may_be_west(self, age: float, line: bytes) -> bool:
        """Would it be recent somewhere, and says no zone?"""
        recent = self.window + DELAY
        if age > ZONES + recent or age % HALF_HOUR > recent:
            return False
        clock = _CLOCK.search(line)
        return clock is not None and clock["zone"] is None

    def _matching(self, lines: Sequence[bytes]) -> list[bytes]:
        pattern = self._pattern
        if pattern is None or (
            self._blockwise and not pattern.search(b"\n".join([line[:LOOKED_AT] for line in lines]))
        ):
            return []
        return [line for line in lines if pattern.search(line, 0, LOOKED_AT)]

    def _forget(self, now: float) -> None:
        """A clock that was set back leaves seconds of the future: they are old too."""
        seconds = self._seconds
        while seconds and not now - self.window < seconds[0][0] + 1 <= now + 2:
            seconds.popleft()


def _last_fatal(records: Sequence[LogRecord]) -> bytes:
    return next(record.body for record in reversed(records) if record.severity >= FATAL)


def _excerpt(record: bytes) -> str:
    """A stack trace's first line says what it is about."""
    return record[:EXCERPT].partition(b"\n")[0].decode(errors="replace")
