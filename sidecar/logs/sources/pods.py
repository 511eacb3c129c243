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
from collections.abc import Mapping

from ..base import SourceContext
from ..settings import Pods
from . import file

_PATH = re.compile(r"/(?P<namespace>[^/_]+)_(?P<pod>[^/_]+)_(?P<uid>[^/_]+)/(?P<container>[^/]+)/[^/]+$")


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
    def __init__(self, config: Pods, context: SourceContext) -> None:
        self._files = file.FileSource(config.files(), context, describe)

    async def run(self) -> None:
        await self._files.run()

    def checkpoint(self) -> Mapping[str, object]:
        return self._files.checkpoint()
