"""POST to one base URL over kept connections: telemetry and heartbeats leave through here.

Plain HTTP/1.1 is spoken by ourselves, on httptools: at small requests that costs a third of aiohttp's client, and aiohttp
(13 MB) need not be imported at all. https and proxies (`http_proxy`, `https_proxy`, `no_proxy`) go through aiohttp behind
the same method, see `aiohttp_client`. Redirects are not followed: a telemetry endpoint that moved is for a person to see.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import Protocol
from urllib.parse import urlsplit

from ..logic.http_request import Endpoint, endpoint, request_head
from .connect import connect
from .deadlines import Deadlines
from .http_connection import HttpConnection, Response, Stale
from .resolver import Resolver

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
    ) -> None:
        where, parts = endpoint(base_url), urlsplit(base_url)
        self._prefix = where.target.partition("?")[0].rstrip("/")
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._connections = connections
        self._sender: _Sender | None = None
        self._deadlines = Deadlines()
        if where.scheme == "http" and not _proxied(where.host, environ):
            self._sender = _Plain(where, resolver or Resolver(), connections)

    async def post(self, path: str, body: bytes, headers: Mapping[str, str], timeout: float) -> Response:
        """The response, whatever its status.

        Raises `OSError`: `TimeoutError` after `timeout` seconds, `ConnectionError`, the resolver's errors. It is sent at
        most twice: again only when a kept connection was closed before anything of a response came.
        """
        if self._sender is None:
            from .aiohttp_client import AiohttpSender  # large; only who needs it pays

            self._sender = AiohttpSender(self._origin, self._connections, MAX_RESPONSE)
        with self._deadlines.within(timeout):
            return await self._sender.post(self._prefix + path, body, headers)

    async def close(self) -> None:
        """Drops every connection, also those in use."""
        if self._sender is not None:
            await self._sender.close()


class _Sender(Protocol):
    async def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Response: ...

    async def close(self) -> None: ...


def _proxied(host: str, environ: Mapping[str, str]) -> bool:
    proxy = (
        environ.get("http_proxy") or environ.get("HTTP_PROXY") or environ.get("all_proxy") or environ.get("ALL_PROXY")
    )
    if not proxy:
        return False
    from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # not in typeshed; large

    return not proxy_bypass_environment(host, {"no": environ.get("no_proxy") or environ.get("NO_PROXY") or ""})


class _Plain:
    """A pool of connections to one host and port, last used first."""

    def __init__(self, where: Endpoint, resolver: Resolver, connections: int) -> None:
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
        except BaseException:
            connection.close()
            raise
        if connection.reusable:
            connection.idle_since = asyncio.get_running_loop().time()
            self._idle.append(connection)
            if self._expiry is None:
                self._expiry = asyncio.get_running_loop().call_later(KEPT_FOR, self._expire)
        else:
            connection.close()
        return response

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
        sock = await connect(addresses, self._where.port)
        await asyncio.get_running_loop().create_connection(lambda: connection, sock=sock)
        self._all.add(connection)
        return connection

    async def close(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        for connection in list(self._all):
            connection.close()
        self._idle.clear()
