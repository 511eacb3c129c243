"""The long form of the fuzz: the same properties as in the tests, round after round, each with another seed.

`make fuzz FUZZ_SECONDS=3600 FUZZ_SEED=7`. Every property runs at least once. A failure prints the example that breaks it
and the command that finds it again; an example that takes more than `HANG` seconds of CPU is a failure.
"""

from __future__ import annotations

import argparse
import random
import resource
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import hypothesis

from tests.fuzz.targets import TARGETS, Property, properties

HANG = 20.0


class Hung(Exception):
    """One example took more than `HANG` seconds of this process's own time: a machine that is busy or stopped is no hang."""


def watched(test: Any, counts: Counter[str], target: str) -> Callable[..., None]:
    """The property's body, counted and with an end."""
    inner = test.hypothesis.inner_test

    def example(*args: Any, **given: Any) -> None:
        counts[target] += 1
        signal.setitimer(signal.ITIMER_PROF, HANG)
        try:
            inner(*args, **given)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)

    example.__signature__ = getattr(inner, "__signature__", None)  # type: ignore[attr-defined]
    return example


def fuzz(found: Sequence[Property], seconds: float, seed: int, counts: Counter[str]) -> bool:
    """False at the first failure. `counts` is filled with the examples by target."""

    def hung(number: int, at: FrameType | None) -> None:
        raise Hung(f"an example took more than {HANG:g} s of CPU")

    before = signal.signal(signal.SIGPROF, hung)
    tests = {id(each.test): each for each in found}
    originals = {key: each.test.hypothesis.inner_test for key, each in tests.items()}  # type: ignore[attr-defined]
    for each in tests.values():
        each.test.hypothesis.inner_test = watched(each.test, counts, each.target)  # type: ignore[attr-defined]
    try:
        return _rounds(found, seconds, seed, counts)
    finally:
        signal.signal(signal.SIGPROF, before)
        for key, each in tests.items():
            each.test.hypothesis.inner_test = originals[key]  # type: ignore[attr-defined]


def _rounds(found: Sequence[Property], seconds: float, seed: int, counts: Counter[str]) -> bool:
    until = time.monotonic() + seconds
    number = 0
    while number == 0 or time.monotonic() < until:
        for each in found:
            if number and time.monotonic() >= until:
                break
            hypothesis.seed(seed + number)(each.test)
            try:
                each.test(**each.given)
            except Exception:  # noqa: BLE001 - whatever it is, it is what we look for
                traceback.print_exc()
                print(f"{each.name} fails; again: make fuzz FUZZ_SECONDS=0 FUZZ_SEED={seed + number}")
                return False
        number += 1
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"round {number}, seed {seed + number - 1}: {counts.total()} examples, {memory:.0f} MB at most", flush=True
        )
    return True


def main(argv: Sequence[str]) -> int:
    options = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz for so many seconds.")
    options.add_argument("--seconds", type=float, default=60.0)
    options.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    given = options.parse_args(argv)
    print(f"FUZZ_SECONDS={given.seconds:g} FUZZ_SEED={given.seed}", flush=True)
    counts: Counter[str] = Counter()
    well = fuzz(list(properties(TARGETS)), given.seconds, given.seed, counts)
    for target, examples in counts.items():
        print(f"{target}: {examples} examples")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
