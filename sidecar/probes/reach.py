"""Getting to a peer, for every probe that talks to one: its name, and what an error on the way means.

The line between the peer's trouble and ours is drawn here: refused, reset, unreachable and "no such name" are the
peer's (`fail`); a resolver without an answer and an exhausted sidecar are ours (`unknown`).
"""

from __future__ import annotations

import asyncio
import errno
import re

from ..io.resolver import Address, NameNotFound, Resolver, ResolverTrouble
from ..logic.scalars import show_duration
from ..model.health import Result, State

# A name that is not resolved within this share of the check's timeout is our trouble. The rest of the timeout belongs
# to the peer, and the caller's deadline decides about it.
RESOLVING = 0.8

_OURS = {
    errno.EMFILE: "the sidecar has no file descriptors left",
    errno.ENFILE: "this machine has no file descriptors left",
    errno.ENOMEM: "the sidecar has no memory left",
    errno.ENOBUFS: "this machine has no network buffers left",
    errno.EADDRNOTAVAIL: "this machine has no free local port or address for it",
    errno.ENETUNREACH: "this machine has no route to it",
    errno.ENETDOWN: "this machine's network is down",
    errno.EAFNOSUPPORT: "this machine does not speak its address family",
    errno.EACCES: "connecting is forbidden here",
    errno.EPERM: "connecting is forbidden here",
}
_THEIRS = {
    errno.ECONNREFUSED: "connection refused by {}",
    errno.ECONNRESET: "connection reset by {}",
    errno.EPIPE: "connection reset by {}",
    errno.EHOSTUNREACH: "no route to {}",
    errno.EHOSTDOWN: "{} is down",
    errno.ETIMEDOUT: "no answer from {}",
}


def authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


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
    numbers = errnos(error)
    # With several addresses, one that answered "no" says more than one that we could not try.
    for number in numbers:
        if number in _THEIRS:
            return Result(State.FAIL, _THEIRS[number].format(peer))
    for number in numbers:
        if number in _OURS:
            return Result(State.UNKNOWN, f"{peer} was not tried: {_OURS[number]}")
    return Result(State.FAIL, f"{peer}: {error.strerror or error}")


def errnos(error: OSError) -> list[int]:
    """asyncio and aiohappyeyeballs join the errors of several addresses into one text without a number."""
    if error.errno is not None and not str(error).startswith("Multiple exceptions"):
        return [error.errno]
    if isinstance(error, ConnectionResetError):
        return [errno.ECONNRESET]
    return [int(number) for number in re.findall(r"\[Errno (\d+)\]", str(error))]
