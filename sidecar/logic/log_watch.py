"""What a check sees of the logs: counts of the last while, a second each.

Fed with whole blocks by the pipeline, asked by the probe. A block is looked at for the pattern as a whole first, because most
lines of most services hold nothing of what anybody looks for; unless the pattern looks at where a line begins or ends, or at what
is beside a match, which a block is no judge of.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping, Sequence

import msgspec

from ..model.counters import LogCounters

ERROR, FATAL = 17, 19
"""OpenTelemetry's severity numbers from which a record is an error, and from which something has ended: ERROR3, a panic, and
more."""
EXCERPT = 200
LOOKED_AT = 8 << 10
"""Bytes of a line that are searched for the pattern: with as many ways to match as one has, some milliseconds."""
_EDGES = re.compile(r"[\^$]|\\[AZ]|\(\?<?[=!]")
"""What makes a pattern match in a line and not in the lines around it."""


class Seen(msgspec.Struct, frozen=True):
    """Within the window, with the last line that was fatal and the last that matched the pattern."""

    records: int = 0
    errors: int = 0
    fatal: int = 0
    matches: int = 0
    last_fatal: str = ""
    last_match: str = ""


class LogWatch:
    """What one check watches: the sources that it is attached to, over the last `window` seconds."""

    def __init__(self, source: str, window: float, pattern: re.Pattern[str] | None, now: float) -> None:
        """`source` is a name, or nothing for all of them."""
        self.source = source
        self.window = window
        self.sources: list[LogCounters] = []
        self.last = now
        """When the last record came, or the watch began."""
        self._pattern = re.compile(pattern.pattern.encode(), pattern.flags & ~re.UNICODE) if pattern else None
        self._blockwise = pattern is not None and not _EDGES.search(pattern.pattern)
        self._seconds: deque[tuple[int, Seen]] = deque()

    def note(self, now: float, lines: Sequence[bytes], severities: Mapping[int, int], fatal: bytes) -> None:
        """A block's lines, how many records it had by severity number, and the body of its last fatal one."""
        records = sum(severities.values())
        if not records:
            return
        self.last = now
        matching = self._matching(lines)
        before = self._seconds.pop()[1] if self._seconds and self._seconds[-1][0] == int(now) else Seen()
        added = Seen(
            before.records + records,
            before.errors + sum(count for severity, count in severities.items() if severity >= ERROR),
            before.fatal + sum(count for severity, count in severities.items() if severity >= FATAL),
            before.matches + len(matching),
            _excerpt(fatal) if fatal else before.last_fatal,
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
            next((seen.last_fatal for seen in reversed(each) if seen.last_fatal), ""),
            next((seen.last_match for seen in reversed(each) if seen.last_match), ""),
        )

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


def _excerpt(record: bytes) -> str:
    """A stack trace's first line says what it is about."""
    return record[:EXCERPT].partition(b"\n")[0].decode(errors="replace")
