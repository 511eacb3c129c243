"""Requests to one host over HTTP/2: one connection, all requests on it at once, and another only when it takes no more."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Mapping, Sequence

from ..logic.http2_frames import Piece
from ..logic.http_request import Endpoint
from ..logic.proxy import proxy_for
from .connect import connect
from .deadlines import Deadlines
from .http2_connection import Http2Connection, Keepalive, Response, Unprocessed
from .peer import authority, trouble
from .resolver import Resolver
from .tls import ClientTls, told
from .tunnel import tunnel

MAX_RESPONSE = 4 << 20
CONNECTIONS = 4
"""At once, to a server that takes only a few streams on each."""
ATTEMPTS = 4
"""How often a request is sent that the server says it has not looked at."""
CONNECT = 10.0
"""Seconds until the server has greeted."""


class Http2Client:
    """For one event loop. Requests beyond what the connections take wait, within their own timeout.

    A server that has been asked too often whether it is there (GOAWAY with ENHANCE_YOUR_CALM) is asked half as often on the
    next connection."""

    def __init__(
        self,
        where: Endpoint,
        resolver: Resolver | None = None,
        tls: ClientTls | None = None,
        keepalive: Keepalive | None = None,
        most_body: int = MAX_RESPONSE,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """`tls` is for https; without it the system's authorities decide. `environ` may name a proxy."""
        self._where = where
        self._resolver = resolver or Resolver()
        self._tls = (tls or ClientTls(None, "h2")) if where.scheme == "https" else None
        self._context: ssl.SSLContext | None = None
        self._proxy = proxy_for(where, environ)
        self._keepalive = keepalive
        self._most_body = most_body
        self._connections: list[Http2Connection] = []
        self._connecting: asyncio.Task[None] | None = None
        self._waiting: list[asyncio.Future[None]] = []
        self._deadlines = Deadlines()

    async def exchange(self, head: bytes, body: Sequence[Piece], timeout: float) -> Response:
        """The response, whatever it says. Raises `OSError`: `TimeoutError` after `timeout` seconds, `ConnectionError`, the
        resolver's errors. Sent again at once, and to another connection if need be, when the server has done nothing with it.
        """
        with self._deadlines.within(timeout):
            attempt = 1
            while True:
                connection = await self._free()
                try:
                    return await connection.exchange(head, body)
                except Unprocessed:
                    if attempt == ATTEMPTS:
                        raise
                attempt += 1

    async def close(self) -> None:
        """Drops every connection, also those in use."""
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        for connection in list(self._connections):
            connection.close()

    async def _free(self) -> Http2Connection:
        """A connection that takes a request now."""
        if self._tls is not None and (context := self._tls.context()) is not self._context:
            self._renew(context)
        tried, made = False, 0
        while True:
            taking = [connection for connection in self._connections if connection.http2.open]
            for connection in taking:
                if connection.http2.free:
                    return connection
            if not taking:
                if made == ATTEMPTS:
                    raise ConnectionError(f"{made} connections ended as soon as they were made: {self._why}")
                made += 1
                await asyncio.shield(self._connecting or self._begin())
                continue
            if self._connecting is None and len(taking) < CONNECTIONS and not tried:
                self._begin()
                tried = True
            await self._change()

    def _renew(self, context: ssl.SSLContext) -> None:
        """Our certificate or the authorities have changed: no request begins on a connection that was made before."""
        self._context = context
        for connection in self._connections:
            connection.retire()

    @property
    def _why(self) -> str:
        return self._connections[-1].http2.why if self._connections else ""

    async def _change(self) -> None:
        """Wait until there may be place for a request."""
        change = asyncio.get_running_loop().create_future()
        self._waiting.append(change)
        try:
            await change
        finally:
            self._waiting.remove(change)

    def _changed(self) -> None:
        for change in self._waiting:
            if not change.done():
                change.set_result(None)

    def _begin(self) -> asyncio.Task[None]:
        """Connect, once for all who wait."""
        self._connecting = asyncio.get_running_loop().create_task(self._connect())
        self._connecting.add_done_callback(self._connected)
        return self._connecting

    async def _connect(self) -> None:
        if self._keepalive is not None and any(c.http2.calmed for c in self._connections):
            self._keepalive = Keepalive(self._keepalive.interval * 2, self._keepalive.timeout)
        self._connections = [c for c in self._connections if c.http2.open or c.http2.streams]
        where = self._where
        connection = Http2Connection(where.authority, self._most_body, self._keepalive, self._changed)
        try:
            async with asyncio.timeout(CONNECT):
                if self._proxy is None:
                    addresses = await self._resolver.addresses(where.host)
                    try:
                        sock = await connect(addresses, where.port)
                    except OSError as error:
                        raise ConnectionError(trouble(error, authority(where.host, where.port)).text) from error
                else:
                    sock = await tunnel(self._proxy, where, self._resolver)
                name = self._tls.server_name(where.host) if self._tls else None
                await asyncio.get_running_loop().create_connection(
                    lambda: connection, sock=sock, ssl=self._context, server_hostname=name
                )
                await connection.ready()
        except BaseException as error:
            connection.close()
            if isinstance(error, TimeoutError):
                raise ConnectionError(f"no HTTP/2 connection within {CONNECT:g} s") from None
            if isinstance(error, ssl.SSLError):
                raise ConnectionError(told(error, where.authority)) from error
            raise
        self._connections.append(connection)

    def _connected(self, task: asyncio.Task[None]) -> None:
        self._connecting = None
        if not task.cancelled():
            task.exception()  # those who wait for it have it
        self._changed()
