"""Handshakes stand between a listener and its protocols, so that none of them sees a connection before its TLS is agreed.

`create_server(ssl=…)` would do the same, but with one context for good, without a bound for those that are under way, and
without a word about those that fail.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from typing import cast

from .server_tls import ServerTls

TIMEOUT = 10.0
"""Seconds for a handshake."""
SHUTDOWN = 2.0
"""Seconds in which the other side may end its side of TLS after we have ended ours."""


class Handshakes:
    """`protocol` is a factory for a listener; `factory` makes what a connection is handed to after its handshake.

    At most `most` are under way: of more, the one that has taken longest makes place.
    """

    def __init__(self, tls: ServerTls, factory: Callable[[], asyncio.Protocol], most: int = 256) -> None:
        self._tls = tls
        self._factory = factory
        self._most = most
        self._under_way: dict[asyncio.Task[None], socket.socket | None] = {}
        """Each with its socket, until the loop owns that."""

    def protocol(self) -> asyncio.Protocol:
        return _Beginning(self)

    def begin(self, sock: socket.socket) -> None:
        """Takes the socket over."""
        if len(self._under_way) >= self._most:
            self._end(next(iter(self._under_way)))
        task = asyncio.get_running_loop().create_task(self._shake(sock))
        self._under_way[task] = sock
        task.add_done_callback(self._done)

    def _end(self, task: asyncio.Task[None]) -> None:
        sock = self._under_way.pop(task)
        task.cancel()
        self._tls.refuse(ConnectionAbortedError())
        if sock is not None:  # it has not begun
            sock.close()

    def refuse(self, error: OSError) -> None:
        self._tls.refuse(error)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._under_way.pop(task, None)
        if not task.cancelled() and (bug := task.exception()) is not None:
            message = {"message": "a connection failed on a bug", "exception": bug}
            asyncio.get_running_loop().call_exception_handler(message)

    async def _shake(self, sock: socket.socket) -> None:
        try:
            context = self._tls.context()
        except OSError as error:
            self._tls.refuse(error)
            sock.close()
            return
        if task := asyncio.current_task():
            self._under_way[task] = None
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                self._factory, sock, ssl=context, ssl_handshake_timeout=TIMEOUT, ssl_shutdown_timeout=SHUTDOWN
            )
        except OSError as error:
            self._tls.refuse(error)

    async def stop(self) -> None:
        """Ends those that are under way."""
        tasks = list(self._under_way)
        for task in tasks:
            self._end(task)
        await asyncio.gather(*tasks, return_exceptions=True)


class _Beginning(asyncio.Protocol):
    """Takes the socket from the loop before anything has been read from it."""

    def __init__(self, handshakes: Handshakes) -> None:
        self._handshakes = handshakes

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        made = cast("asyncio.Transport", transport)  # uvloop's is not a subclass
        try:
            sock = socket.socket(fileno=os.dup(made.get_extra_info("socket").fileno()))
        except OSError as error:
            self._handshakes.refuse(error)
        else:
            sock.setblocking(False)
            self._handshakes.begin(sock)
        finally:
            made.abort()
