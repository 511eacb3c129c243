"""One connection of the HTTP server, on httptools.

The parser calls the `on_` methods; one task answers what is due, in order. After a refusal of what is still arriving the
connection is *deaf*: it ends its side and throws away what comes for a while, so that the client reads the answer and not a
reset.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple, cast
from urllib.parse import parse_qsl, unquote

import httptools

from ..logic.http_message import Request, Response, encode, problem

if TYPE_CHECKING:
    from .http_server import HttpServer

MAX_HEAD = 16 << 10
MAX_PIPELINED = 16
"""Requests that wait on one connection for the answers before theirs; one more is refused."""
LINGER = 2.0
"""Seconds in which input is thrown away after a refusal."""


class _Refusal(Exception):
    """Raised through the parser, which stops at it."""

    def __init__(self, response: Response) -> None:
        self.response = response


class _Due(NamedTuple):
    what: Request | Response
    bodiless: bool = False
    is_last: bool = False


class Connection(asyncio.Protocol):
    def __init__(self, server: HttpServer) -> None:
        self.serving: asyncio.Task[None] | None = None
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpRequestParser | None = None
        self._due: deque[_Due] = deque()
        self._writable = asyncio.Event()
        self._writable.set()
        self._timer: asyncio.TimerHandle | None = None
        self._deaf = False  # what else comes is thrown away
        self._refused = False
        self._ended = False  # the client has ended its side
        self._arriving = False  # the head of a request
        self._heads = 0
        self._fed = 0
        self._head_until = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is not a subclass
        if not self._server.joined(self):
            full = problem(503, "too many connections", {"Retry-After": "1"})
            self._transport.write(encode(full, time.time(), is_last=True))
            self._end()
        else:
            self._time()

    def connection_lost(self, exc: Exception | None) -> None:
        self._deaf = True
        self._transport = None
        self._server.left(self)
        if self._timer is not None:
            self._timer.cancel()
        if self.serving is not None:
            self.serving.cancel()

    def data_received(self, data: bytes) -> None:
        heads, was_arriving, rest = self._heads, self._arriving, data
        while rest and not self._deaf:
            if self._parser is None:
                self._parser = httptools.HttpRequestParser(self)
            try:
                self._parser.feed_data(rest)
                break
            except httptools.HttpParserUpgrade as upgrade:  # an offer, which we may ignore (RFC 9110, 7.8)
                rest, self._parser = rest[upgrade.args[0] :], None
            except httptools.HttpParserCallbackError as error:
                if not isinstance(error.__context__, _Refusal):
                    raise
                self._refuse(error.__context__.response)
            except httptools.HttpParserError as error:
                if not self._deaf:  # else it is data after `Connection: close`
                    self._refuse(problem(400, f"not HTTP/1.1: {error}"))
        if was_arriving and self._arriving and heads == self._heads:
            # The parser gathers a whole header before it shows it: what it has been fed counts too.
            self._fed += len(data)
            if self._fed > 2 * MAX_HEAD:
                self._refuse(_too_large())

    def eof_received(self) -> bool:
        """True keeps our side open, for the answers that are due."""
        self._ended = True
        if self._arriving and not self._deaf:
            self._refuse(problem(400, "the request is cut short"))
        # TLS cannot be ended on one side only.
        return self.serving is not None and self._transport is not None and self._transport.can_write_eof()

    def pause_writing(self) -> None:
        """Who does not take answers is asked for no more requests."""
        self._writable.clear()
        if self._transport is not None:
            self._transport.pause_reading()
        self._time()

    def resume_writing(self) -> None:
        self._writable.set()
        if self._transport is not None:
            self._transport.resume_reading()
        self._time()

    # The parser's

    def on_message_begin(self) -> None:
        self._arriving = True
        self._heads += 1
        self._fed = self._size = 0
        self._url = b""
        self._headers: dict[str, str] = {}
        self._head_until = self._loop.time() + self._server.limits.header_timeout
        self._time()

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._grow(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._grow(len(name) + len(value) + 4)
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > MAX_HEAD:
            raise _Refusal(_too_large())

    def on_headers_complete(self) -> None:
        if self._parser is None or self._parser.get_method() not in (b"GET", b"HEAD"):
            raise _Refusal(problem(405, "the method is not GET or HEAD", {"Allow": "GET, HEAD"}))
        if self._headers.get("content-length", "0").strip("0") or "transfer-encoding" in self._headers:
            raise _Refusal(problem(413, "requests have no body here"))

    def on_message_complete(self) -> None:
        if self._parser is None:
            return
        self._arriving = False
        if len(self._due) >= MAX_PIPELINED:
            raise _Refusal(problem(429, "too many requests wait on this connection"))
        try:
            url = httptools.parse_url(self._url)
            path = unquote((url.path or b"/").decode())
            query = tuple(parse_qsl((url.query or b"").decode(), keep_blank_values=True))
        except (httptools.HttpParserInvalidURLError, ValueError):
            raise _Refusal(problem(400, "the URL is not valid")) from None
        # HTTP/1.0 would need to be told that its connection is kept.
        is_last = not self._parser.should_keep_alive() or self._parser.get_http_version() != "1.1"
        self._deaf = self._deaf or is_last
        self._answer(_Due(Request(path, query, self._headers), self._parser.get_method() == b"HEAD", is_last))

    # Answers

    def _refuse(self, response: Response) -> None:
        """Answer the request that is arriving, after those before it, and listen no more."""
        self._deaf = self._refused = True
        self._arriving = False
        self._answer(_Due(response, is_last=True))

    def _answer(self, due: _Due) -> None:
        self._due.append(due)
        if self.serving is None:
            self.serving = self._loop.create_task(self._serve())
            self._time()

    async def _serve(self) -> None:
        while self._due and self._transport is not None:
            due = self._due.popleft()
            response = due.what if isinstance(due.what, Response) else await self._server.answer(due.what)
            is_last = due.is_last or self._server.closing
            self._transport.write(encode(response, time.time(), bodiless=due.bodiless, is_last=is_last))
            if is_last:
                self._due.clear()
                self._end()
                break
            await self._writable.wait()
        self.serving = None
        if self._ended or self._server.closing:
            self._end()
        self._time()

    def _end(self) -> None:
        """Nothing more will be said; what was said is given time to be taken."""
        self._deaf = True
        if self._transport is None or self._transport.is_closing():
            return
        if self._refused and not self._ended and self._transport.can_write_eof():
            self._transport.write_eof()
            self._transport.resume_reading()
        else:
            self._transport.close()
        self._time()

    def drain(self) -> None:
        if self.serving is None:
            self._end()

    def abort(self) -> None:
        self._server.unused.pop(self, None)
        if self._transport is not None:
            self._transport.abort()

    # Time

    def _time(self) -> None:
        """One timer, for what is waited for now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        limits, now = self._server.limits, self._loop.time()
        if self._transport is None or self._deaf or self.serving is not None or not self._writable.is_set():
            self._server.unused.pop(self, None)
        else:
            self._server.unused.setdefault(self)  # who has begun a request keeps the place
        if self._transport is None:
            return
        if not self._writable.is_set():
            self._timer = self._loop.call_at(now + limits.write_timeout, self.abort)
        elif self._deaf and self.serving is None:
            self._timer = self._loop.call_at(now + (LINGER if self._refused else limits.write_timeout), self.abort)
        elif self._arriving:
            late = problem(408, "the headers took too long")
            self._timer = self._loop.call_at(self._head_until, self._refuse, late)
        elif self.serving is None:
            self._timer = self._loop.call_at(now + limits.idle_timeout, self._end)


def _too_large() -> Response:
    return problem(431, f"more than {MAX_HEAD >> 10} KiB of headers")
