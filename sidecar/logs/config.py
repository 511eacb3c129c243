"""`logs:` in the configuration: what is read, and what is done with it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Any

import msgspec

from ..logic.globs import ExcludePatterns, FilePatterns
from ..logic.multiline import Mode
from ..logic.noise import Noise
from ..logic.printable import printable
from ..logic.scalars import Bytes, Invalid, Scalar, quoted
from ..logic.schema import Shorthand
from ..model.counters import LogCounters
from ..model.logs import Keep, StartAt
from .formats import AUTO, FORMATS
from .settings import Docker, Fifo, Files, Kubernetes, Pods, Stdin

KINDS = ("file", "docker", "kubernetes", "pods", "fifo", "stdin", "child")
"""The keys of which an entry has one."""
LONGEST = 128
"""Characters of a name: it stands on every series of the source."""
HERE = ("file", "stdin", "child")
"""Those whose options stand in the entry itself."""


class Level(StrEnum):
    """OpenTelemetry's ranges of severity."""

    TRACE = "trace"
    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"
    FATAL = "fatal"

    @property
    def number(self) -> int:
        """The smallest number of the range."""
        return 1 + 4 * list(Level).index(self)


def parse_format(raw: Any) -> str:
    if isinstance(raw, str) and (raw == AUTO or raw in FORMATS):
        return raw
    near = difflib.get_close_matches(str(raw), [AUTO, *FORMATS], 1)
    raise Invalid(f"{quoted(raw)} is not known", meant=near[0] if near else None)


FormatName = Annotated[str, Scalar(f"auto, {', '.join(FORMATS)}", parse_format)]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One source: files, a container by the API of `docker` or `kubernetes`, a node's `pods`, a named pipe (`fifo`), standard
    input, or the `child` that `outrider run -- COMMAND` has started (which is read without an entry, too).

    `exclude` and `start_at` are for files; `start_at: end` passes over what they hold at the first start. Longer lines than
    `max_line` are cut. `rate_limit` is lines a second; `dedup` leaves out lines that are those before them but for the
    time.
    """

    name: str = ""
    file: FilePatterns | None = None
    exclude: ExcludePatterns = ()
    start_at: StartAt = StartAt.BEGINNING
    max_line: Bytes = 256 << 10
    docker: Annotated[Docker, Shorthand("container")] | None = None
    kubernetes: Annotated[Kubernetes, Shorthand("container")] | None = None
    pods: Annotated[Pods, Shorthand("pod")] | None = None
    fifo: Annotated[Fifo, Shorthand("path")] | None = None
    stdin: bool = False
    child: bool = False
    format: FormatName = AUTO
    multiline: Mode = Mode.AUTO
    attributes: Keep = Keep.ALL
    rate_limit: int | None = None
    dedup: bool = False
    drop_below: Level | None = None

    @property
    def kind(self) -> str:
        return next(key for key in KINDS if getattr(self, key))

    @property
    def label(self) -> str:
        """What metrics and checks call it."""
        label = self.name or self._reads
        return label if len(label) <= LONGEST else f"{label[: LONGEST - 1]}…"

    @property
    def _reads(self) -> str:
        named = self.docker or self.kubernetes
        if self.file:
            return ",".join(self.file)
        if self.fifo:
            return self.fifo.path
        return named.container or self.kind if named else self.kind

    @property
    def settings(self) -> Any:
        """What the source of this kind is made of."""
        match self.kind:
            case "file":
                return self._files()
            case "stdin":
                return Stdin(max_line=self.max_line)
            case kind:
                return getattr(self, kind)

    def _files(self) -> Files:
        return Files(file=self.file or (), exclude=self.exclude, start_at=self.start_at, max_line=self.max_line)

    def noise(self, counters: LogCounters) -> Noise | None:
        """None where nothing is to be thinned out."""
        below = self.drop_below.number if self.drop_below else 0
        if not (self.rate_limit or self.dedup or below):
            return None
        return Noise(counters.dropped, self.rate_limit, self.dedup, below)

    def problems(self) -> Iterable[tuple[str, str, str]]:
        given = [key for key in KINDS if getattr(self, key)]
        if len(given) != 1:
            yield "", f"{' and '.join(given)} in one" if given else "nothing to read", f"one of {', '.join(KINDS)}"
            return
        options = {"exclude": self.exclude != (), "start_at": self.start_at is not StartAt.BEGINNING}
        options["max_line"] = self.max_line != 256 << 10
        for key, is_given in options.items():
            if is_given and given[0] not in HERE:
                yield (
                    key,
                    f"not an option beside {given[0]}",
                    "it beside file" if key == "exclude" else f"{given[0]}.{key}",
                )
            elif is_given and given[0] != "file" and key != "max_line":
                yield key, f"not an option beside {given[0]}", "it beside file"
        if len(self.name) > LONGEST or printable(self.name) != self.name or self.name != self.name.strip():
            expected = f"at most {LONGEST} characters that can be shown"
            yield "name", f"{quoted(printable(self.name))} is no name", expected
        yield from self._files().problems()
        if self.rate_limit is not None and self.rate_limit < 1:
            yield "rate_limit", f"{self.rate_limit} is out of range", "1 or more lines a second"
