"""What is configured of each kind of source. Apart from the sources, which only those need that read logs."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from ..logic.globs import ExcludePatterns, FilePatterns
from ..logic.scalars import Bytes, show_bytes
from ..model.logs import StartAt

SHORTEST, LONGEST = 64, 1 << 20
"""Bytes of a line that one may ask for."""

_DOCKER_NAME = re.compile(r"[\w.-]+|[^\s=]+=\S*")
_KUBERNETES_NAME = re.compile(r"[a-z0-9]([-.a-z0-9]*[a-z0-9])?")
_KUBERNETES_GLOB = re.compile(r"[-.a-z0-9*?]+")


def _of_lines(longest: int) -> Iterable[tuple[str, str, str]]:
    if not SHORTEST <= longest <= LONGEST:
        expected = f"{show_bytes(SHORTEST)} to {show_bytes(LONGEST)}"
        yield "max_line", f"{show_bytes(longest)} is out of range", expected


class Files(msgspec.Struct, frozen=True, kw_only=True):
    """Files that are followed. `start_at: end` passes over what they hold at the first start; files found later are read from
    their beginning."""

    file: FilePatterns
    exclude: ExcludePatterns = ()
    start_at: StartAt = StartAt.BEGINNING
    max_line: Bytes = 256 << 10

    def problems(self) -> Iterable[tuple[str, str, str]]:
        return _of_lines(self.max_line)


class Docker(msgspec.Struct, frozen=True, kw_only=True):
    """`container` is a name, an id, or a label `key=value` that any number of containers may have. `socket` is by default that of
    `DOCKER_HOST`, /var/run/docker.sock or /run/podman/podman.sock. `start_at: end` leaves out what the containers that are
    there at the very first start have written until then."""

    container: str
    socket: str | None = None
    start_at: StartAt = StartAt.BEGINNING
    max_line: Bytes = 256 << 10

    def problems(self) -> Iterable[tuple[str, str, str]]:
        if not _DOCKER_NAME.fullmatch(self.container):
            yield "container", f'"{self.container}" is none', "a name, an id, or a label as key=value"
        if self.socket is not None and (not self.socket.startswith("/") or "\0" in self.socket):
            yield "socket", f'"{self.socket}" is not an absolute path', "a path such as /var/run/docker.sock"
        yield from _of_lines(self.max_line)


class Kubernetes(msgspec.Struct, frozen=True, kw_only=True):
    """`container` may be left out where the Pod has only one (which may be the case beside a native sidecar). `pod` is by default
    this one, by `POD_NAME` or `HOSTNAME`; `namespace` is the service account's. `start_at: end` leaves out what was written
    before the very first start."""

    container: str | None = None
    pod: str | None = None
    namespace: str | None = None
    start_at: StartAt = StartAt.BEGINNING
    max_line: Bytes = 256 << 10

    def problems(self) -> Iterable[tuple[str, str, str]]:
        for key, value in (("container", self.container), ("pod", self.pod), ("namespace", self.namespace)):
            if value is not None and not _KUBERNETES_NAME.fullmatch(value):
                yield key, f'"{value}" is no name in Kubernetes', "small letters, digits, dashes and dots"
        yield from _of_lines(self.max_line)


class Pods(msgspec.Struct, frozen=True, kw_only=True):
    """Names may hold `*` and `?`; by default all are meant. `path` is where the node's /var/log/pods is mounted."""

    namespace: str = "*"
    pod: str = "*"
    container: str = "*"
    path: str = "/var/log/pods"
    start_at: StartAt = StartAt.BEGINNING
    max_line: Bytes = 256 << 10

    def problems(self) -> Iterable[tuple[str, str, str]]:
        for key, value in (("namespace", self.namespace), ("pod", self.pod), ("container", self.container)):
            if not _KUBERNETES_GLOB.fullmatch(value):
                yield key, f'"{value}" is no name in Kubernetes', "small letters, digits, dashes and dots, and * and ?"
        if not self.path.startswith("/"):
            yield "path", f'"{self.path}" is not an absolute path', "a directory such as /var/log/pods"
        yield from self.files().problems()

    def files(self) -> Files:
        stem = f"{self.path.rstrip('/')}/{self.namespace}_{self.pod}_*/{self.container}/[0-9]*.log"
        return Files(
            file=(stem, f"{stem}.[0-9]*"), exclude=("*.gz", "*.tmp"), start_at=self.start_at, max_line=self.max_line
        )


class Fifo(msgspec.Struct, frozen=True, kw_only=True):
    """`path` is that of a pipe, which somebody else makes."""

    path: str
    max_line: Bytes = 256 << 10

    def problems(self) -> Iterable[tuple[str, str, str]]:
        if not self.path.startswith("/"):
            yield "path", f'"{self.path}" is not an absolute path', "a path such as /var/run/app/log"
        yield from _of_lines(self.max_line)


class Stdin(msgspec.Struct, frozen=True, kw_only=True):
    max_line: Bytes = 256 << 10
