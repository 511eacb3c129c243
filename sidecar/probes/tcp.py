"""kind: tcp. A connection is accepted, as in a Kubernetes tcpSocket probe, and, where asked for, a line is answered.

The kernel accepts for a process that hangs, until its backlog is full. A target whose process is seen to be stopped fails
all the same; what a process must answer itself shows that it works: `send: "PING\\r\\n"` and `expect: "+PONG"` for redis.
A server that speaks first needs `expect` alone.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from time import perf_counter
from typing import Annotated, Any
from urllib.parse import urlsplit

from ..io.connect import connect
from ..io.peer import authority
from ..io.secrets import SecretValue
from ..logic.conditions import Latency, span
from ..logic.scalars import Address, Invalid, Scalar, SecretText, parse_address, quoted
from ..model.health import Observed, Result, State
from . import reach
from .base import CheckConfig, Context

KIND = "tcp"
# Bytes of an answer in which `expect` is looked for.
MOST_ANSWER = 64 << 10
_PORTS = {"http": 80, "https": 443}


def parse_peer(raw: Any) -> Address:
    peer = parse_address(raw)
    if not peer.host or not peer.port:
        raise Invalid(f"{quoted(raw)} has no {'port' if peer.host else 'host'}")
    return peer


PeerAddress = Annotated[Address, Scalar("host:port such as 127.0.0.1:6379", parse_peer)]


class Config(CheckConfig, frozen=True, kw_only=True):
    """`address` is by default the host and port of the target's URL. `expect` is text that must be in the answer."""

    address: PeerAddress | None = None
    send: SecretText | None = None
    expect: str = ""
    latency: Latency | None = None


def misses(config: Config, target_url: str | None) -> Iterable[tuple[str, str, str]]:
    if config.address is None and target_url is None:
        yield "address", "missing", "host:port, or target.url"


class TcpProbe:
    def __init__(self, config: Config, context: Context) -> None:
        self.config = config
        self._resolver = context.resolver
        self._process = context.process
        self._send = SecretValue(config.send) if config.send else None
        self._peer = config.address or _peer_of(context.target_url)

    async def check(self) -> Result:
        if self._peer is None:
            return Result(State.UNKNOWN, "neither address nor target.url is configured")
        peer = authority(self._peer.host, self._peer.port)
        try:
            found = await reach.addresses(self._resolver, self._peer.host, self.config.timeout)
            started = perf_counter()
            with await connect(found, self._peer.port) as sock:
                answer = await self._talk(sock)
        except OSError as error:
            return reach.failure(error, peer)
        seconds = perf_counter() - started
        observed = (Observed("responseTime", seconds, "s"),)
        if self.config.expect not in answer:
            said = f"answered {quoted(answer)}" if answer else "closed the connection without an answer"
            return Result(State.FAIL, f"{peer} {said}, expected {quoted(self.config.expect)}", observed)
        for state, text in self.config.latency.broken(seconds) if self.config.latency else ():
            return Result(state, f"{peer} {text}", observed)
        if self.config.address is None and not self.config.expect and (trouble := self._process().trouble):
            return Result(State.FAIL, f"connected to {peer}, but {trouble}", observed)
        did = "answered as expected by" if self.config.expect else "connected to"
        return Result(State.PASS, f"{did} {peer} in {span(seconds)}", observed)

    async def _talk(self, sock: socket.socket) -> str:
        """What the peer says until `expect` is in it, or it stops, or it has said `MOST_ANSWER` bytes."""
        loop, answer = asyncio.get_running_loop(), b""
        if self._send is not None:
            await loop.sock_sendall(sock, self._send.read().encode())
        expected = self.config.expect.encode()
        while expected not in answer and len(answer) < MOST_ANSWER:
            more = await loop.sock_recv(sock, MOST_ANSWER)
            if not more:
                break
            answer += more
        return answer.decode(errors="replace")


def _peer_of(url: str | None) -> Address | None:
    if url is None:
        return None
    parts = urlsplit(url)
    return Address(parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0))
