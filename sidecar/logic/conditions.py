"""What an HTTP answer must be like: conditions, each with the most that it can say about the service."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

import msgspec

from ..model.health import Severity, State
from . import json_pointer
from .scalars import Duration, JsonPointer, Regex, Status, StatusRanges, show_duration
from .schema import Checks

DEFAULT_STATUS = StatusRanges(((200, 399),))
SEARCHED = 32 << 10
"""Characters in which a regular expression is searched for: `.*x` needs the square of their number, five minutes for 1 MiB, and
meanwhile nothing else of us runs."""
_WORST = {State.PASS: 0, State.WARN: 1, State.FAIL: 2}
_SAID_BY = {Severity.WARN: State.WARN, Severity.FAIL: State.FAIL}

Broken: TypeAlias = tuple[State, str]
"""A condition that does not hold: what that makes of the result, and the words for it."""


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """Text that the body holds, as UTF-8; `matches` is searched for anywhere in its first 32 KiB."""

    contains: str | None = None
    matches: Regex | None = None
    severity: Severity = Severity.FAIL

    def broken(self, text: str) -> Iterator[Broken]:
        if self.contains is not None and self.contains not in text:
            yield _SAID_BY[self.severity], f'the body does not contain "{self.contains}"'
        if self.matches is not None and not self.matches.search(text, 0, SEARCHED):
            what = "the body does" if len(text) <= SEARCHED else f"the first {SEARCHED} characters of the body do"
            yield _SAID_BY[self.severity], f'{what} not match "{self.matches.pattern}"'

    def problems(self) -> Checks:
        if self.contains is None and self.matches is None:
            yield "", "nothing to compare with", "contains or matches"


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """A header of the answer: it is there and, where that is asked, holds this text; `matches` is searched for."""

    name: str
    contains: str | None = None
    matches: Regex | None = None
    severity: Severity = Severity.FAIL

    def broken(self, headers: Mapping[str, str]) -> Iterator[Broken]:
        seen = headers.get(self.name.lower())
        if seen is None:
            yield _SAID_BY[self.severity], f"the header {self.name} is missing"
            return
        if self.contains is not None and self.contains not in seen:
            yield _SAID_BY[self.severity], f'{self.name} is {_shown(seen)}, expected "{self.contains}" in it'
        if self.matches is not None and not self.matches.search(seen, 0, SEARCHED):
            yield (
                _SAID_BY[self.severity],
                f'{self.name} is {_shown(seen)}, expected a match of "{self.matches.pattern}"',
            )


_WORDS = {
    "equals": "{}",
    "not_equals": "anything but {}",
    "less": "less than {}",
    "at_most": "at most {}",
    "greater": "more than {}",
    "at_least": "at least {}",
}
_COMPARED: dict[str, Callable[[float, float], bool]] = {
    "less": operator.lt,
    "at_most": operator.le,
    "greater": operator.gt,
    "at_least": operator.ge,
}


class JsonValue(msgspec.Struct, frozen=True, kw_only=True):
    """A value in a JSON body. All comparisons given must hold; true is not 1, and "5" is not 5."""

    pointer: JsonPointer
    equals: Any = None
    not_equals: Any = None
    less: float | None = None
    at_most: float | None = None
    greater: float | None = None
    at_least: float | None = None
    severity: Severity = Severity.FAIL

    def broken(self, document: Any) -> Iterator[Broken]:
        try:
            seen = json_pointer.resolve(document, self.pointer)
        except json_pointer.NotThere:
            yield _SAID_BY[self.severity], f"{self.pointer or 'the document'} is missing"
            return
        for name, wanted in self._comparisons():
            if not _holds(name, seen, wanted):
                expected = _WORDS[name].format(_shown(wanted))
                yield (
                    _SAID_BY[self.severity],
                    f"{self.pointer or 'the document'} is {_shown(seen)}, expected {expected}",
                )

    def problems(self) -> Checks:
        if not list(self._comparisons()):
            yield "", "nothing to compare with", ", ".join(list(_WORDS)[:-1]) + " or " + list(_WORDS)[-1]

    def _comparisons(self) -> Iterator[tuple[str, Any]]:
        for name in _WORDS:
            if (wanted := getattr(self, name)) is not None:
                yield name, wanted


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """The longest time that an answer may take before it is a warning, or a failure."""

    warn: Duration | None = None
    fail: Duration | None = None

    def broken(self, seconds: float) -> Iterator[Broken]:
        for state, limit in ((State.FAIL, self.fail), (State.WARN, self.warn)):
            if limit is not None and seconds > limit:
                yield state, f"answered in {span(seconds)}, expected at most {show_duration(limit)}"
                return

    def problems(self) -> Checks:
        if self.warn is not None and self.fail is not None and self.warn >= self.fail:
            yield "warn", f"{show_duration(self.warn)} is not below fail: {show_duration(self.fail)}", "less"


class Expect(msgspec.Struct, frozen=True, kw_only=True):
    """Kubernetes' rule by default: any status from 200 to 399."""

    status: Status = DEFAULT_STATUS
    status_severity: Severity = Severity.FAIL
    headers: tuple[Header, ...] = ()
    body: Body | None = None
    json: tuple[JsonValue, ...] = ()
    latency: Latency | None = None


class Answer(NamedTuple):
    """What came back; `whole` is false where the body was longer than what was read of it."""

    status: int
    body: bytes
    whole: bool
    seconds: float
    headers: Mapping[str, str] = {}
    """By their names in lower case."""


def judge(expect: Expect, answer: Answer) -> tuple[State, str]:
    """The worst of what the conditions say, and one line: `503, expected 200-399; the body does not contain "ok"`."""
    broken = list(_broken(expect, answer))
    state = max((state for state, _ in broken), key=_WORST.__getitem__, default=State.PASS)
    said = f"{answer.status}"
    if answer.status not in expect.status:
        said += f", expected {expect.status}"
    elif not broken:
        said += f" in {span(answer.seconds)}"
    return state, "; ".join([said, *(text for _, text in broken if text)])


def span(seconds: float) -> str:
    """A measured time in words, no finer than a person needs: `400us`, `3.2ms`, `350ms`, `1.25s`."""
    if seconds < 0.001:
        return show_duration(round(seconds, 5))
    if seconds < 0.01:
        return show_duration(round(seconds, 4))
    return show_duration(round(seconds, 3)) if seconds < 1 else f"{seconds:.3g}s"


def _broken(expect: Expect, answer: Answer) -> Iterator[Broken]:
    if answer.status not in expect.status:
        yield _SAID_BY[expect.status_severity], ""
    for header in expect.headers:
        yield from header.broken(answer.headers)
    if expect.body is not None:
        yield from expect.body.broken(answer.body.decode(errors="replace"))
    if expect.json:
        yield from _broken_json(expect.json, answer)
    if expect.latency is not None:
        yield from expect.latency.broken(answer.seconds)


def _broken_json(conditions: tuple[JsonValue, ...], answer: Answer) -> Iterator[Broken]:
    try:
        if not answer.whole:
            raise ValueError("too long")
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        worst = max((_SAID_BY[c.severity] for c in conditions), key=_WORST.__getitem__)
        yield worst, "the body is not JSON" if answer.whole else f"the body is longer than {len(answer.body)} bytes"
        return
    for condition in conditions:
        yield from condition.broken(document)


def _holds(name: str, seen: Any, wanted: Any) -> bool:
    if name in ("equals", "not_equals"):
        same = bool(seen == wanted) and isinstance(seen, bool) == isinstance(wanted, bool)
        return same == (name == "equals")
    if isinstance(seen, bool) or not isinstance(seen, int | float):
        return False
    return _COMPARED[name](seen, wanted)


def _shown(value: Any) -> str:
    """As JSON, and short: a body may hold anything."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "..."
