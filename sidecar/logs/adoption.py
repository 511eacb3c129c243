"""What a source of files takes over from sources that are not configured any more.

A source without a name is called by its patterns, so whoever adds one makes another source. Its files have not changed: those
that it reads go on where they were.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from ..logic.globs import path_matches
from .file_memory import Memory, Remembered, recall, remembered_as
from .settings import Files


def adopt(config: Files, left: Iterable[Mapping[str, object]]) -> Mapping[str, object]:
    """What `left` remember of the files that `config` means; nothing where that is nothing."""
    found = Memory([])
    for each in left:
        try:
            memory = recall(each)
        except (ValueError, msgspec.ValidationError):
            continue  # of another kind
        found.files += [file for file in memory.files if _is_of(config, file)]
        found.let_go += memory.let_go
        found.set_aside += memory.set_aside
        found.left |= {path: name for path, name in memory.left.items() if _is_meant(config, path)}
    return remembered_as(found) if found.files else {}


def _is_of(config: Files, file: Remembered) -> bool:
    """By the name under which it was found: a symlink's, or its own."""
    return _is_meant(config, file.origin) or _is_meant(config, file.attributes.get("log.file.path", ""))


def _is_meant(config: Files, path: str) -> bool:
    return any(path_matches(pattern, path) for pattern in config.file) and not any(
        path_matches(pattern, path) for pattern in config.exclude
    )
