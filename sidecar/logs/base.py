"""What sources, formats and the pipeline between them agree on.

::

    Source ── lines, marks ──> Stream ── unwrap, redact, join, parse, thin out, pack ──> Delivery ── Batch ──> relay
       └── checkpoint <── safe(mark) ────┘ <────────────── settled, in order ──────────────┘
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

import structlog

from ..io.clock import Clock
from ..io.resolver import Resolver
from ..model.counters import LogCounters
from ..model.logs import LogRecord


def later(package: str, module: str, name: str) -> Callable[..., Any]:
    """What `name` of that module makes of its arguments; imported when it is called first. Who reads no logs, or none of a kind,
    does without the memory that its code takes."""

    def make(*arguments: Any) -> Any:
        return getattr(import_module(f"{package}.{module}"), name)(*arguments)

    return make


class Format(Protocol):
    """How one kind of program writes its lines."""

    def parse(self, line: bytes, now: int) -> LogRecord | None:
        """The record, or None where the line is not of this format. Never raises, whatever the bytes. `now` is unix nanoseconds,
        for formats that leave out the year or the zone."""

    def parse_many(self, lines: Sequence[bytes], now: int) -> list[LogRecord | None] | None:
        """As `parse`, one line after the other. None where all lines are bare: the record of each is its body and says no
        more (`spelled_out`)."""


def spelled_out(parsed: list[LogRecord | None] | None, lines: Sequence[bytes]) -> list[LogRecord | None]:
    """What `parse_many` has made of the lines, also of bare ones."""
    return list(map(LogRecord, lines)) if parsed is None else parsed


class Stream(Protocol):
    """Takes one stream's lines in order. Belongs to one source, and is called by one task at a time."""

    async def feed(
        self, lines: Sequence[bytes], marks: Sequence[int], times: Sequence[int] | None = None, iostream: str = ""
    ) -> None:
        """Take lines, without their line ends and each within the source's cap; `marks[n]` is the mark behind `lines[n]`.

        `times` are unix nanoseconds where the runtime noted when each was written; `iostream` is stdout, stderr or nothing.
        Returns when there is room for more: a source that awaits it is as slow as the upstream, once the spool is full.
        """

    def safe(self, read_to: int) -> int:
        """The mark behind which nothing is lost if reading goes on there after a crash. `read_to` is the mark behind the last
        line fed: the answer, when all of it is settled."""

    async def flush(self) -> None:
        """The stream has ended or rests: what waits for a continuation (a stack trace's next line, a partial line's rest) waits
        no longer."""


class Intake(Protocol):
    """What every source is given."""

    def stream(self, uid: bytes, attributes: Mapping[str, str], start: int) -> Stream:
        """A new stream. `uid`, 16 hex digits that are the same after a restart, and a line's mark make `log.record.uid`.
        `attributes` stand on each of its records; `start` is the mark where reading begins."""


class Source(Protocol):
    """Reads until it is cancelled, and survives whatever it reads from: what is not there now is looked for again."""

    async def run(self) -> None: ...

    def checkpoint(self) -> Mapping[str, object]:
        """What to remember, as JSON values, so that a restart goes on where everything is settled."""


@dataclass(frozen=True, slots=True)
class SourceContext:
    """What a source is given beside its own settings. `remembered` is what `checkpoint` returned before the restart, read back
    from JSON; empty at the first start."""

    name: str
    intake: Intake
    clock: Clock
    resolver: Resolver
    counters: LogCounters
    remembered: Mapping[str, object]
    log: structlog.typing.FilteringBoundLogger
