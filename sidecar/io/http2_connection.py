"""One HTTP/2 connection from the client's side: `logic.http2_client` on a transport."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from typing import cast

import msgspec

from ..logic.http2_client import Client, Exchange
from ..logic.http2_frames import Piece
from ..logic.http2_headers import Fields
from .peer import trouble
from .tls import told

WINDOW = 1 << 20
"""For all responses together; those to telemetry are short."""
UNREAD = 8 << 20
"""Bytes that wait to be written, above which nothing is read: who answers every frame must not be flooded."""

LINGER = 2.0
"""Seconds in which the last that we say must have left."""


class Keepalive(msgspec.Struct, frozen=True):
    """After `interval` seconds in which nothing came a PING is sent; the answer may take `timeout` seconds."""

    interval: float
    timeout: float


class Response(msgspec.Struct, frozen=True):
    head: Fields
    trailers: Fields
    body: bytes


class Unprocessed(ConnectionError):
    """The server has done nothing with the request: it may be sent again at once."""


class TooLong(ConnectionError):
    """The response is longer than we take."""


class Http2Connection(asyncio.Protocol):
    """`ready()` once, then `exchange()` while `http2.free`. `changed` is called when that may have come to be otherwise."""

    def __init__(self, peer: str, most_body: int, keepalive: Keepalive | None, changed: Callable[[], None]) -> None:
        """`peer` is for people."""
        self.http2 = Client(WINDOW)
        self.why = ""
        """Why it ended from our side."""
        self._peer = peer
        self._most_body = most_body
        self._keepalive = keepalive
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._transport: asyncio.Transport | None = None
        self._pulse: asyncio.TimerHandle | None = None
        self._pinged: float | None = None

    async def ready(self) -> None:
        """Wait until the server has greeted. Raises `ConnectionError`; has no deadline of its own."""
        await self._ready

    async def exchange(self, head: bytes, body: Sequence[Piece]) -> Response:
        """The response, whatever it says. Raises `Unprocessed`, `TooLong` or another `ConnectionError`.

        Cancelled, it resets the stream; a connection on which nothing at all has come since the request takes no more.
        """
        call = _Call(self._most_body, self._loop.create_future())
        began = self._loop.time()
        self.http2.request(call, head, body)
        self._flush()
        try:
            return await call.response
        except (asyncio.CancelledError, TooLong):
            self.http2.cancel(call)
            if self.http2.now < began:
                self.http2.retire()
            self._flush()
            self._changed()
            raise

    def retire(self) -> None:
        """Take no more requests; close after the last response."""
        self.http2.retire()
        self._flush()

    def close(self) -> None:
        self.http2.close()
        self._flush()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is not a subclass
        self._transport.set_write_buffer_limits(high=UNREAD)
        tls = transport.get_extra_info("ssl_object")
        if tls is not None and tls.selected_alpn_protocol() != "h2":
            self.why = f"{self._peer} does not speak HTTP/2 over TLS (ALPN h2)"
            self._transport.abort()
            return
        self.http2.now = self._loop.time()
        if self._keepalive is not None:
            self._wake(self._keepalive.interval, self._beat)
        self._flush()

    def data_received(self, data: bytes) -> None:
        http2 = self.http2
        http2.receive(data, self._loop.time())
        self._flush()
        if not self._ready.done() and http2.settled and not http2.ended:
            self._ready.set_result(None)
        self._changed()

    def pause_writing(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._pulse is not None:
            self._pulse.cancel()
        self._transport = None
        if isinstance(exc, ssl.SSLError):
            said = told(exc, self._peer)
        else:
            said = trouble(exc, self._peer).text if isinstance(exc, OSError) else str(exc or "")
        self.http2.lose(self.why or said or "the server has closed the connection")
        if not self._ready.done():
            self._ready.set_exception(ConnectionResetError(self.http2.why))
            self._ready.exception()  # whoever waits is told; nobody has to
        self._changed()

    def _flush(self) -> None:
        """What is to be said, in one write; then the end, when it has come."""
        transport, output = self._transport, self.http2.output
        if transport is None:
            output.clear()
            return
        if output:
            transport.write(b"".join(output))  # cheaper than hundreds of pieces in a system call
            output.clear()
        if self.http2.ended and not transport.is_closing():
            transport.close()
            self._wake(LINGER, transport.abort)

    def _wake(self, after: float, what: Callable[[], None]) -> None:
        if self._pulse is not None:
            self._pulse.cancel()
        self._pulse = self._loop.call_later(after, what)

    def _beat(self) -> None:
        keepalive, transport, now = self._keepalive, self._transport, self._loop.time()
        if keepalive is None or transport is None or transport.is_closing():
            return
        heard = self.http2.now
        if self._pinged is not None and heard < self._pinged:
            self.why = f"no answer to a PING within {keepalive.timeout:g} s"
            transport.abort()
            return
        self._pinged = None
        wait = heard + keepalive.interval - now
        if wait <= 0:
            self._pinged = now
            self.http2.ping()
            self._flush()
            wait = keepalive.timeout
        self._wake(wait, self._beat)


class _Call(Exchange):
    """Gathers the response."""

    __slots__ = ("_body", "_fields", "_most", "response")

    def __init__(self, most: int, response: asyncio.Future[Response]) -> None:
        super().__init__()
        self.response = response
        self._most = most
        self._fields: list[Fields] = []
        self._body = b""

    def on_fields(self, fields: Fields) -> None:
        self._fields.append(fields)

    def on_data(self, data: bytes, start: int, stop: int) -> None:
        if self.response.done():
            return
        self._body += data[start:stop]
        if len(self._body) > self._most:
            self._body = b""
            self.response.set_exception(TooLong(f"the response is longer than {self._most} bytes"))

    def on_end(self) -> None:
        if not self.response.done():
            head, trailers = self._fields[0], self._fields[1] if len(self._fields) > 1 else {}
            self.response.set_result(Response(head, trailers, self._body))

    def on_reset(self) -> None:
        if not self.response.done():
            kind = Unprocessed if self.unprocessed else ConnectionResetError
            self.response.set_exception(kind(self.why))
