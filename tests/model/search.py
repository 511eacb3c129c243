"""Many sequences, and the shortest form of the first that breaks a promise."""

from __future__ import annotations

import asyncio
from random import Random

from tests.model.actions import Action, sequence
from tests.model.trial import attempt


def search(seed: int, sequences: int) -> str:
    """What the first sequence that breaks a promise is told as; nothing, when none does."""
    return asyncio.run(_search(seed, sequences))


async def _search(seed: int, sequences: int) -> str:
    for number in range(seed, seed + sequences):
        actions = sequence(Random(number))
        if broken := await attempt(number, actions):
            actions, broken = await shortest(number, actions, broken)
            told = "\n".join(f"    {name} {amount:g}" for name, amount in actions)
            return f"seed {number}: {broken}\n{told}\nagain: python -m tests.model --sequences 1 --seed {number}"
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
