"""One HTTP/1.1 connection of the OTLP receiver, on httptools.

The parser calls the `on_` methods; requests that are complete are handled at once and together, and answered in order.
A request whose head repeats the last one (`logic.known_head`) goes past the parser, which then stands between two requests.
After a refusal of a request that is still arriving the connection is *deaf*: it answers what is due, ends its side, and
throws away what comes for a few seconds, so that the client reads the answer instead of a reset.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from http import HTTPStatus
from io import BytesIO
from math import inf
from typing import TYPE_CHECKING, cast

import httptools

from ..io import memory
from ..logic import known_head
from ..logic.known_head import KnownHead
from ..logic.loop import via_of
from ..logic.otlp_http import (
    HOP_HEADER,
    JSON,
    MAX_HOPS,
    OK,
    PATHS,
    PROTOBUF,
    VIA_HEADER,
    Reply,
    refusal,
    reply_as_json,
)
from ..logic.otlp_wire import check_start
from ..logic.protobuf import Malformed
from ..logic.scalars import show_bytes
from ..model.signals import Signal

if TYPE_CHECKING:
    from .http import Receiver

MAX_HEADER = 32 << 10
MAX_CHUNKED = 8 << 20
MAX_PIPELINED = 16
BODY_MAY_TAKE = 60.0
"""Seconds for a whole body, while `body_timeout` is for a pause within it."""
MAX_FRAMING = 1 << 20
"""Bytes around a body in chunks; beyond, there may be 16 for each byte in it."""
LINGER = 5.0
BELIEVED = 1.0
"""Seconds until a head that is known is parsed and checked again: what was checked may have changed."""

_HEADERS = frozenset(
    name.encode()
    for name in (
        "content-type",
        "content-encoding",
        "content-length",
        "transfer-encoding",
        "expect",
        HOP_HEADER,
        VIA_HEADER,
    )
)
_VIA = VIA_HEADER.encode()
_LENGTHS = frozenset(map(len, _HEADERS))
_OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n"
_OK_JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

IDLE, _HEAD, _BODY = range(3)


class Request:
    """A place in the order of a connection's answers. `size` is what it holds of the receiver's bytes in flight; `headers` are
    lines that its answer has beside the usual ones."""

    __slots__ = ("bytes", "close", "connection", "gzip", "headers", "hops", "items", "json", "signal", "size", "via")

    def __init__(self, connection: Connection, like: Request | None = None) -> None:
        """`like` has the same head."""
        self.connection = connection
        if like is None:
            self.signal = Signal.TRACES
            self.gzip = self.json = False
            self.hops = 0
            self.via = ""
            self.headers: tuple[str, ...] = ()
        else:
            self.signal, self.gzip, self.json = like.signal, like.gzip, like.json
            self.hops, self.via, self.headers = like.hops, like.via, like.headers
        self.close = False
        self.items = self.size = 0
        self.bytes: bytes | None = None

    def answer(self, reply: Reply) -> None:
        if reply.status >= 400:
            self.connection.receiver.counters.refuse(reply.status)
        if self.connection.receiver.draining:
            self.close = True
        if reply is OK and not self.close and not self.headers:
            self.bytes = _OK_JSON if self.json else _OK
        else:
            self.bytes = encode(reply, json=self.signal if self.json else None, close=self.close, more=self.headers)
        self.connection.flush()


def encode(reply: Reply, *, json: Signal | None, close: bool, more: Iterable[str] = ()) -> bytes:
    """A response. For a request in JSON, its signal in `json`."""
    body = reply.body if json is None else reply_as_json(reply, json)
    head = [
        f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}",
        f"Content-Type: {(PROTOBUF if json is None else JSON).decode()}",
        f"Content-Length: {len(body)}",
        *more,
    ]
    if reply.retry_after is not None:
        head.append(f"Retry-After: {reply.retry_after}")
    if reply.status == 405:
        head.append("Allow: POST")
    if reply.status == 401:
        head.append("WWW-Authenticate: Bearer")
    if close:
        head.append("Connection: close")
    return "\r\n".join([*head, "", ""]).encode() + body


class Connection(asyncio.Protocol):
    PIPELINE, MEMORY, WRITE = 1, 2, 4  # reasons to read no further

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self.deadline = inf
        """On the loop's clock: when `expire` is due."""
        self.held = 0
        """Bytes of a body that is still arriving."""
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpRequestParser | None = None
        self._loop = asyncio.get_running_loop()
        self._due: deque[Request] = deque()
        self._phase = IDLE
        self._deaf = False
        self._ended = False  # the client has ended its side
        self._paused = 0
        self._request = Request(self)
        self._body: bytes | BytesIO = b""
        self._head_bytes = 0
        self._body_until = inf
        self._unlearned = b""
        """What is being parsed, from the beginning of a request on, while its head may be learned."""
        self._known: KnownHead | None = None
        self._known_until = 0.0
        self._like = self._request
        self._missing = 0
        """Bytes of a body that go past the parser."""
        self._framed = 0
        """Bytes of a body in chunks, with what stands around them."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is not a subclass
        if not self.receiver.joined(self):
            self.receiver.counters.refuse(503)
            self._transport.write(encode(refusal(503, "too many connections", 1), json=None, close=True))
            self._deaf = True
            self._transport.close()
        else:
            self._time()

    def connection_lost(self, exc: Exception | None) -> None:
        self._deaf = True
        self._transport = None
        self._drop_body()
        self._due.clear()
        self.receiver.left(self)

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        rest = data if self._known is None else self._without_known(self._known, data)
        before = self._request if self._phase == _HEAD else None
        self._unlearned = rest if self._phase == IDLE else b""
        while rest and self._listens():
            if self._parser is None:
                self._parser = httptools.HttpRequestParser(self)
            try:
                self._parser.feed_data(rest)
                break
            except httptools.HttpParserUpgrade as upgrade:
                rest = self._without_upgrade() + rest[upgrade.args[0] :]
                self._parser = None
            except httptools.HttpParserCallbackError as error:
                self._failed(error)
                break
            except httptools.HttpParserError as error:
                http2 = "this is HTTP/2: OTLP/gRPC has a port of its own, by default 4317"
                self.refuse(refusal(400, http2 if rest.startswith(b"PRI ") else f"not HTTP/1.1: {error}"))
                break
        self._unlearned = b""
        if self._phase == _HEAD and before is self._request:
            # The parser gathers a whole header before it shows it: what it has been fed counts too.
            self._head_bytes += len(data)
            if self._head_bytes > 2 * MAX_HEADER:
                self.refuse(refusal(431, f"more than {show_bytes(MAX_HEADER)} of headers"))
        elif not self._deaf:
            if self._phase == _BODY and self._length < 0:
                self._framed += len(data)
                if self._framed > MAX_FRAMING + 16 * self.held:
                    self.refuse(refusal(400, "the body has little in its chunks"))
                    return
            self._time()

    def _without_known(self, known: KnownHead, data: bytes) -> bytes:
        """Handle requests of a known head as far as they go; the rest is for the parser."""
        while data and not self._deaf:
            if not self._missing:
                found = known.match(data) if self._phase == IDLE else None
                if found is None or found[1] > self.receiver.config.max_body_bytes:
                    break
                now = self._loop.time()
                if now > self._known_until:
                    self._known = None
                    break
                start, self._missing = found
                data = data[start:]
                self._request = Request(self, self._like)
                self._phase = _BODY
                self._body_until = now + BODY_MAY_TAKE
                self._limit = self.receiver.config.max_body_bytes
                self._length = self._missing
                self._checked = 0
            length = self._missing
            piece, data = (data, b"") if len(data) <= length else (data[:length], data[length:])
            self._missing -= len(piece)
            if piece:
                self.on_body(piece)
            if not self._missing and not self._deaf:
                try:
                    self._complete()
                except Exception as error:  # noqa: BLE001 - as from the parser
                    self._failed(error)
        return b"" if self._deaf else data

    def _failed(self, error: Exception) -> None:
        self._loop.call_exception_handler({"message": "an OTLP request failed on a bug", "exception": error})
        self.refuse(refusal(500, "internal error"))

    def _listens(self) -> bool:
        return not self._deaf

    def eof_received(self) -> bool:
        """True keeps our side open, for the answers that are due."""
        self._ended = True
        if self._phase != IDLE and not self._deaf:
            self.refuse(refusal(400, "the request is cut short"))
        elif self._due:
            self._due[-1].close = True
        # TLS cannot be ended on one side only.
        return bool(self._due) and self._transport is not None and self._transport.can_write_eof()

    def pause_writing(self) -> None:
        self.pause(self.WRITE)

    def resume_writing(self) -> None:
        self.resume(self.WRITE)

    # The parser's

    def on_message_begin(self) -> None:
        self._phase = _HEAD
        self._head_bytes = 0
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._request = Request(self)
        self._checked = self._framed = 0

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._head_bytes += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value)
        if len(name) in _LENGTHS:
            self._headers[name.lower()] = value
        if self._head_bytes > MAX_HEADER:
            self.refuse(refusal(431, f"more than {show_bytes(MAX_HEADER)} of headers"))

    def _without_upgrade(self) -> bytes:
        """An offer of another protocol, which we may ignore (RFC 9110, 7.8); the parser would not read the body. So it is
        given the same head again, as far as it matters, without the offer."""
        lines = [b"POST " + self._url + b" HTTP/1.1", *(b": ".join(header) for header in self._headers.items())]
        return b"\r\n".join([*lines, b"", b""])

    def on_headers_complete(self) -> None:
        if self._deaf or self._upgrades():
            return
        self._phase = _BODY
        self._body_until = self._loop.time() + BODY_MAY_TAKE
        reply = self._check()
        if reply is not None:
            self.refuse(reply)
            return
        if self._unlearned:
            self._learn()
        if self._headers.get(b"expect", b"").lower() == b"100-continue":
            early = Request(self)
            early.bytes = _CONTINUE
            self._due.append(early)
            self.flush()

    def _learn(self) -> None:
        """The head of the first request in what is being parsed: the next ones may be told by it."""
        data, self._unlearned = self._unlearned, b""
        parser, headers = self._parser, self._headers
        usual = b"expect" not in headers and b"transfer-encoding" not in headers and self._length >= 0
        keeps = parser is not None and parser.should_keep_alive() and not parser.should_upgrade()
        self._known = known_head.learn(data) if usual and keeps else None
        self._known_until = self._loop.time() + BELIEVED
        self._like = self._request

    def _check(self) -> Reply | None:
        """What can be said before the body has come."""
        headers = self._headers
        request = self._request
        content_type = headers.get(b"content-type", b"")
        if content_type != PROTOBUF:
            content_type = content_type.partition(b";")[0].strip().lower()
            request.json = content_type == JSON
        signal = PATHS.get(self._url.partition(b"?")[0])
        if signal is None:
            return refusal(404, "no such path, expected /v1/traces, /v1/metrics or /v1/logs")
        request.signal = signal
        if self._parser is None or self._parser.get_method() != b"POST":
            return refusal(405, "the method is not POST")
        if content_type not in (PROTOBUF, JSON):
            kind = content_type.decode("latin-1") or "nothing"
            return refusal(415, f"the content type is {kind}, expected application/x-protobuf or application/json")
        encoding = headers.get(b"content-encoding", b"").strip().lower()
        if encoding == b"gzip":
            request.gzip = True
        elif encoding not in (b"", b"identity", b"none"):
            return refusal(415, f"the content encoding is {encoding.decode('latin-1')}, expected gzip or identity")
        length = headers.get(b"content-length")
        limit = self.receiver.config.max_body_bytes
        if length is not None and int(length) > limit:
            return refusal(413, f"the body has {int(length)} bytes, more than {show_bytes(limit)}")
        self._limit = min(limit, MAX_CHUNKED) if length is None else limit
        self._length = -1 if length is None else int(length)
        hops = headers.get(HOP_HEADER.encode(), b"0")
        request.hops = int(hops) if hops.isdigit() and len(hops) < 4 else 0
        if request.hops > MAX_HOPS:
            return refusal(508, f"this request has been through {request.hops} Outriders: their upstreams form a loop")
        request.via = via_of(headers.get(_VIA, b""))
        return None

    def on_body(self, body: bytes) -> None:
        if self._deaf:
            return
        self.held += len(body)
        if not self.receiver.arrived(self, len(body)):
            return
        if self.held > self._limit:
            self._refuse_long()
        elif len(body) == self._length:
            self._body = body  # all at once, as most are
        else:
            self._gather(body)

    def _gather(self, body: bytes) -> None:
        if not isinstance(self._body, BytesIO):
            self._body = BytesIO()
        elif self.held > 1 << 20:
            memory.map_large_blocks()
        self._body.write(body)
        if self._request.gzip or self._request.json:
            return
        try:
            with self._body.getbuffer() as view:
                self._checked = check_start(view, self._checked)
        except Malformed as error:
            self.refuse(refusal(400, f"the body is not an OTLP request: {error}"))
            return
        if self._checked > self._limit:
            self._refuse_long()
        elif self._checked > self._length >= 0:
            self.refuse(refusal(400, "the body is not an OTLP request: a field reaches over its end"))

    def _refuse_long(self) -> None:
        what = "without Content-Length " if self._length < 0 else ""
        self.refuse(refusal(413, f"the body {what}has more than {show_bytes(self._limit)}"))

    def _upgrades(self) -> bool:
        parser = self._parser
        return parser is not None and parser.should_upgrade() and parser.get_method() == b"POST"

    def on_message_complete(self) -> None:
        if self._deaf or self._parser is None or self._upgrades():
            return
        if not self._parser.should_keep_alive():
            self._request.close = True
            self._known = None
        self._complete()

    def _complete(self) -> None:
        """The request that was arriving is whole."""
        self._phase = IDLE
        request, body = self._request, self._body
        self._body = b""
        self.held = 0
        self._due.append(request)
        if len(self._due) >= MAX_PIPELINED:
            self.pause(self.PIPELINE)
        self.receiver.handle(request, body.getvalue() if isinstance(body, BytesIO) else body)

    # Answers

    def flush(self) -> None:
        """Write the answers that are ready, in order."""
        due, transport = self._due, self._transport
        if transport is None:
            return
        while due and (answer := due[0].bytes) is not None:
            request = due.popleft()
            transport.write(answer)
            if request.close:
                due.clear()
                self._end()
                return
        if self._paused & self.PIPELINE and len(due) < MAX_PIPELINED // 2:
            self.resume(self.PIPELINE)
        if not due and self._phase == IDLE:
            self.deadline = self._loop.time() + self.receiver.config.idle_timeout

    def refuse(self, reply: Reply) -> None:
        """Answer the request that is arriving, after those before it, and listen no more."""
        if self._deaf:
            return
        self._deaf = True
        request = self._request if self._phase != IDLE else Request(self)
        request.close = True
        self._drop_body()
        self._due.append(request)
        request.answer(reply)

    def _drop_body(self) -> None:
        self._body = b""
        held, self.held = self.held, 0
        self.receiver.freed(held)

    def _end(self) -> None:
        """Nothing more will be said."""
        transport = self._transport
        if transport is None:
            return
        if self._deaf and not self._ended and transport.can_write_eof():
            self.deadline = self._loop.time() + LINGER
            transport.write_eof()
            if self._paused:
                self._paused = 0
                transport.resume_reading()
        else:
            self._deaf = True
            transport.close()

    def drain(self) -> None:
        if not self._due and self._phase == IDLE and self._transport is not None:
            self._deaf = True
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # Time and pauses

    def _time(self) -> None:
        now = self._loop.time()
        config = self.receiver.config
        if self._phase == _HEAD:
            self.deadline = now + config.header_timeout
        elif self._phase == _BODY:
            self.deadline = min(now + config.body_timeout, self._body_until)
        elif self._due:
            self.deadline = inf
        else:
            self.deadline = now + config.idle_timeout
        if self._paused & self.MEMORY:
            self.deadline = inf

    def expire(self) -> None:
        """The deadline has passed."""
        if self._deaf or self._paused & self.WRITE:
            self.abort()
        elif self._phase == IDLE:
            self.drain()
        else:
            what = "headers" if self._phase == _HEAD else "body"
            self.refuse(refusal(408, f"the {what} took too long"))

    def pause(self, reason: int) -> None:
        if not self._paused and self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()
        self._paused |= reason
        if reason == self.MEMORY:
            self.deadline = inf
        elif reason == self.WRITE:
            self.deadline = self._loop.time() + self.receiver.config.idle_timeout

    def resume(self, reason: int) -> None:
        if not self._paused & reason:
            return
        self._paused &= ~reason
        if reason == self.MEMORY:
            self._body_until = self._loop.time() + BODY_MAY_TAKE
        if not self._paused and self._transport is not None and not self._deaf:
            self._transport.resume_reading()
            self._time()
