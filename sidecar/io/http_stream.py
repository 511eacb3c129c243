"""One GET whose answer may have no end: it is read as it comes, and no faster than it is wanted."""

from __future__ import annotations

import asyncio
from typing import cast

import httptools

from .http_connection import BadResponse, Closed

AHEAD = 64 << 10
"""Bytes that may wait here to be read; then the server waits, as soon as the kernel's buffers are full."""
MAX_HEAD = 64 << 10


class HttpStream(asyncio.Protocol):
    """`get` once, then `read` until it returns nothing, then `close`. For one task, which may give up a `read` and begin it
    again. Redirects, decompression and deadlines are the caller's. The parser calls the `on_` methods."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[None] | None = None
        self._pieces: list[bytes] = []
        self._size = 0
        self._head = 0
        self._status = 0
        self._headers: dict[str, str] = {}
        self._ended = False
        self._paused = False
        self._error: OSError | None = None

    async def get(self, head: bytes) -> int:
        """Send the request; the status of the answer. Raises `OSError`, also for what is not HTTP (`BadResponse`)."""
        if self._transport is None:
            raise Closed("the connection is not open")
        self._transport.write(head)
        while not self._status:
            if self._error is not None:
                raise self._error
            await self._news()
        return self._status

    async def read(self) -> bytes:
        """What has come of the body; nothing at its end. Raises `OSError` where the connection broke before that, when all that
        came until then has been read."""
        while not self._pieces:
            if self._error is not None:
                raise self._error
            if self._ended:
                return b""
            await self._news()
        data = b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return data

    async def body(self, most: int) -> bytes:
        """All of it. Raises `BadResponse` for more than `most` bytes."""
        whole = b""
        while data := await self.read():
            whole += data
            if len(whole) > most:
                raise BadResponse(f"the response is longer than {most} bytes")
        return whole

    def close(self) -> None:
        """At once, also in the middle of the answer."""
        if self._transport is not None:
            self._transport.abort()

    async def _news(self) -> None:
        self._waiting = self._loop.create_future()
        try:
            await self._waiting
        finally:
            self._waiting = None

    def _tell(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def _fail(self, error: OSError) -> None:
        if not self._ended and self._error is None:
            self._error = error
        self._tell()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is not a subclass

    def connection_lost(self, exc: Exception | None) -> None:
        self._paused = False
        framed = "content-length" in self._headers or "chunked" in self._headers.get("transfer-encoding", "").lower()
        if exc is not None:
            self._fail(exc if isinstance(exc, OSError) else ConnectionResetError(str(exc)))
        elif self._status and not framed:  # the end of the connection is the end of the answer
            self._ended = True
            self._tell()
        else:
            where = "in the middle of the answer" if self._status else "without an answer"
            self._fail(Closed(f"the connection was closed {where}"))

    def data_received(self, data: bytes) -> None:
        if not self._status:
            self._head += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(BadResponse(f"the answer is not HTTP ({error})"))
            self.close()
            return
        if not self._status and self._head > MAX_HEAD:
            self._fail(BadResponse(f"the head of the answer is longer than {MAX_HEAD} bytes"))
            self.close()
        if self._size > AHEAD and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._tell()

    # The parser's

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status >= 200:
            self._status = status

    def on_body(self, body: bytes) -> None:
        self._pieces.append(body)
        self._size += len(body)

    def on_message_complete(self) -> None:
        if self._status:
            self._ended = True
        else:  # an interim answer
            self._headers.clear()
