"""The client's side of an HTTP/2 connection for unary calls. RFC 9113.

::

    request(exchange, head, body) ──> output          on_fields (head), on_data, on_fields (trailers), on_end
                                                      or on_reset: `why`, and was it `unprocessed`?

A request is handed over whole. Its response may come before all of it has left, and ends it. Header blocks go out as literals
without a table, so one block serves every connection.

The server says how many streams it takes, and with GOAWAY when it takes no more: `open` is whether a request may begin.
Those that it says it has not looked at (GOAWAY's last stream, REFUSED_STREAM) may be sent again elsewhere at once (section
8.7).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import cast

from . import http2
from . import http2_frames as f
from .http2_frames import Code, Fault
from .http2_headers import Fields, HeaderBlocks, Malformed, response
from .http2_stream import Answer, Stream

LAST_STREAM = (1 << 31) - 1
NO_TABLE = b"\x20"
"""A header block's first byte where the server wants a smaller table: we use none (RFC 7541, sections 4.2 and 6.3)."""
MAX_DEBUG = 200


class Exchange(Stream):
    """A request that is on its way, and its response."""

    __slots__ = ("headed", "unprocessed", "why")

    def __init__(self) -> None:
        super().__init__(0, 0)  # no body may come before a head has
        self.headed = False
        self.unprocessed = False
        """The server has done nothing with it, or it was never sent."""
        self.why = ""

    @abstractmethod
    def on_fields(self, fields: Fields) -> None:
        """The response's head, with `:status`; then its trailers, if it has any."""


class Client(http2.Connection[Fields]):
    """Of the windows, `window` is for all responses together."""

    ours = {f.ENABLE_PUSH: 0}
    calm = 10_000.0
    """grpc-go measures the bandwidth with a PING for each round trip in which we have sent anything."""

    def __init__(self, window: int) -> None:
        super().__init__(HeaderBlocks(lambda fields: fields, response), window)
        self.most_streams = f.MAX_WINDOW
        self.why = ""
        """Why no more requests are taken."""
        self.calmed = False
        """The server has asked us to calm down, by GOAWAY."""
        self._next = 1
        self._shrunk = False
        self.output.append(f.PREFACE)
        self._greet()

    @property
    def settled(self) -> bool:
        """The server has said its SETTINGS."""
        return self._settled

    @property
    def open(self) -> bool:
        """May a request begin, sooner or later?"""
        return not self.ended and not self._drained and self._next <= LAST_STREAM

    @property
    def free(self) -> bool:
        """May a request begin now?"""
        return self.open and self._settled and len(self.streams) < self.most_streams

    # Out

    def request(self, exchange: Exchange, head: bytes, body: Sequence[f.Piece]) -> None:
        """Only while `free`. `head` is an encoded block of at most `LEAST_FRAME` bytes; `body` is kept until
        it has left, not copied."""
        exchange.id = self._last = self._next
        self._next += 2
        self.streams[exchange.id] = exchange
        if self._shrunk:
            self._shrunk = False
            head = NO_TABLE + head
        if sum(map(len, body)) <= f.LEAST_FRAME:
            self.sending.send(exchange, Answer(head, b"".join(body)))
        else:
            self.sending.hold(exchange, head, [memoryview(piece) for piece in body])
        self._resume()

    def ping(self) -> None:
        self.output.append(f.frame(f.PING, 0, 0, bytes(8)))

    def cancel(self, exchange: Exchange) -> None:
        """Nobody waits for the response any more."""
        if self.streams.get(exchange.id) is exchange:
            self.reset(exchange.id, Code.CANCEL)

    def retire(self) -> None:
        """Take no more requests; `ended` follows the last response."""
        self._drained = True
        self._end_if_drained()

    def close(self) -> None:
        """Say goodbye; what is under way is lost."""
        if not self.ended:
            self.output.append(f.goaway(0, Code.NO_ERROR))
            self.lose("closed")

    def _sent(self, stream: Stream) -> None:
        """The response is to come."""

    # In

    def receive(self, data: bytes, now: float) -> None:
        if not self._settled and (self._rest + data).startswith(b"HTTP/"):
            self.why = "the server speaks HTTP/1, expected HTTP/2: is this the port for gRPC?"
            super().fail(Fault(Code.PROTOCOL_ERROR, "HTTP/1"))
        super().receive(data, now)

    def _headers(self, number: int, block: bytes, ends: bool) -> None:
        exchange = cast("Exchange | None", self.streams.get(number))
        if exchange is None:
            self._headers_late(number, block, None)
            return
        try:
            fields = self._blocks.read(block)
        except Malformed as error:
            raise Fault(Code.PROTOCOL_ERROR, str(error), number) from None
        status = fields.get(b":status")
        if exchange.headed:
            if status is not None or not ends:
                raise Fault(Code.PROTOCOL_ERROR, "trailers with a status, or that do not end the stream", number)
        elif status is None:
            raise Fault(Code.PROTOCOL_ERROR, "a head without :status", number)
        elif status[:1] == b"1":
            if ends:
                raise Fault(Code.PROTOCOL_ERROR, "an interim response that ends the stream", number)
            self._idle()
            return
        else:
            exchange.headed = True
            exchange.expected = int(fields.get(b"content-length", b"-1"))
        exchange.on_fields(fields)
        if ends:
            self._end(exchange)

    def _end(self, stream: Stream) -> None:
        if not cast("Exchange", stream).headed:
            raise Fault(Code.PROTOCOL_ERROR, "a response without a head", stream.id)
        super()._end(stream)
        if stream.id not in self.streams:
            return
        if self.sending.waiting.pop(stream.id, None):  # answered before all of it was said
            self.output.append(f.rst_stream(stream.id, Code.NO_ERROR))
        self._forget(stream.id)

    def reset(self, number: int, code: Code) -> None:
        stream = self.streams.get(number)
        if stream is not None:
            cast("Exchange", stream).why = f"the response breaks HTTP/2's rules ({code.name})"
        super().reset(number, code)

    def _on_reset(self, stream: Stream, code: int) -> None:
        name = Code(code).name if code in {*Code} else str(code)
        self._lose(cast("Exchange", stream), f"the server has reset the stream ({name})", code == Code.REFUSED_STREAM)

    def _on_setting(self, key: int, value: int) -> None:
        if key == f.MAX_CONCURRENT_STREAMS:
            self.most_streams = value
        elif key == f.MAX_FRAME_SIZE:
            self.sending.largest = value
        elif key == f.HEADER_TABLE_SIZE:
            self._shrunk = True
        elif key == f.ENABLE_PUSH and value:
            raise Fault(Code.PROTOCOL_ERROR, "ENABLE_PUSH from a server")

    def _on_pong(self, payload: bytes) -> None:
        """Its arrival says enough."""

    def _on_goaway(self, payload: bytes) -> None:
        if len(payload) < 8:
            raise Fault(Code.FRAME_SIZE_ERROR, "GOAWAY")
        last, code = int.from_bytes(payload[:4], "big") & f.MAX_WINDOW, int.from_bytes(payload[4:8], "big")
        said = payload[8 : 8 + MAX_DEBUG].decode("ascii", "replace")
        self.calmed = code == Code.ENHANCE_YOUR_CALM
        self.why = f"the server takes no more requests on this connection (code {code})" + (f": {said}" if said else "")
        self._drained = True
        for number, stream in list(self.streams.items()):
            if number > last:
                self._lose(cast("Exchange", stream), self.why, unprocessed=True)
        self._end_if_drained()

    def _lose(self, exchange: Exchange, why: str, unprocessed: bool) -> None:
        exchange.why, exchange.unprocessed = why, unprocessed
        self.sending.waiting.pop(exchange.id, None)
        self._forget(exchange.id)
        exchange.on_reset()

    # The end

    @property
    def _taken(self) -> int:
        return 0

    def fail(self, fault: Fault) -> None:
        self.why = f"the server breaks HTTP/2's rules: {fault}"
        super().fail(fault)

    def lose(self, why: str = "the connection was lost") -> None:
        """The connection is no more, and nobody knows what became of its requests."""
        self.why = self.why or why
        for stream in self.streams.values():
            cast("Exchange", stream).why = self.why
        super().lose()
