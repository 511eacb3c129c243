"""`logs:` in the configuration: what is read, and what is done with it."""

from __future__ import annotations

import difflib
from enum import StrEnum
from typing import Annotated, Any

import msgspec

from ..logic.globs import ExcludePatterns, FilePatterns
from ..logic.multiline import Mode
from ..logic.noise import Noise
from ..logic.printable import printable
from ..logic.scalars import Invalid, Rule, Scalar, quoted
from ..logic.schema import Checks, Shorthand, Unknown
from ..model.counters import LogCounters
from ..model.logs import Keep, StartAt
from .formats import AUTO, FORMATS
from .settings import Docker, Fifo, Files, Kubernetes, LineBytes, Pods, Stdin

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


SourceName = Annotated[
    str,
    Rule(
        lambda name: len(name) <= LONGEST and printable(name) == name == name.strip(),
        "is no name",
        f"at most {LONGEST} characters that can be shown",
    ),
]
FormatName = Annotated[str, Scalar(f"auto, {', '.join(FORMATS)}", parse_format)]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One source: files, a container by the API of `docker` or `kubernetes`, a node's `pods`, a named pipe (`fifo`), standard
    input, or the `child` that `outrider run -- COMMAND` has started (which is read without an entry, too).

    `exclude` and `start_at` are for files; `start_at: end` passes over what they hold at the first start. Longer lines than
    `max_line` are cut. `rate_limit` is lines a second; `dedup` leaves out lines that are those before them but for the
    time.
    """

    name: SourceName = ""
    file: FilePatterns | None = None
    exclude: ExcludePatterns = ()
    start_at: StartAt = StartAt.BEGINNING
    max_line: LineBytes = 256 << 10
    docker: Annotated[Docker, Shorthand("container")] | None = None
    kubernetes: Annotated[Kubernetes, Shorthand("container")] | None = None
    pods: Annotated[Pods, Shorthand("pod")] | None = None
    fifo: Annotated[Fifo, Shorthand("path")] | None = None
    stdin: bool = False
    child: bool = False
    format: FormatName = AUTO
    multiline: Mode = Mode.AUTO
    attributes: Keep = Keep.ALL
    rate_limit: Annotated[int, Rule(lambda n: n >= 1, "is out of range", "1 or more lines a second")] | None = None
    dedup: bool = False
    drop_below: Level | None = None

    @property
    def given(self) -> list[str]:
        return [key for key in KINDS if (value := getattr(self, key)) is not None and value is not False]

    @property
    def kind(self) -> str:
        given = self.given
        if len(given) != 1:
            raise Unknown  # which `problems` tells
        return given[0]

    @property
    def label(self) -> str:
        """What metrics and checks call it."""
        label = self.name or self._reads
        return label if len(label) <= LONGEST else f"{label[: LONGEST - 1]}…"

    @property
    def _reads(self) -> str:
        kind = self.kind
        if self.file:
            return ",".join(self.file)
        if self.fifo:
            return self.fifo.path
        named = self.docker or self.kubernetes
        return named.container or kind if named else kind

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

    def problems(self) -> Checks:
        given = self.given
        if len(given) != 1:
            yield "", f"{' and '.join(given)} in one" if given else "nothing to read", f"one of {', '.join(KINDS)}"
            return
        for key in ("exclude", "start_at", "max_line"):
            yield self._option_problems(key, given[0])

    def _option_problems(self, key: str, kind: str) -> Checks:
        """Options that a source has in a section of its own, or not at all."""
        if kind == "file" or (key == "max_line" and kind in HERE) or getattr(self, key) == getattr(DEFAULTS, key):
            return
        its_own = kind not in HERE and key != "exclude"
        yield key, f"not an option beside {kind}", f"{kind}.{key}" if its_own else "it beside file"


DEFAULTS = Entry()
