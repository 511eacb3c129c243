"""Files by pattern, within bounds."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

from ..logic.globs import has_magic, name_regex, path_matches

MOST_ENTRIES = 100_000
"""Names looked at for one pattern: `/**` would never end."""


class TooMany(Exception):
    """More names than we look at."""


def find(patterns: Iterable[str], exclude: Sequence[str], most: int = MOST_ENTRIES) -> tuple[list[str], list[str]]:
    """Paths of what the patterns match, directories too, in order and each once; and the patterns that led to too many names.
    Blocks while it reads directories; what may not be read is passed over."""
    found: dict[str, None] = {}
    endless = []
    for pattern in patterns:
        try:
            for path in _walk("/", [part for part in pattern.split("/") if part], _Budget(most)):
                if not any(path_matches(excluded, path) for excluded in exclude):
                    found[path] = None
        except TooMany:
            endless.append(pattern)
    return sorted(found), endless


class _Budget:
    def __init__(self, most: int) -> None:
        self.left = most

    def entries(self, directory: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(directory) as listing:
                entries = list(listing)
        except OSError:
            return []
        self.left -= len(entries)
        if self.left < 0:
            raise TooMany
        return entries


def _walk(directory: str, parts: list[str], budget: _Budget) -> Iterator[str]:
    part, *rest = parts
    if part == "**":
        yield from _walk(directory, rest or ["*"], budget)
        for entry in budget.entries(directory):
            # A symlink to a directory may lead back to where we come from.
            if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
                yield from _walk(entry.path, parts, budget)
        return
    if has_magic(part):
        match = name_regex(part).match
        paths = [entry.path for entry in budget.entries(directory) if match(entry.name)]
    else:
        path = os.path.join(directory, part)
        paths = [path] if rest or os.path.lexists(path) else []
    for path in paths:
        if rest:
            yield from _walk(path, rest, budget)
        else:
            yield path
