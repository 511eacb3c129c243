"""Where lines come from, one kind per file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..base import Source, SourceContext, later

SOURCES: dict[str, Callable[[Any, SourceContext], Source]] = {
    "file": later(__name__, "file", "FileSource"),
    "docker": later(__name__, "docker", "DockerSource"),
    "kubernetes": later(__name__, "kubernetes", "KubernetesSource"),
    "pods": later(__name__, "pods", "PodsSource"),
    "fifo": later(__name__, "fifo", "FifoSource"),
    "stdin": later(__name__, "fifo", "StdinSource"),
}
"""By the key of an entry, each made of the settings of its kind. A `child` is read through its launcher."""
WRAPPED = frozenset({"file", "pods"})
"""Kinds whose lines may be wrapped by a container runtime."""
