"""Many sequences, and the shortest form of the first that breaks a promise."""

from __future__ import annotations

from random import Random

from tests.model.actions import Action, sequence
from tests.model.trial import attempt


async def search(seed: int, sequences: int, child: bool = False) -> str:
    """What the first sequence that breaks a promise is told as; nothing, when none does."""
    for number in range(seed, seed + sequences):
        actions = sequence(Random(number))
        if broken := await attempt(number, actions, child):
            if not child:
                actions, broken = await shortest(number, actions, broken)
            told = "\n".join(f"    {name} {amount:g}" for name, amount in actions)
            again = f"python -m tests.model {'--child ' if child else ''}--sequences 1 --seed {number}"
            return f"seed {number}: {broken}\n{told}\nagain: {again}"
    return ""


async def shortest(seed: int, actions: list[Action], broken: str) -> tuple[list[Action], str]:
    """Without each part that the failure does not need: halves first, single actions last."""
    size = len(actions) // 2
    while size:
        at = 0
        while at < len(actions):
            fewer = actions[:at] + actions[at + size :]
            if found := await attempt(seed, fewer):
                actions, broken = fewer, found
            else:
                at += size
        size //= 2
    return actions, broken
