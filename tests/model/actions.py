"""What can happen, as data: a sequence is a list of these, made from a seed, and every part of it is again a sequence."""

from __future__ import annotations

from random import Random

Action = tuple[str, float]
"""A name and an amount, whose meaning depends on the name."""

WEIGHTS = {
    "write": 30,
    "partial": 6,
    "rotate": 10,
    "move": 3,
    "create": 3,
    "late": 5,
    "copytruncate": 4,
    "delete": 3,
    "compress": 3,
    "swap": 3,
    "write_linked": 8,
    "poll": 40,
    "settle": 15,
    "save": 12,
    "kill": 6,
    "stop": 3,
    "start": 8,
    "down": 4,
    "up": 6,
    "pass": 6,
}
LONGEST = 60


def sequence(rng: Random) -> list[Action]:
    """Some actions never happen in some sequences, so that each is also seen without the others' cover."""
    names = [name for name in WEIGHTS if name in ("write", "poll", "settle", "start") or rng.random() < 0.8]
    count = rng.randint(5, LONGEST)
    chosen = rng.choices(names, [WEIGHTS[name] for name in names], k=count)
    return [("create", 0.0), ("start", 0.0), *((name, round(rng.random(), 3)) for name in chosen)]
