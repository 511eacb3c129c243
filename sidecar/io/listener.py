"""A listening socket that may be taken: that degrades this listener, not the sidecar, and is tried again."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable

from ..logic.scalars import Address
from . import pem
from .clock import Clock
from .handshakes import Handshakes
from .resolver import Address as IpAddress
from .resolver import Resolver
from .server_tls import ServerTls

RETRY = 5.0
BACKLOG = 1024


class Listener:
    """Listens at `address` for the protocols that `factory` makes.

    `localhost` is both 127.0.0.1 and ::1, an empty host is all addresses; where the machine has no IPv6, IPv4 is enough.
    With port 0 the system chooses, one port for all of them. With `tls` protocols see connections after their handshake, of
    which at most `handshakes` are under way.
    """

    def __init__(
        self,
        address: Address,
        factory: Callable[[], asyncio.Protocol],
        clock: Clock,
        tls: ServerTls | None = None,
        handshakes: int = 256,
    ) -> None:
        self.address = address
        self.tls = tls
        self.why = "not started"
        """What keeps it from listening; empty while it listens."""
        self._taken = False
        self._handshakes = Handshakes(tls, factory, handshakes) if tls else None
        self._factory = self._handshakes.protocol if self._handshakes else factory
        self._clock = clock
        self._servers: list[asyncio.Server] = []
        self._retrying: asyncio.Task[None] | None = None

    @property
    def up(self) -> bool:
        return bool(self._servers)

    @property
    def ports(self) -> tuple[int, ...]:
        """Where it listens now, each port once."""
        return tuple(dict.fromkeys(s.getsockname()[1] for server in self._servers for s in server.sockets))

    async def start(self) -> None:
        """Returns after the first attempt; while the address is taken, a task of this listener goes on trying."""
        if not await self._open():
            self._retrying = asyncio.create_task(self._retry(), name=f"listen on {self.address}")

    async def move(self, address: Address) -> None:
        """To be called after `start`: where the address is taken, it listens at this one instead."""
        await self._end_retries()
        if self._taken:
            self.address = address
        if not self.up:
            await self.start()

    async def stop(self) -> None:
        """Takes no more connections; those that are open are their protocols' business."""
        await self._end_retries()
        for server in self._servers:
            server.close()
        self._servers = []
        if self._handshakes is not None:
            await self._handshakes.stop()
        self.why = "stopped"

    async def _end_retries(self) -> None:
        if self._retrying is not None:
            self._retrying.cancel()
            await asyncio.wait([self._retrying])
            self._retrying = None

    async def _retry(self) -> None:
        opened = False
        while not opened:
            await self._clock.sleep(RETRY)
            opened = await self._open()

    async def _open(self) -> bool:
        loop = asyncio.get_running_loop()
        opened: list[asyncio.Server] = []
        port = self.address.port
        self._taken = False
        if self.tls is not None:
            try:
                self.tls.context()
            except OSError as error:
                self.why = f"no certificate: {pem.reason(error)}"
                return False
        for host in _hosts(self.address.host):
            try:
                for address in await Resolver().addresses(host):
                    # Not by its name: uvloop looks even numeric addresses up, in libuv's threads.
                    sock = _listening(_bound(address, port))
                    server = await loop.create_server(self._factory, sock=sock, backlog=BACKLOG)
                    opened.append(server)
                    port = server.sockets[0].getsockname()[1]
            except OSError as error:
                if opened and error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    continue  # a machine without IPv6
                for server in opened:
                    server.close()
                self.why = f"cannot listen on {Address(host, port)}: {_reason(error)}"
                self._taken = error.errno == errno.EADDRINUSE
                return False
        self._servers = opened
        self.why = ""
        return True


def _hosts(host: str) -> list[str]:
    return {"localhost": ["127.0.0.1", "::1"], "": ["0.0.0.0", "::"]}.get(host, [host])


def _bound(address: IpAddress, port: int) -> socket.socket:
    sock = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if address.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address.host, port))
    except OSError:
        sock.close()
        raise
    return sock


def _listening(sock: socket.socket) -> socket.socket:
    """Here, because uvloop tells nobody when it fails: two processes may have bound a port before either listens."""
    try:
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def _reason(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "the port is taken by another process"
    if error.errno == errno.EACCES:
        return "not permitted (ports below 1024 need a privilege)"
    return error.strerror or str(error)
