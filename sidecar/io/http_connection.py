"""One HTTP/1.1 connection from the client's side, on httptools: whoever reads a response, reads it here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import cast

import httptools
import msgspec

MAX_HEAD = 64 << 10
"""Bytes beside the body: headers, those of interim responses and trailers, sizes of chunks."""

SAME = 4 << 10
"""Bytes of an answer that is remembered: a backend says the same to most requests."""


class Response(msgspec.Struct, frozen=True):
    """Header names are in lower case; of a repeated header the last one is kept. `whole` is false where the body goes on
    after what is here."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    whole: bool = True


class BadResponse(ConnectionError):
    """What came back is not HTTP, or more than we take."""


class Closed(ConnectionResetError):
    """The server ended the connection in order, but too early."""


class Stale(Closed):
    """A kept connection was closed by the server before anything of an answer came: the request may be sent again."""


class HttpConnection(asyncio.Protocol):
    """One exchange at a time. Redirects, decompression and deadlines are the caller's.

    A body of more than `most_body` bytes is cut there, and the connection is not reusable after it; without `cut` it is a
    `BadResponse`. The parser calls the `on_` methods.
    """

    def __init__(
        self,
        most_body: int,
        *,
        cut: bool = False,
        lenient: bool = False,
        lost: Callable[[HttpConnection], None] | None = None,
    ) -> None:
        """`lost` is called once, when the connection has gone. `lenient` takes what browsers and curl take too: lines that end
        in a line feed alone, folded headers, control characters in them, a length beside chunks. Such an answer may be
        read in two ways, so it is for connections that are not used again."""
        self.closed = False
        self.reusable = False
        """The last exchange left the connection as it was before it."""
        self.outdated = False
        """Made by what is no longer configured: after this exchange it is not to be used."""
        self.idle_since = 0.0
        self._loop = asyncio.get_running_loop()
        self._most_body = most_body
        self._cut = cut
        self._lost = lost
        self._parser = httptools.HttpResponseParser(self)
        if lenient:
            self._parser.set_dangerous_leniencies(
                lenient_headers=True, lenient_chunked_length=True, lenient_optional_cr_before_lf=True
            )
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Response] | None = None
        self._used = False
        self._seen = b""
        self._answer: Response | None = None
        self._bodiless = False
        self._begin()

    def _begin(self) -> None:
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._received = 0
        self._has_head = False
        self._until_close = False

    async def exchange(self, head: bytes, body: bytes = b"", *, bodiless: bool = False) -> Response:
        """Send a request; the response, whatever its status. The answer to HEAD is `bodiless`.

        Raises `BadResponse`, `Closed`, or the transport's `OSError`. After any exception, cancellation too, `close` it.
        """
        if self._transport is None or self._transport.is_closing():
            raise Stale("the connection was closed")
        self._begin()
        self._bodiless = bodiless
        self.reusable = False
        self._waiting = self._loop.create_future()
        self._transport.writelines([head, body] if body else [head])
        try:
            return await self._waiting
        finally:
            self._waiting = None
            self._used = True
            self.idle_since = self._loop.time()

    def close(self) -> None:
        """At once, also in the middle of an exchange."""
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is not a subclass

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if self._lost is not None:
            self._lost(self)
        if not self._is_due():
            return
        if self._used and not self._received:
            self._fail(Stale("the connection was closed while it was unused"))
        elif exc is not None:
            self._fail(exc if isinstance(exc, OSError) else ConnectionResetError(str(exc)))
        elif self._until_close:
            self._finish()
        else:
            where = "in the middle of the answer" if self._received else "without an answer"
            self._fail(Closed(f"the connection was closed {where}"))

    def data_received(self, data: bytes) -> None:
        if not self._is_due():  # nothing was asked: 408 from a server that closes, or worse
            self.close()
            return
        if data == self._seen and not self._received and not self._bodiless:
            self._repeat()
            return
        first = not self._received
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.reusable = False  # 101: the answer is complete, what follows is not HTTP
        except httptools.HttpParserError as error:
            self._fail(BadResponse(f"the answer is not HTTP ({error})"))
        if self._received > self._most_body + MAX_HEAD and self._is_due():
            self._too_long()
        if first and len(data) <= SAME and self.reusable and not self._bodiless:
            self._seen = data

    def _repeat(self) -> None:
        """Byte for byte the last answer that was whole and left the connection reusable: it means what it meant."""
        self.reusable = True
        if self._waiting is not None and self._answer is not None:
            self._waiting.set_result(self._answer)

    # The parser's

    def on_message_begin(self) -> None:
        if not self._is_due():
            self.reusable = False  # a second answer to one question

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._is_due():
            self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._has_head = not self._is_interim()
        if not self._has_head:
            return
        chunked = "chunked" in self._headers.get("transfer-encoding", "").lower()
        self._until_close = not chunked and "content-length" not in self._headers
        if self._bodiless:
            self._finish()

    def on_body(self, body: bytes) -> None:
        if not self._is_due():
            return
        self._body += body
        if len(self._body) > self._most_body:
            self._too_long()

    def on_message_complete(self) -> None:
        if self._is_interim():
            self._headers.clear()
        else:
            self._finish(reusable=self._parser.should_keep_alive())

    def _is_interim(self) -> bool:
        """100 and 103; 101 is the last that HTTP says."""
        status = self._parser.get_status_code()
        return 100 <= status < 200 and status != 101

    def _is_due(self) -> bool:
        return self._waiting is not None and not self._waiting.done()

    def _too_long(self) -> None:
        if self._cut and self._has_head:
            del self._body[self._most_body :]
            self._finish(whole=False)
        else:
            self._fail(BadResponse(f"the response is longer than {self._most_body} bytes"))

    def _finish(self, *, reusable: bool = False, whole: bool = True) -> None:
        if self._waiting is None or self._waiting.done():
            return
        self.reusable = reusable
        status = self._parser.get_status_code()
        self._answer = Response(status, self._headers, bytes(self._body), whole)
        self._waiting.set_result(self._answer)

    def _fail(self, error: OSError) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error)
        self.close()
