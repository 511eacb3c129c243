"""Files by pattern, within bounds."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from ..logic.globs import has_magic, name_regex, path_matches

MOST_ENTRIES = 100_000
"""Names looked at for one pattern: `/**` would never end."""


class TooMany(Exception):
    """More names than we look at."""


class Found(NamedTuple):
    """`paths` of what the patterns match, in order and each once: directories too, where no `*` has led to them. `endless` are
    the patterns that led to too many names, `refused` what kept us from looking into a directory or at a name."""

    paths: list[str]
    endless: list[str]
    refused: dict[str, OSError]


def find(patterns: Iterable[str], exclude: Sequence[str], most: int = MOST_ENTRIES) -> Found:
    """Blocks while it reads directories; those that may not be read are passed over."""
    found: dict[str, None] = {}
    endless = []
    refused: dict[str, OSError] = {}
    for pattern in patterns:
        try:
            for path in _walk("/", [part for part in pattern.split("/") if part], _Budget(most, refused)):
                if not _is_excluded(path, exclude):
                    found[path] = None
        except TooMany:
            endless.append(pattern)
    return Found(
        sorted(found), endless, {path: why for path, why in refused.items() if not _is_excluded(path, exclude)}
    )


def newest_first(paths: Iterable[str]) -> list[str]:
    """By when what they lead to was written to; what cannot be seen comes last. Blocks."""
    return sorted(paths, key=_changed, reverse=True)


def _changed(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


def _is_excluded(path: str, exclude: Sequence[str]) -> bool:
    return any(path_matches(excluded, path) for excluded in exclude)


class _Budget:
    def __init__(self, most: int, refused: dict[str, OSError]) -> None:
        self.left = most
        self._refused = refused

    def entries(self, directory: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(directory) as listing:
                entries = list(listing)
        except OSError as error:
            self._refuse(directory, error)
            return []
        self.left -= len(entries)
        if self.left < 0:
            raise TooMany
        return entries

    def is_there(self, path: str) -> bool:
        try:
            os.lstat(path)
        except OSError as error:
            self._refuse(path, error)
            return False
        return True

    def _refuse(self, path: str, error: OSError) -> None:
        if not isinstance(error, FileNotFoundError | NotADirectoryError):
            self._refused[path] = error


def _walk(directory: str, parts: list[str], budget: _Budget) -> Iterator[str]:
    part, *rest = parts
    if part == "**":
        yield from _walk(directory, rest or ["*"], budget)
        for entry in budget.entries(directory):
            # A symlink to a directory may lead back to where we come from.
            if not entry.name.startswith(".") and _is_directory(entry):
                yield from _walk(entry.path, parts, budget)
        return
    if has_magic(part):
        match = name_regex(part).match
        entries = [entry for entry in budget.entries(directory) if match(entry.name)]
        paths = [entry.path for entry in entries if rest or not _is_directory(entry)]
    else:
        path = os.path.join(directory, part)
        paths = [path] if rest or budget.is_there(path) else []
    for path in paths:
        if rest:
            yield from _walk(path, rest, budget)
        else:
            yield path


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False  # whoever looks at it will say why
