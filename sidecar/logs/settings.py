"""What is configured of each kind of source. Apart from the sources, which only those need that read logs."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec

from ..logic.globs import ExcludePatterns, FilePatterns
from ..logic.scalars import NOT_ABSOLUTE, Bytes, Rule, is_absolute, show_bytes
from ..model.logs import StartAt

SHORTEST, LONGEST = 64, 1 << 20
"""Bytes of a line that one may ask for."""

LineBytes = Annotated[
    Bytes,
    Rule(lambda n: SHORTEST <= n <= LONGEST, "is out of range", f"{show_bytes(SHORTEST)} to {show_bytes(LONGEST)}"),
]
DockerName = Annotated[
    str,
    Rule(re.compile(r"[\w.-]+|[^\s=]+=\S*").fullmatch, "is none", "a name, an id, or a label as key=value"),
]
KubernetesName = Annotated[
    str,
    Rule(
        re.compile(r"[a-z0-9]([-.a-z0-9]*[a-z0-9])?").fullmatch,
        "is no name in Kubernetes",
        "small letters, digits, dashes and dots",
    ),
]
KubernetesGlob = Annotated[
    str,
    Rule(
        re.compile(r"[-.a-z0-9*?]+").fullmatch,
        "is no name in Kubernetes",
        "small letters, digits, dashes and dots, and * and ?",
    ),
]


class Files(msgspec.Struct, frozen=True, kw_only=True):
    """Files that are followed. `start_at: end` passes over what they hold at the first start; files found later are read from
    their beginning."""

    file: FilePatterns
    exclude: ExcludePatterns = ()
    start_at: StartAt = StartAt.BEGINNING
    max_line: LineBytes = 256 << 10


class Docker(msgspec.Struct, frozen=True, kw_only=True):
    """`container` is a name, an id, or a label `key=value` that any number of containers may have. `socket` is by default that of
    `DOCKER_HOST`, /var/run/docker.sock or /run/podman/podman.sock. `start_at: end` leaves out what the containers that are
    there at the very first start have written until then."""

    container: DockerName
    socket: Annotated[str, Rule(is_absolute, NOT_ABSOLUTE, "a path such as /var/run/docker.sock")] | None = None
    start_at: StartAt = StartAt.BEGINNING
    max_line: LineBytes = 256 << 10


class Kubernetes(msgspec.Struct, frozen=True, kw_only=True):
    """`container` may be left out where the Pod has only one (which may be the case beside a native sidecar). `pod` is by default
    this one, by `POD_NAME` or `HOSTNAME`; `namespace` is the service account's. `start_at: end` leaves out what was written
    before the very first start."""

    container: KubernetesName | None = None
    pod: KubernetesName | None = None
    namespace: KubernetesName | None = None
    start_at: StartAt = StartAt.BEGINNING
    max_line: LineBytes = 256 << 10


class Pods(msgspec.Struct, frozen=True, kw_only=True):
    """Names may hold `*` and `?`; by default all are meant. `path` is where the node's /var/log/pods is mounted."""

    namespace: KubernetesGlob = "*"
    pod: KubernetesGlob = "*"
    container: KubernetesGlob = "*"
    path: Annotated[str, Rule(is_absolute, NOT_ABSOLUTE, "a directory such as /var/log/pods")] = "/var/log/pods"
    start_at: StartAt = StartAt.BEGINNING
    max_line: LineBytes = 256 << 10

    def files(self) -> Files:
        stem = f"{self.path.rstrip('/')}/{self.namespace}_{self.pod}_*/{self.container}/[0-9]*.log"
        return Files(
            file=(stem, f"{stem}.[0-9]*"), exclude=("*.gz", "*.tmp"), start_at=self.start_at, max_line=self.max_line
        )


class Fifo(msgspec.Struct, frozen=True, kw_only=True):
    """`path` is that of a pipe, which somebody else makes."""

    path: Annotated[str, Rule(is_absolute, NOT_ABSOLUTE, "a path such as /var/run/app/log")]
    max_line: LineBytes = 256 << 10


class Stdin(msgspec.Struct, frozen=True, kw_only=True):
    max_line: LineBytes = 256 << 10
