"""What a probe is given in tests."""

from __future__ import annotations

import random

from sidecar.io.resolver import Lookup, Resolver, system_lookup
from sidecar.model.process import ProcessSample
from sidecar.probes.base import Context


def context(
    target: str | None = None,
    *,
    lookup: Lookup = system_lookup,
    process: ProcessSample | None = None,
    seed: int = 1,
) -> Context:
    sample = process or ProcessSample(found=False, why="none")
    return Context("outrider/0.0", Resolver(lookup), target, lambda: sample, random.Random(seed))
