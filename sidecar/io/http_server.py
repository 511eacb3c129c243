"""A small HTTP/1.1 server for our own surface: GET and HEAD of literal paths, no bodies. aiohttp would cost 13 MB and 100 ms.

It is reachable from outside the Pod, so everything is bounded: the bytes of a head and the time for it, the requests that
wait on a connection, the time in which an answer must be taken, and the connections: of too many, the one that has gone
longest without a whole request makes place, and where all are being answered, the new one gets a 503.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from ..logic.http_message import Request, Response, problem
from .http_server_connection import Connection

Handler = Callable[[Request], Awaitable[Response]]


class Limits(NamedTuple):
    """Seconds: for a whole head, between requests, and for taking an answer that does not fit into the socket."""

    header_timeout: float = 10.0
    idle_timeout: float = 75.0
    write_timeout: float = 30.0
    connections: int = 256


class HttpServer:
    """`protocol` is a factory for a listener, whose connections all answer by one table: path -> handler."""

    def __init__(self, routes: Mapping[str, Handler], limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.closing = False
        self.unused: dict[Connection, None] = {}
        """Those that wait for a request or for the rest of one, the longest first."""
        self._routes = routes
        self.connections: set[Connection] = set()
        self._empty = asyncio.Event()
        self._empty.set()

    def protocol(self) -> asyncio.Protocol:
        return Connection(self)

    async def answer(self, request: Request) -> Response:
        handler = self._routes.get(request.path)
        if handler is None:
            return problem(404, f"no such path {request.path[:200]}, expected {', '.join(self._routes)}")
        try:
            return await handler(request)
        except Exception as error:  # noqa: BLE001 - a bug in one answer is not the end of the others
            message = f"the answer to {request.path} failed on a bug"
            asyncio.get_running_loop().call_exception_handler({"message": message, "exception": error})
            return problem(500, "this is a bug of the sidecar; its log has the details")

    def joined(self, connection: Connection) -> bool:
        """False: there is no place for it."""
        if self.closing:
            return False
        if len(self.connections) >= self.limits.connections:
            longest = next(iter(self.unused), None)
            if longest is None:
                return False
            longest.abort()
        self.connections.add(connection)
        self._empty.clear()
        return True

    def left(self, connection: Connection) -> None:
        self.unused.pop(connection, None)
        self.connections.discard(connection)
        if not self.connections:
            self._empty.set()

    async def close(self, patience: float = 1.0) -> None:
        """Ends what is unused at once, and what is being answered after its answer, at the latest after `patience`."""
        self.closing = True
        for connection in list(self.connections):
            connection.drain()
        try:
            async with asyncio.timeout(patience):
                await self._empty.wait()
        except TimeoutError:
            for connection in list(self.connections):
                connection.abort()
            await self._empty.wait()
