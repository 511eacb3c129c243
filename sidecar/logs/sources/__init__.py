"""Where lines come from, one kind per file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..base import Source, SourceContext
from . import docker, fifo, file, kubernetes, pods

SOURCES: dict[str, Callable[[Any, SourceContext], Source]] = {
    "file": file.FileSource,
    "docker": docker.DockerSource,
    "kubernetes": kubernetes.KubernetesSource,
    "pods": pods.PodsSource,
    "fifo": fifo.FifoSource,
    "stdin": fifo.StdinSource,
}
"""By the key of an entry, each made of the settings of its kind. A `child` is read through its launcher."""
WRAPPED = frozenset({"file", "pods"})
"""Kinds whose lines may be wrapped by a container runtime."""
