"""`redaction:` in the configuration."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Annotated, Any

import msgspec

from .scalars import Rule
from .schema import Checks

PRIVATE_KEY = "private_key"
"""The rule that is none of `redaction_rules`: it spans lines."""

RuleName = Annotated[
    str, Rule(re.compile(r"[a-z][a-z0-9_]{0,62}").fullmatch, "is not a name", "lower case letters, digits and _")
]


class OwnRule(msgspec.Struct, frozen=True, kw_only=True):
    """What else is secret: a `literal`, a `glob` (`*` is a run of up to 256 bytes without white space, quotes and backslashes),
    or a `regex` in RE2 syntax, which needs the `re2` extra and looks at each line."""

    name: RuleName
    literal: str = ""
    glob: str = ""
    regex: str = ""

    def problems(self) -> Checks:
        given = [kind for kind in ("literal", "glob", "regex") if getattr(self, kind)]
        if len(given) != 1:
            yield "", "one kind of pattern is needed", "one of literal, glob or regex"
        elif "\n" in self.literal + self.glob:
            yield given[0], "a line holds no line end", "a pattern without one"
        elif self.glob and not self.glob.strip("*"):
            yield "glob", f'"{self.glob}" would match everything', "some bytes beside the *"
        elif self.regex:
            yield from _regex_problems(self.regex)


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """What is removed from log lines before anything leaves. `disable` names rules that are not wanted."""

    emails: bool = False
    rules: list[OwnRule] = []
    disable: list[str] = []

    def problems(self) -> Checks:
        yield self._own_problems()
        yield self._disable_problems()

    def _own_problems(self) -> Checks:
        names = {*_built_in(with_email=True)} if len(self.rules) else set()
        for number, rule in enumerate(self.rules):
            yield _taken(number, rule, names)

    def _disable_problems(self) -> Checks:
        names = [*_built_in(), *(rule.name for rule in self.rules)] if len(self.disable) else []
        for number, name in enumerate(self.disable):
            yield _not_there(number, name, names)


def _taken(number: int, rule: OwnRule, names: set[str]) -> Checks:
    """`names` are those of the rules before."""
    if rule.name in names:
        yield f"rules.{number}.name", f'"{rule.name}" is taken', "another name"
    names.add(rule.name)


def _not_there(number: int, name: str, names: list[str]) -> Checks:
    if name not in names:
        yield f"disable.{number}", f'there is no rule "{name}"', "one of " + ", ".join(names)


def _built_in(*, with_email: bool = False) -> list[str]:
    """The names of the rules that are there by default, and of the one that is not."""
    from .redaction_rules import BUILT_IN, EMAIL  # half a megabyte, which only those need that read logs

    return [rule.name for rule in BUILT_IN] + [PRIVATE_KEY] + [EMAIL.name] * with_email


def _regex_problems(pattern: str) -> list[tuple[str, str, str]]:
    try:
        empty = re2(pattern).search(b"") is not None
    except ImportError:
        return [("regex", "the package google-re2 is not installed", "pip install outrider[re2], or a literal or glob")]
    except ValueError as error:
        return [("regex", str(error), "what https://github.com/google/re2/wiki/Syntax describes")]
    return [("regex", "matches an empty line", "a pattern that needs some bytes")] if empty else []


def re2(pattern: str) -> Any:
    """A pattern, compiled. Raises ImportError without the package, and ValueError for what is no pattern; RE2 itself would tell
    stderr."""
    re2 = import_module("re2")
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern.encode(), options)
    except re2.error as error:
        why = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
        raise ValueError(f'"{pattern}" is not RE2: {why}') from None
