"""`redaction:` in the configuration."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import msgspec

PRIVATE_KEY = "private_key"
"""The rule that is none of `redaction_rules`: it spans lines."""


class OwnRule(msgspec.Struct, frozen=True, kw_only=True):
    """What else is secret: a `literal`, a `glob` (`*` is a run of up to 256 bytes without white space, quotes and backslashes),
    or a `regex` in RE2 syntax, which needs the `re2` extra and looks at each line."""

    name: str
    literal: str = ""
    glob: str = ""
    regex: str = ""

    def problems(self) -> Iterator[tuple[str, str, str]]:
        given = [kind for kind in ("literal", "glob", "regex") if getattr(self, kind)]
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", self.name):
            yield "name", f'"{self.name}" is not a name', "lower case letters, digits and _"
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

    def problems(self) -> Iterator[tuple[str, str, str]]:
        if not self.rules and not self.disable:
            return
        from .redaction_rules import BUILT_IN, EMAIL  # half a megabyte, which only those need that read logs

        names = [rule.name for rule in BUILT_IN] + [PRIVATE_KEY]
        for number, rule in enumerate(self.rules):
            if rule.name in names or rule.name == EMAIL.name:
                yield f"rules.{number}.name", f'"{rule.name}" is taken', "another name"
            names.append(rule.name)
        for number, name in enumerate(self.disable):
            if name not in names:
                yield f"disable.{number}", f'there is no rule "{name}"', "one of " + ", ".join(names)


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
