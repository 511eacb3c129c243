"""The output of the Pods of this node, by the kubelet's files: /var/log/pods/NAMESPACE_POD_UID/CONTAINER/N.log.

This is `file` with the patterns made from names, and with what the path says standing on each record. The lines are in CRI's
format, or in Docker's where the files are symlinks to its own (then /var/lib/docker/containers has to be mounted, too).

The kubelet renames a file of 10 MiB to N.log.TIME, and packs it when it renames the next one: between the two everything is read,
also what was renamed while nobody read. A container that is started again writes to the file with the next N. The symlinks
in /var/log/containers lead to the same files.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping

import msgspec

from ...logic.scalars import Bytes
from ...model.logs import StartAt
from ..base import SourceContext
from . import file

KIND = "pods"

_NAME = re.compile(r"[-.a-z0-9*?]+")
_PATH = re.compile(r"/(?P<namespace>[^/_]+)_(?P<pod>[^/_]+)_(?P<uid>[^/_]+)/(?P<container>[^/]+)/[^/]+$")


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Names may hold `*` and `?`; by default all are meant. `path` is where the node's /var/log/pods is mounted."""

    namespace: str = "*"
    pod: str = "*"
    container: str = "*"
    path: str = "/var/log/pods"
    start_at: StartAt = StartAt.BEGINNING
    max_line: Bytes = 256 << 10

    def problems(self) -> Iterable[tuple[str, str, str]]:
        for key, value in (("namespace", self.namespace), ("pod", self.pod), ("container", self.container)):
            if not _NAME.fullmatch(value):
                yield key, f'"{value}" is no name in Kubernetes', "small letters, digits, dashes and dots, and * and ?"
        if not self.path.startswith("/"):
            yield "path", f'"{self.path}" is not an absolute path', "a directory such as /var/log/pods"
        yield from self.files().problems()

    def files(self) -> file.Config:
        stem = f"{self.path.rstrip('/')}/{self.namespace}_{self.pod}_*/{self.container}/[0-9]*.log"
        return file.Config(
            file=(stem, f"{stem}.[0-9]*"), exclude=("*.gz", "*.tmp"), start_at=self.start_at, max_line=self.max_line
        )


def describe(path: str) -> dict[str, str]:
    """https://opentelemetry.io/docs/specs/semconv/registry/attributes/k8s/"""
    match = _PATH.search(path)
    found = {"log.file.name": os.path.basename(path), "log.file.path": path}
    if match:
        found |= {
            "k8s.namespace.name": match["namespace"],
            "k8s.pod.name": match["pod"],
            "k8s.pod.uid": match["uid"],
            "k8s.container.name": match["container"],
        }
    return found


class PodsSource:
    def __init__(self, config: Config, context: SourceContext) -> None:
        self._files = file.FileSource(config.files(), context, describe)

    async def run(self) -> None:
        await self._files.run()

    def checkpoint(self) -> Mapping[str, object]:
        return self._files.checkpoint()
