"""`logs:` in the configuration: what is read, and what is done with it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Annotated, Any

import msgspec

from ..logic.globs import ExcludePatterns, FilePatterns
from ..logic.multiline import Mode
from ..logic.scalars import Bytes, Invalid, Scalar, quoted, show_bytes
from ..model.logs import Keep
from .formats import AUTO, FORMATS
from .sources.file import LONGEST, SHORTEST, StartAt

KINDS = ("file",)
"""The keys of which an entry has one."""


def parse_format(raw: Any) -> str:
    if raw == AUTO or raw in FORMATS:
        return str(raw)
    near = difflib.get_close_matches(str(raw), [AUTO, *FORMATS], 1)
    raise Invalid(f"{quoted(raw)} is not known", meant=near[0] if near else None)


FormatName = Annotated[str, Scalar(f"auto, {', '.join(FORMATS)}", parse_format)]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One source: `file` patterns, a container of `docker` or `kubernetes`, `pods` of this node, a `fifo` or `stdin`.

    `exclude` and `start_at` are for files; `start_at: end` passes over what they hold at the first start.
    """

    name: str = ""
    file: FilePatterns | None = None
    exclude: ExcludePatterns | None = None
    start_at: StartAt = StartAt.BEGINNING
    format: FormatName = AUTO
    multiline: Mode = Mode.AUTO
    attributes: Keep = Keep.ALL
    max_line: Bytes = 256 << 10

    @property
    def kind(self) -> str:
        return next(key for key in KINDS if getattr(self, key))

    @property
    def label(self) -> str:
        """What metrics and checks call it."""
        if self.name:
            return self.name
        match self.kind:
            case "file" if self.file:
                return ",".join(self.file)
            case kind:
                return kind

    def problems(self) -> Iterable[tuple[str, str, str]]:
        given = [key for key in KINDS if getattr(self, key)]
        if len(given) != 1:
            yield "", f"{' and '.join(given) or 'nothing'} to read", f"one of {', '.join(KINDS)}"
        elif given != ["file"] and (self.exclude or self.start_at is not StartAt.BEGINNING):
            yield (
                "exclude" if self.exclude else "start_at",
                f"for {given[0]}",
                "file: exclude and start_at are for files",
            )
        if not SHORTEST <= self.max_line <= LONGEST:
            expected = f"{show_bytes(SHORTEST)} to {show_bytes(LONGEST)}"
            yield "max_line", f"{show_bytes(self.max_line)} is out of range", expected
