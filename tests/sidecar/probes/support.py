"""What a probe is given in tests."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from sidecar.io.resolver import Lookup, Resolver, system_lookup
from sidecar.logic.log_watch import LogWatch
from sidecar.model.process import ProcessSample
from sidecar.probes.base import Context


def context(
    target: str | None = None,
    *,
    lookup: Lookup = system_lookup,
    process: ProcessSample | None = None,
    seed: int = 1,
    now: Callable[[], float] = time.time,
    watches: list[LogWatch] | None = None,
) -> Context:
    sample = process or ProcessSample(found=False, why="none")
    watch = (watches if watches is not None else []).append
    return Context("outrider/0.0", Resolver(lookup), target, lambda: sample, random.Random(seed), now, watch)
