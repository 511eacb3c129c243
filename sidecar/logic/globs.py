"""File patterns as shells write them: `*` and `?` within a name, `[…]`, and `**` for any number of directories."""

from __future__ import annotations

import fnmatch
import re
from functools import lru_cache
from typing import Annotated, Any

from .scalars import Invalid, Scalar, quoted

MOST = 100
LONGEST = 4096

_MAGIC = re.compile(r"[*?\[]")
_BRACE = re.compile(r"(?<!\[)[{}]")


def parse_patterns(raw: Any) -> tuple[str, ...]:
    """One or several, absolute."""
    patterns = _texts(raw)
    for pattern in patterns:
        if not pattern.startswith("/") or not pattern.strip("/") or "\0" in pattern or len(pattern) > LONGEST:
            raise Invalid(f"{quoted(pattern)} is not an absolute path or pattern")
    return patterns


def parse_exclude(raw: Any) -> tuple[str, ...]:
    """One or several; without a slash, of the last name alone."""
    patterns = _texts(raw)
    for pattern in patterns:
        if not pattern or ("/" in pattern and not pattern.startswith("/")) or len(pattern) > LONGEST:
            raise Invalid(f"{quoted(pattern)} is neither a name nor an absolute path")
    return patterns


def _texts(raw: Any) -> tuple[str, ...]:
    found = [raw] if isinstance(raw, str) else raw
    if not isinstance(found, list | tuple) or not all(isinstance(pattern, str) for pattern in found):
        raise Invalid(f"{quoted(raw)} is not a pattern")
    if not 0 < len(found) <= MOST:
        raise Invalid(f"{len(found)} patterns are not 1 to {MOST}")
    for pattern in found:
        if _BRACE.search(pattern):
            raise Invalid(
                f"{quoted(pattern)} has braces, which are not known: list the patterns, or write [{{] for one"
            )
    return tuple(found)


def has_magic(part: str) -> bool:
    return _MAGIC.search(part) is not None


@lru_cache(256)
def name_regex(part: str) -> re.Pattern[str]:
    """For one name. As in a shell, a leading dot must be written."""
    hidden = "" if part.startswith((".", "[")) else r"(?!\.)"
    return re.compile(hidden + fnmatch.translate(part))


@lru_cache(256)
def path_matches(pattern: str, path: str) -> bool:
    """Is the absolute `path` one of the pattern's? A pattern without a slash means the last name alone."""
    if "/" not in pattern:
        return name_regex(pattern).match(path.rpartition("/")[2]) is not None
    return _parts_match(pattern.split("/"), path.split("/"))


def _parts_match(pattern: list[str], path: list[str]) -> bool:
    """Without backtracking into the past: after a `**` only the last one matters, as with `*` in a name."""
    at = step = 0
    star = again = -1
    while step < len(path):
        if at < len(pattern) and pattern[at] == "**":
            star, again = at, step
            at += 1
        elif at < len(pattern) and name_regex(pattern[at]).match(path[step]):
            at, step = at + 1, step + 1
        elif star >= 0 and not path[again].startswith("."):
            again += 1
            at, step = star + 1, again
        else:
            return False
    return all(part == "**" for part in pattern[at:])


FilePatterns = Annotated[
    tuple[str, ...],
    Scalar("an absolute path or pattern such as /var/log/app/*.log, or a list of them", parse_patterns, ", ".join),
]
ExcludePatterns = Annotated[
    tuple[str, ...],
    Scalar("a pattern such as *.gz or /var/log/app/debug-*, or a list of them", parse_exclude, ", ".join),
]
