"""POST to one base URL over kept connections: telemetry and heartbeats leave through here.

HTTP/1.1 is spoken by ourselves, on httptools, with and without TLS: at small requests that costs a third of aiohttp's
client, and aiohttp (13 MB) need not be imported at all. Proxies (`http_proxy`, `https_proxy`, `no_proxy`) go through aiohttp
behind the same method, see `aiohttp_client`. Redirects are not followed: a telemetry endpoint that moved is for a person to
see.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Mapping
from typing import Protocol
from urllib.parse import urlsplit

from ..logic.http_request import Endpoint, endpoint, request_head
from ..logic.proxy import proxy_for
from .connect import connect
from .deadlines import Deadlines
from .http_connection import HttpConnection, Response, Stale
from .peer import authority, trouble
from .resolver import Resolver
from .tls import ClientTls, told

MAX_RESPONSE = 4 << 20
"""Bytes of a response body. The OTLP spec bounds it; a longer one is a failure."""
CONNECTIONS = 8
MAX_STARTS = 16
KEPT_FOR = 60.0
"""Seconds that an unused connection is kept; most servers close it at 60 to 75."""


class HttpClient:
    """Bounded to `connections` at a time; further requests wait, within their own timeout."""

    def __init__(
        self,
        base_url: str,
        resolver: Resolver | None = None,
        connections: int = CONNECTIONS,
        environ: Mapping[str, str] = os.environ,
        tls: ClientTls | None = None,
    ) -> None:
        """`tls` is for https; without it the system's authorities decide."""
        where, parts = endpoint(base_url), urlsplit(base_url)
        self._prefix = where.target.partition("?")[0].rstrip("/")
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._connections = connections
        self._tls = tls or ClientTls()
        self._proxy = proxy_for(where, environ)
        self._sender: _Sender | None = None
        self._deadlines = Deadlines()
        if self._proxy is None:
            self._sender = _Direct(
                where, resolver or Resolver(), connections, self._tls if where.scheme == "https" else None
            )

    async def post(self, path: str, body: bytes, headers: Mapping[str, str], timeout: float) -> Response:
        """The response, whatever its status.

        Raises `OSError`: `TimeoutError` after `timeout` seconds, `ConnectionError` (also where TLS failed), the resolver's
        errors, and those of certificate files. It is sent at
        most twice: again only when a kept connection was closed before anything of a response came.
        """
        if self._sender is None:
            from .aiohttp_client import AiohttpSender  # large; only who needs it pays

            self._sender = AiohttpSender(self._origin, self._proxy or "", self._tls, self._connections, MAX_RESPONSE)
        with self._deadlines.within(timeout):
            return await self._sender.post(self._prefix + path, body, headers)

    async def close(self) -> None:
        """Drops every connection, also those in use."""
        if self._sender is not None:
            await self._sender.close()


class _Sender(Protocol):
    async def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Response: ...

    async def close(self) -> None: ...


class _Direct:
    """A pool of connections to one host and port, last used first; with TLS where `tls` is given."""

    def __init__(self, where: Endpoint, resolver: Resolver, connections: int, tls: ClientTls | None) -> None:
        self._tls = tls
        self._context: ssl.SSLContext | None = None
        self._name = tls.server_name(where.host) if tls else None
        self._where = where
        self._resolver = resolver
        self._slots = asyncio.Semaphore(connections)
        self._idle: list[HttpConnection] = []
        self._all: set[HttpConnection] = set()
        self._starts: dict[tuple[object, ...], bytes] = {}
        self._expiry: asyncio.TimerHandle | None = None

    async def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Response:
        head = self._head(path, headers, len(body))
        async with self._slots:
            if self._tls is not None and (context := self._tls.context()) is not self._context:
                self._renew(context)
            while self._idle:
                connection = self._idle.pop()
                if connection.closed:
                    continue
                try:
                    return await self._exchange(connection, head, body)
                except Stale:
                    continue
            return await self._exchange(await self._connect(), head, body)

    def _head(self, path: str, headers: Mapping[str, str], length: int) -> bytes:
        """All but the length is kept from request to request."""
        key = (path, *headers.items())
        start = self._starts.get(key)
        if start is None:
            if len(self._starts) >= MAX_STARTS:  # a header changes: a token that rotates
                self._starts.clear()
            start = self._starts[key] = request_head("POST", self._where, path, headers)[:-2]
        return b"%bContent-Length: %d\r\n\r\n" % (start, length)

    async def _exchange(self, connection: HttpConnection, head: bytes, body: bytes) -> Response:
        try:
            response = await connection.exchange(head, body)
        except BaseException as error:
            connection.close()
            if isinstance(error, ssl.SSLError):  # a server says only then that it does not accept our certificate
                raise ConnectionError(told(error, self._where.authority)) from error
            if isinstance(error, OSError) and error.errno is not None:
                raise self._failure(error) from error
            raise
        if connection.reusable and not connection.outdated:
            self._idle.append(connection)
            if self._expiry is None:
                self._expiry = asyncio.get_running_loop().call_later(KEPT_FOR, self._expire)
        else:
            connection.close()
        return response

    def _renew(self, context: ssl.SSLContext) -> None:
        """Our certificate or the authorities have changed: no request begins on a connection that was made before."""
        self._context = context
        for connection in self._idle:
            connection.close()
        self._idle.clear()
        for connection in self._all:
            connection.outdated = True

    def _expire(self) -> None:
        loop = asyncio.get_running_loop()
        oldest = loop.time() - KEPT_FOR
        for connection in self._idle:
            if connection.idle_since <= oldest:
                connection.close()
        self._idle = [c for c in self._idle if not c.closed]
        self._expiry = loop.call_later(KEPT_FOR, self._expire) if self._idle else None

    async def _connect(self) -> HttpConnection:
        addresses = await self._resolver.addresses(self._where.host)
        connection = HttpConnection(MAX_RESPONSE, lost=self._all.discard)
        try:
            sock = await connect(addresses, self._where.port)
            await asyncio.get_running_loop().create_connection(
                lambda: connection, sock=sock, ssl=self._context, server_hostname=self._name
            )
        except ssl.SSLError as error:
            raise ConnectionError(told(error, self._where.authority)) from error
        except OSError as error:
            raise self._failure(error) from error
        self._all.add(connection)
        return connection

    def _failure(self, error: OSError) -> ConnectionError:
        return ConnectionError(trouble(error, authority(self._where.host, self._where.port)).text)

    async def close(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        for connection in list(self._all):
            connection.close()
        self._idle.clear()
