"""A peer's name, and what an error on the way to it means, for a person.

The line between the peer's trouble and ours is drawn here: refused, reset, unreachable are the peer's; an exhausted or cut
off sidecar is ours.
"""

from __future__ import annotations

import errno
import re
from typing import NamedTuple

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


class Trouble(NamedTuple):
    """`ours`: it says nothing about the peer."""

    text: str
    ours: bool


def authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def trouble(error: OSError, peer: str) -> Trouble:
    """What it means that `peer` (host:port) could not be talked to."""
    numbers = errnos(error)
    # With several addresses, one that answered "no" says more than one that we could not try.
    for number in numbers:
        if number in _THEIRS:
            return Trouble(_THEIRS[number].format(peer), ours=False)
    for number in numbers:
        if number in _OURS:
            return Trouble(f"{peer} was not tried: {_OURS[number]}", ours=True)
    return Trouble(f"{peer}: {error.strerror or error}", ours=False)


def errnos(error: OSError) -> list[int]:
    """asyncio and aiohappyeyeballs join the errors of several addresses into one text without a number."""
    if error.errno is not None and not str(error).startswith("Multiple exceptions"):
        return [error.errno]
    if isinstance(error, ConnectionResetError):
        return [errno.ECONNRESET]
    return [int(number) for number in re.findall(r"\[Errno (\d+)\]", str(error))]
