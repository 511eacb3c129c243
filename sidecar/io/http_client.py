"""POST to one base URL over kept connections: telemetry and heartbeats leave through here.

Plain HTTP/1.1 is spoken by ourselves, on httptools: at small requests that costs a third of aiohttp's client, and aiohttp
need not be imported at all. https and proxies (`http_proxy`, `https_proxy`, `no_proxy`) go through aiohttp behind the same
method, see `aiohttp_client`. Redirects are not followed: a telemetry endpoint that moved is for a person to see.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from typing import Protocol, cast
from urllib.parse import urlsplit

import httptools
import msgspec

MAX_RESPONSE = 4 << 20
"""Bytes of a response body. The OTLP spec bounds it; a longer one is a failure."""
CONNECTIONS = 8
KEPT_FOR = 60.0
"""Seconds that an unused connection is kept; most servers close it at 60 to 75."""


class Response(msgspec.Struct, frozen=True):
    """Header names are in lower case; of a repeated header the last one is kept."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class BadResponse(ConnectionError):
    """What came back is not HTTP, or more than we take."""


class Resolved(Protocol):
    @property
    def host(self) -> str: ...


class Names(Protocol):
    """`io.resolver.Resolver`, as far as a client needs it."""

    async def addresses(self, name: str) -> Sequence[Resolved]: ...


class HttpClient:
    """Bounded to `connections` at a time; further requests wait, within their own timeout."""

    def __init__(
        self,
        base_url: str,
        resolver: Names | None = None,
        connections: int = CONNECTIONS,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        parts = urlsplit(base_url)
        self._prefix = parts.path.rstrip("/")
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._connections = connections
        self._sender: _Sender | None = None
        if parts.scheme == "http" and not _proxied(parts.hostname or "", environ):
            self._sender = _Plain(parts.hostname or "", parts.port or 80, parts.netloc, resolver, connections)

    async def post(self, path: str, body: bytes, headers: Mapping[str, str], timeout: float) -> Response:
        """The response, whatever its status.

        Raises `OSError`: `TimeoutError` after `timeout` seconds, `ConnectionError`, the resolver's errors. It is sent at
        most twice: again only when a kept connection was closed before anything of a response came.
        """
        if self._sender is None:
            from .aiohttp_client import AiohttpSender  # large; only who needs it pays

            self._sender = AiohttpSender(self._origin, self._connections, MAX_RESPONSE)
        async with asyncio.timeout(timeout):
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

    def __init__(self, host: str, port: int, host_header: str, resolver: Names | None, connections: int) -> None:
        self._host = host
        self._port = port
        self._common = f"Host: {host_header.rpartition('@')[2]}\r\n"
        self._resolver = resolver
        self._slots = asyncio.Semaphore(connections)
        self._idle: list[_Connection] = []
        self._all: set[_Connection] = set()
        self._expiry: asyncio.TimerHandle | None = None

    async def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Response:
        lines = [f"POST {path} HTTP/1.1\r\n", self._common, f"Content-Length: {len(body)}\r\n"]
        for name, value in headers.items():
            if "\n" in value or "\r" in value or "\0" in value:
                raise ValueError(f"the value of header {name} has a line break in it")
            lines.append(f"{name}: {value}\r\n")
        head = ("".join(lines) + "\r\n").encode("utf-8")
        async with self._slots:
            while self._idle:
                connection = self._idle.pop()
                if connection.closed:
                    continue
                try:
                    return await self._exchange(connection, head, body)
                except _Stale:
                    continue
            return await self._exchange(await self._connect(), head, body)

    async def _exchange(self, connection: _Connection, head: bytes, body: bytes) -> Response:
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

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        hosts = [self._host]
        if self._resolver is not None:
            hosts = [address.host for address in await self._resolver.addresses(self._host)]
        error: OSError = ConnectionError(f"{self._host} has no address")
        for host in hosts:
            try:
                _, connection = await loop.create_connection(lambda: _Connection(self._all), host, self._port)
            except OSError as failed:
                error = failed
            else:
                return connection
        raise error

    async def close(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        for connection in list(self._all):
            connection.close()
        self._idle.clear()


class _Stale(ConnectionError):
    """A kept connection was closed by the server before it answered: the request may be sent again."""


class _Connection(asyncio.Protocol):
    """One exchange at a time. The parser calls the `on_` methods."""

    def __init__(self, everyone: set[_Connection]) -> None:
        self._everyone = everyone
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Response] | None = None
        self._used = False
        self._heard = False
        self.closed = False
        self.reusable = False
        self.idle_since = 0.0
        self._reset()

    def _reset(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._size = 0
        self._heard = False
        self._until_close = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is not a subclass
        self._everyone.add(self)

    async def exchange(self, head: bytes, body: bytes) -> Response:
        if self._transport is None or self._transport.is_closing():
            raise _Stale("closed")
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.writelines([head, body])
        try:
            return await self._waiting
        finally:
            self._waiting = None
            self._used = True

    def close(self) -> None:
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._waiting is None:  # nothing was asked: 408 from a server that closes, or worse
            self.close()
            return
        self._heard = True
        self._size += len(data)
        if self._size > MAX_RESPONSE + (64 << 10):
            self._fail(BadResponse(f"the response is longer than {MAX_RESPONSE} bytes"))
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(BadResponse("the response is not HTTP/1.1"))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._until_close = "content-length" not in self._headers and "transfer-encoding" not in self._headers

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if 100 <= status < 200:
            self._headers.clear()
            return
        self._finish(status, self._parser.should_keep_alive())

    def _finish(self, status: int, reusable: bool) -> None:
        self.reusable = reusable
        response = Response(status, self._headers, bytes(self._body))
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(response)
        if reusable:
            self._headers = {}
            self._body = bytearray()
            self._size = 0
            self._heard = False

    def _fail(self, error: OSError) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error)
        self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._everyone.discard(self)
        if self._waiting is None or self._waiting.done():
            return
        if self._until_close and exc is None and self._parser.get_status_code() >= 200:
            self._finish(self._parser.get_status_code(), reusable=False)
        elif self._used and not self._heard:
            self._fail(_Stale("closed while unused"))
        else:
            self._fail(ConnectionResetError("the server closed the connection before it answered"))
