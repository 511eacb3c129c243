"""Secrets leave no line: what `redaction_rules` knows and what the user adds is replaced by `[REDACTED]`.

A block is looked at as a whole first: folded once (`FOLD`), then asked for each rule's triggers. Only lines that hold a trigger
of a rule are rewritten by it. Lines are bytes of any kind; a line stays one line, and a JSON line stays JSON.

A private key over several lines is followed from its BEGIN to its END, also from one block to the next.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from .needles import holds
from .redaction_config import PRIVATE_KEY, Config, OwnRule, re2
from .redaction_rules import BUILT_IN, EMAIL, FOLD, REDACTED, Rule, Trigger, folded

SHARED = (b"key", b"pass", b"sk ", b"sig")
"""What several triggers hold: where a block has none of it, they are not asked for one by one."""
KEY_LINES = 256
"""A private key of more lines than that is not followed further; RSA with 16384 bits has 200."""
STAR = 256
"""Bytes that a `*` stands for, at most (as `OwnRule` says)."""

_KEY = re.compile(
    rb"(-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----)"
    rb"((?:[A-Za-z0-9+/=:,. \t\r]|-(?!-)|\\{1,3}[nrt])*+)(-----END [A-Z0-9 ]{0,40}+)?"
)
_KEY_BODY = re.compile(rb"[ \t]*+[A-Za-z0-9+/=]{1,512}+[ \t\r]*+")
_KEY_OTHER = re.compile(rb"[A-Za-z-]{1,32}+: .{0,128}|[ \t\r]*+")


def _own(rule: OwnRule) -> Rule:
    if rule.regex:
        return Rule(rule.name, (), re2(rule.regex), lambda _: lambda match: REDACTED)
    pieces = [rule.literal.encode()] if rule.literal else rule.glob.encode().split(b"*")
    longest = max(pieces, key=len).decode()
    return Rule(rule.name, folded(longest), _glob(pieces), lambda _: lambda match: REDACTED)


def _glob(pieces: Sequence[bytes]) -> re.Pattern[bytes]:
    """Each `*` ends at the first place where the next piece stands, and stays there: nothing is tried twice."""
    star = rb"""[^\s"'\\]{0,%d}""" % STAR
    pattern = re.escape(pieces[0])
    for piece in pieces[1:]:
        pattern += rb"(?>%s?%s)" % (star, re.escape(piece)) if piece else star + b"+"
    return re.compile(pattern)


class Rules:
    """A configuration without problems, compiled; shared by all streams."""

    def __init__(self, config: Config) -> None:
        emails = (EMAIL,) if config.emails else ()
        own = tuple(_own(rule) for rule in config.rules)
        rules = (rule for rule in (*BUILT_IN, *emails, *own) if rule.name not in config.disable)
        self.asked = tuple((rule, tuple((_shared(t.literal), t) for t in rule.triggers)) for rule in rules)
        """Every rule's triggers, each behind what it shares with others."""
        self.keys = PRIVATE_KEY not in config.disable
        self.key_trigger = b"-----BEGIN ".translate(FOLD)


def _shared(literal: bytes) -> bytes:
    return next((shared for shared in SHARED if shared in literal), b"")


class Redactor:
    """One stream's. `counts` gets the values removed, by rule."""

    def __init__(self, rules: Rules, counts: dict[str, int]) -> None:
        self._rules = rules
        self._counts = counts
        self._key_lines = 0
        """How many more lines may belong to the private key whose BEGIN was seen."""

    def redact(self, lines: list[bytes], joined: bytes) -> list[bytes]:
        """The lines without secrets: the same list if there are none, else another of the same length. `joined` is
        `b"\\n".join(lines)`."""
        block = joined.translate(FOLD)
        out = lines
        starts: list[int] = []
        keys = self._key_lines or (self._rules.keys and holds(block, self._rules.key_trigger))
        if keys:
            out = self._without_keys(lines)
        there = {b""}.union(shared for shared in SHARED if holds(block, shared))
        for rule, asked in self._rules.asked:
            triggers = [trigger for shared, trigger in asked if shared in there and trigger.stands(block, joined)]
            if not triggers and asked:
                continue
            if not starts:
                starts = [0, *accumulate(len(line) + 1 for line in lines)]
            for number in _lines_with(rule, triggers, block, joined, starts) if triggers else range(len(lines)):
                replaced, count = rule.apply(out[number], triggers)
                if count:
                    if out is lines:
                        out = lines.copy()
                    out[number] = replaced
                    self._count(rule.name, count)
        return out

    def _count(self, name: str, values: int) -> None:
        self._counts[name] = self._counts.get(name, 0) + values

    def _without_keys(self, lines: list[bytes]) -> list[bytes]:
        out = lines
        for number, line in enumerate(lines):
            replaced = line
            if self._key_lines:
                self._key_lines -= 1
                if _KEY_BODY.fullmatch(line):
                    replaced = REDACTED
                elif b"-----END " in line or not _KEY_OTHER.fullmatch(line):
                    self._key_lines = 0
            if b"-----BEGIN " in line and (found := list(_KEY.finditer(line))):
                replaced = _KEY.sub(_without_body, line)
                self._count(PRIVATE_KEY, len(found))
                open_ended = not found[-1][3] and found[-1].end() == len(line)
                self._key_lines = KEY_LINES if open_ended else 0
            if replaced is not line:
                if out is lines:
                    out = lines.copy()
                out[number] = replaced
        return out


def _without_body(match: re.Match[bytes]) -> bytes:
    return match[1] + (REDACTED if match[2].strip() else b"") + (match[3] or b"")


def _lines_with(
    rule: Rule, triggers: Sequence[Trigger], block: bytes, joined: bytes, starts: Sequence[int]
) -> Sequence[int]:
    """Numbers of the lines where the rule may find something. `starts` has one entry more than there are lines."""
    found: set[int] = set()
    for trigger in triggers:
        hit = trigger.pattern.search(block)
        while hit:
            at = hit.start()
            number = bisect_right(starts, at) - 1
            end = starts[number + 1]
            if number not in found and rule.back is not None and not _confirmed(rule, joined, at, end - 1):
                end = at + 1
            else:
                found.add(number)
            hit = trigger.pattern.search(block, end)
    return sorted(found)


def _confirmed(rule: Rule, joined: bytes, at: int, end: int) -> bool:
    start = at - (rule.back or 0)
    return start >= 0 and rule.pattern.match(joined, start, end) is not None
