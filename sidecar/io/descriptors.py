"""File descriptors: how many this process may have, and how many connections that leaves room for."""

from __future__ import annotations

import resource
from typing import NamedTuple

RESERVE = 64
"""Kept for ourselves: probes, upstreams, /proc, the log. Of a very low limit, half."""
API = 256


class Connections(NamedTuple):
    """How many connections may be open at once, on each surface. `limit` is RLIMIT_NOFILE."""

    limit: int
    otlp: int
    api: int

    @property
    def few(self) -> bool:
        """Less than everybody else counts on."""
        return self.limit < 1024


def connections(limit: int) -> Connections:
    """The share of each surface in `limit` descriptors."""
    rest = limit - min(RESERVE, limit // 2)
    api = max(1, min(API, rest // 4))
    return Connections(limit, max(1, rest * 3 // 4), api)


def raise_limit() -> int:
    """Raise the soft limit to the hard one, as Go programs do: the low default is for programs that use select().
    Returns what is allowed now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
        except (OSError, ValueError):
            pass  # macOS allows less than it says; then the soft limit stays
    return 1 << 20 if soft == resource.RLIM_INFINITY else soft
