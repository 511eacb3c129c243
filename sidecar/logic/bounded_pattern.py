"""Regular expressions for lines that others write: such as cannot take long, whatever the line.

Python's `re` tries again and again: `.*x` needs seconds for one line of 256 KiB, `(a+)+$` never ends, and meanwhile nothing else
of us runs. So a repeat must have a bound, a group none at all, and the ways to match from one place are `WAYS` at most.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from .scalars import Invalid, Scalar, parse_regex, quoted

WAYS = 256

_OPAQUE = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
"""Escapes and classes: what stands in them repeats nothing."""
_ENDLESS = re.compile(r"[*+]|\{\d*,\}")
_GROUP = re.compile(r"\)\{")
_BOUNDED = re.compile(r"\{(\d*),(\d+)\}|(?<!\()\?")


def parse_bounded(raw: Any) -> re.Pattern[str]:
    compiled = parse_regex(raw)
    bare = _OPAQUE.sub("x", compiled.pattern)
    if _ENDLESS.search(bare) or _GROUP.search(bare):
        raise Invalid(f"{quoted(raw)} repeats without a bound, or a group")
    ways = 1
    for repeat in _BOUNDED.finditer(bare):
        ways *= int(repeat[2]) - int(repeat[1] or 0) + 1 if repeat[2] else 2
    if ways > WAYS:
        raise Invalid(f"{quoted(raw)} can match in {ways} ways from one place")
    return compiled


BoundedRegex = Annotated[
    re.Pattern[str],
    Scalar(
        "words and classes with | between, and repeats with a bound such as .{0,80}",
        parse_bounded,
        lambda pattern: pattern.pattern,
    ),
]
