"""kind: tcp. A connection is accepted, as in a Kubernetes tcpSocket probe; nothing is sent.

The kernel accepts for a process that hangs, until its backlog is full: add a `process` or `http` check for that.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from time import perf_counter
from typing import Annotated, Any
from urllib.parse import urlsplit

from ..io.resolver import Address as IpAddress
from ..logic.conditions import Latency, span
from ..logic.schema import Address, Invalid, Scalar, parse_address, quoted
from ..model.health import Observed, Result, State
from . import reach
from .base import CheckConfig, Context

KIND = "tcp"
# RFC 8305, section 5: the next address is tried when one has not answered for this long.
STAGGER = 0.25
_PORTS = {"http": 80, "https": 443}


def parse_peer(raw: Any) -> Address:
    peer = parse_address(raw)
    if not peer.host or not peer.port:
        raise Invalid(f"{quoted(raw)} has no {'port' if peer.host else 'host'}")
    return peer


PeerAddress = Annotated[Address, Scalar("host:port such as 127.0.0.1:6379", parse_peer)]


class Config(CheckConfig, frozen=True, kw_only=True):
    """`address` is by default the host and port of the target's URL."""

    address: PeerAddress | None = None
    latency: Latency | None = None


def misses(config: Config, target_url: str | None) -> Iterable[tuple[str, str, str]]:
    if config.address is None and target_url is None:
        yield "address", "missing", "host:port, or target.url"


class TcpProbe:
    def __init__(self, config: Config, context: Context) -> None:
        self.config = config
        self._resolver = context.resolver
        self._peer = config.address or _peer_of(context.target_url)

    async def check(self) -> Result:
        if self._peer is None:
            return Result(State.UNKNOWN, "neither address nor target.url is configured")
        peer = reach.authority(self._peer.host, self._peer.port)
        try:
            found = await reach.addresses(self._resolver, self._peer.host, self.config.timeout)
            started = perf_counter()
            await connect(found, self._peer.port)
        except OSError as error:
            return reach.failure(error, peer)
        seconds = perf_counter() - started
        observed = (Observed("responseTime", seconds, "s"),)
        for state, text in self.config.latency.broken(seconds) if self.config.latency else ():
            return Result(state, f"{peer} {text}", observed)
        return Result(State.PASS, f"connected to {peer} in {span(seconds)}", observed)


async def connect(addresses: list[IpAddress], port: int) -> None:
    """Connect to the first address that accepts, and close at once. Happy Eyeballs (RFC 8305) without its sorting.

    Raises the only error, or one `OSError` with the texts of all.
    """
    waiting = list(addresses)
    attempts: set[asyncio.Task[None]] = set()
    errors: list[OSError] = []
    try:
        while waiting or attempts:
            if waiting:
                attempts.add(asyncio.create_task(_attempt(waiting.pop(0), port)))
            done, attempts = await asyncio.wait(
                attempts, timeout=STAGGER if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            for attempt in done:
                try:
                    return attempt.result()
                except OSError as error:
                    errors.append(error)
    finally:
        for attempt in attempts:
            attempt.cancel()
        await asyncio.gather(*attempts, return_exceptions=True)
    if len(errors) == 1:
        raise errors[0]
    raise OSError("Multiple exceptions: " + ", ".join(map(str, errors)))


async def _attempt(address: IpAddress, port: int) -> None:
    with socket.socket(address.family, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, (address.host, port))


def _peer_of(url: str | None) -> Address | None:
    if url is None:
        return None
    parts = urlsplit(url)
    return Address(parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0))
