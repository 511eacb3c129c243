"""Getting to a peer, for every probe that talks to one, and what an error on the way means.

The peer's trouble, "no such name" too, is `fail`; ours, a resolver without an answer too, is `unknown`.
"""

from __future__ import annotations

import asyncio

from ..io.peer import trouble
from ..io.resolver import Address, NameNotFound, Resolver, ResolverTrouble
from ..logic.scalars import show_duration
from ..model.health import Result, State

# A name that is not resolved within this share of the check's timeout is our trouble. The rest of the timeout belongs
# to the peer, and the caller's deadline decides about it.
RESOLVING = 0.8


async def addresses(resolver: Resolver, host: str, timeout: float) -> list[Address]:
    """The host's addresses. Raises `NameNotFound` or `ResolverTrouble`, the latter also when it takes too long."""
    patience = timeout * RESOLVING
    try:
        async with asyncio.timeout(patience):
            return await resolver.addresses(host)
    except TimeoutError:
        raise ResolverTrouble(host, f"no answer within {show_duration(round(patience, 4))}") from None


def failure(error: OSError, peer: str) -> Result:
    """What it means that `peer` (host:port) could not be talked to."""
    if isinstance(error, ResolverTrouble):
        return Result(State.UNKNOWN, str(error))
    if isinstance(error, NameNotFound):
        return Result(State.FAIL, str(error))
    text, ours = trouble(error, peer)
    return Result(State.UNKNOWN if ours else State.FAIL, text)
