"""kind: log. What the service's own logs say about it: errors, a pattern, a panic, or silence.

Everything is over the last `window`, so a check fails while it lasts and passes when it is over. Without anything else a check of
this kind fails on a fatal record (a panic, a log line of level fatal).

That lines cannot be read, or are read late, is our own trouble: what would be a pass or a silence is unknown then.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Annotated, Any

import msgspec

from ..logic.bounded_pattern import BoundedRegex
from ..logic.log_watch import LogWatch, Seen, Sight
from ..logic.scalars import Count, Duration, Invalid, Rule, Scalar, quoted, show_duration
from ..logic.schema import Checks
from ..model.health import Observed, Result, State
from .base import CheckConfig, Context

KIND = "log"
LONGEST = 3600.0
REMEDY = "give --logs FILES, or start the service as: outrider run -- COMMAND"


def parse_share(raw: Any) -> float:
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(%?)\s*", str(raw)) if not isinstance(raw, bool) else None
    value = float(found[1]) / (100 if found[2] else 1) if found else -1.0
    if not 0 < value <= 1:
        raise Invalid(f"{quoted(raw)} is not a share")
    return value


Share = Annotated[float, Scalar("a share such as 5% or 0.05", parse_share, lambda share: f"{share * 100:g}%")]


class ErrorRate(msgspec.Struct, frozen=True, kw_only=True):
    """How many of the records may be errors (severity ERROR and worse), when there are at least `records` of them."""

    warn: Share | None = None
    fail: Share | None = None
    records: Count = 10

    def problems(self) -> Checks:
        if self.warn is None and self.fail is None:
            yield "", "nothing to compare with", "warn or fail"
        if self.warn is not None and self.fail is not None and self.warn >= self.fail:
            yield "warn", f"{self.warn * 100:g}% is not below fail ({self.fail * 100:g}%)", "a smaller share"


class Config(CheckConfig, frozen=True, kw_only=True):
    """`source` is the name of one entry of `logs`; by default all count. `fatal` is true unless something else is looked for.
    `pattern` is searched for in the first 8 KiB of each line."""

    source: str = ""
    window: Annotated[Duration, Rule(lambda s: 1 <= s <= LONGEST, "is out of range", "1s to 1h")] = 60.0
    fatal: bool | None = None
    error_rate: ErrorRate | None = None
    pattern: BoundedRegex | None = None
    silence: Annotated[Duration, Rule(lambda s: s >= 1, "is too short", "at least 1s")] | None = None

    @property
    def is_fatal_meant(self) -> bool:
        if self.fatal is None:
            return not (self.error_rate or self.pattern or self.silence)
        return self.fatal

    def problems(self) -> Checks:
        yield CheckConfig.problems(self)
        if not (self.is_fatal_meant or self.error_rate or self.pattern or self.silence):
            yield "", "nothing to look for", "fatal, error_rate, pattern or silence"


def misses(config: Config, target_url: str | None) -> Iterable[tuple[str, str, str]]:
    """Which sources there are is looked at where they are known."""
    return ()


class LogProbe:
    def __init__(self, config: Config, context: Context) -> None:
        self.config = config
        self._now: Callable[[], float] = context.now
        self._watch = LogWatch(config.source, config.window, config.pattern, context.now())
        context.watch(self._watch)

    async def check(self) -> Result:
        now, watch = self._now(), self._watch
        seen = watch.seen(now)
        observed = (
            Observed("records", seen.records, "{record}"),
            Observed("errors", seen.errors, "{record}"),
            Observed("silence", max(0.0, now - watch.last), "s"),
        )
        if watch.sources is None:
            return Result(State.UNKNOWN, "logs are read by a sidecar that runs, not by a single look", observed)
        if not watch.sources:
            return Result(State.UNKNOWN, f"no logs are read: {REMEDY}", observed)
        sights = [look() for look in watch.sources]
        return Result(*self._judged(seen, sights, now), observed)

    def _judged(self, seen: Seen, sights: Sequence[Sight], now: float) -> tuple[State, str]:
        """What read lines prove stands. That there are no others is known only where all that is written is read."""
        found = list(self._found(seen))
        quiet = self._quiet(sights, now)
        if quiet and not any(sight.why for sight in sights):
            found.append((State.FAIL, quiet))
        for state in (State.FAIL, State.WARN):
            if said := [text for said, text in found if said is state]:
                return state, "; ".join(said)
        if blind := _whys(sight for sight in sights if sight.blind or quiet):
            return State.UNKNOWN, blind
        if not seen.records and not any(sight.reads for sight in sights):
            return State.UNKNOWN, "no logs are read: nothing that is configured is there"
        counts = f"{_counted(seen.records, 'record')}, {_counted(seen.errors, 'error')}"
        told = f"{counts} within {show_duration(self.config.window)}"
        if seen.old:
            told += f"; {_counted(seen.old, 'older record')} left out"
        if some := _whys(sights):
            told += f"; not all is read: {some}"
        return State.PASS, told

    def _quiet(self, sights: Sequence[Sight], now: float) -> str:
        """Nothing while a line waits to be looked at."""
        config, silence = self.config, now - self._watch.last
        if config.silence is None or silence < config.silence or any(sight.in_hand for sight in sights):
            return ""
        expected = f"expected a line within {show_duration(config.silence)}"
        return f"silent for {show_duration(float(round(silence)))}, {expected}"

    def _found(self, seen: Seen) -> Iterator[tuple[State, str]]:
        config = self.config
        within = f"within {show_duration(config.window)}"
        if config.is_fatal_meant and seen.fatal:
            yield State.FAIL, f"{seen.fatal} fatal {within}, the last: {seen.last_fatal}"
        if config.pattern is not None and seen.matches:
            times = _counted(seen.matches, "time")
            yield State.FAIL, f'{times} "{config.pattern.pattern}" {within}, the last: {seen.last_match}'
        if config.error_rate is not None and seen.records >= config.error_rate.records:
            share = seen.errors / seen.records
            for state, limit in ((State.FAIL, config.error_rate.fail), (State.WARN, config.error_rate.warn)):
                if limit is not None and share >= limit:
                    said = f"{seen.errors} of {seen.records} records are errors {within}"
                    yield state, f"{said}, expected less than {limit * 100:g}%"
                    break


def _whys(sights: Iterable[Sight]) -> str:
    return "; ".join(dict.fromkeys(sight.why for sight in sights if sight.why))


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"
