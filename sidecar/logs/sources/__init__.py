"""Where lines come from, one kind per file."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..base import Source, SourceContext
from . import file

if TYPE_CHECKING:
    from ..config import Entry


def _file(entry: Entry, context: SourceContext) -> Source:
    config = file.Config(
        file=entry.file or (), exclude=entry.exclude or (), start_at=entry.start_at, max_line=entry.max_line
    )
    return file.FileSource(config, context)


SOURCES: dict[str, Callable[[Entry, SourceContext], Source]] = {
    "file": _file,
}
WRAPPED = frozenset({"file", "pods"})
"""Kinds whose lines may be wrapped by a container runtime."""
