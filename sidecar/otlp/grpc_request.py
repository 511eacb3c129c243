"""One call on a connection of the OTLP/gRPC receiver: from its frames to a whole message, and from a reply to its answer."""

from __future__ import annotations

from io import BytesIO
from math import inf
from typing import TYPE_CHECKING

from ..io import memory
from ..logic import grpc
from ..logic.http2_stream import Answer, Stream
from ..logic.otlp_http import OK, Reply, refusal
from ..logic.scalars import show_bytes

if TYPE_CHECKING:
    from .grpc import Connection

BODY_MAY_TAKE = 60.0
"""Seconds for a whole message, while `body_timeout` is for a pause within it."""
LARGE = 1 << 20
MAX_FOREIGN = 64 << 10
"""Bytes of a request that is not gRPC, thrown away before it is answered in the midst."""


class Request(Stream):
    """A call on its way: its message is gathered, then handed to the receiver. `held` is what of it has arrived."""

    __slots__ = (
        "_body",
        "_prefix",
        "_wanted",
        "call",
        "close",
        "connection",
        "gzip",
        "heard",
        "held",
        "hops",
        "items",
        "json",
        "opened",
        "signal",
        "size",
        "via",
    )

    def __init__(self, connection: Connection, number: int, call: grpc.Call) -> None:
        super().__init__(number, call.expected)
        self.call = call
        self.connection = connection
        self.signal = call.signal
        self.hops = call.hops
        self.via = call.via
        self.gzip = self.json = self.close = False
        self.items = self.size = self.held = 0
        self.opened = self.heard = connection.http2.now
        self._prefix = b""
        self._wanted = -1  # the message's length, once it is known
        self._body: bytes | BytesIO = b""

    def on_data(self, data: bytes, start: int, stop: int) -> None:
        connection = self.connection
        self.heard = connection.http2.now
        if self.call.refusal is not None:
            if self.call.kind != "foreign" or self.received > MAX_FOREIGN:
                self._refuse_call(self.call.refusal)
            return
        if self._wanted < 0:
            if self._prefix or stop - start < grpc.PREFIX:
                data, start = self._prefix + data[start:stop], 0
                stop = len(data)
                if stop < grpc.PREFIX:
                    self._prefix = data
                    return
            if not self._begin(data[start], int.from_bytes(data[start + 1 : start + grpc.PREFIX], "big")):
                return
            start += grpc.PREFIX
        size = stop - start
        if not size:
            return
        self.held += size
        connection.held += size
        if not connection.receiver.arrived(connection, size) and self.id not in connection.http2.streams:
            return
        if self.held > self._wanted:
            self.answer(refusal(400, "more than one message, expected one"))
        elif size == self._wanted:
            self._body = data[start:stop]  # all at once, as most are
        else:
            if not isinstance(self._body, BytesIO):
                self._body = BytesIO()
            self._body.write(memoryview(data)[start:stop])

    def _begin(self, compressed: int, size: int) -> bool:
        """The message's prefix; False: refused."""
        limit = self.connection.receiver.config.max_body_bytes
        if compressed > 1 or (compressed and not self.call.gzip):
            self.answer(refusal(400, "the message is marked as compressed, and grpc-encoding names no compression"))
            return False
        if size > limit:
            self.answer(refusal(413, f"the message has {size} bytes, more than {show_bytes(limit)}"))
            return False
        self._wanted = size
        self.gzip = bool(compressed)
        if size > LARGE:
            memory.map_large_blocks()
        return True

    def on_end(self) -> None:
        connection, held, body = self.connection, self.held, self._body
        self.held = 0
        self._body = b""
        connection.held -= held
        if self.call.refusal is not None:
            self._refuse_call(self.call.refusal)
        elif held != self._wanted:
            connection.receiver.freed(held)
            self.answer(refusal(400, "the message is cut short" if self._prefix or held else "no message"))
        else:
            message = body.getvalue() if isinstance(body, BytesIO) else body
            if self.call.kind == "export":
                connection.receiver.handle(self, message)
            else:
                connection.receiver.freed(held)
                connection.answer(self, grpc.check_health(message))

    def on_reset(self) -> None:
        held, self.held = self.held, 0
        self._body = b""
        self.connection.held -= held
        self.connection.receiver.freed(held)

    def answer(self, reply: Reply) -> None:
        """Also before it is whole: then what still comes of it is thrown away."""
        if reply is OK:
            self.connection.answer(self, grpc.ANSWER_OK)
            return
        if reply.status >= 400:
            self.connection.receiver.counters.refuse(reply.status)
        self.connection.answer(self, grpc.answer(reply))

    def _refuse_call(self, known: Reply | Answer) -> None:
        if isinstance(known, Reply):
            self.answer(known)
        else:
            self.connection.receiver.counters.refuse(404 if self.call.kind == "refused" else 415)
            self.connection.answer(self, known)

    def expire(self, now: float) -> None:
        """Refuse it when it has taken too long."""
        config = self.connection.receiver.config
        limit = inf if self.call.timeout is None else self.opened + self.call.timeout
        if not self.ended:
            until = min(self.heard + config.body_timeout, self.opened + BODY_MAY_TAKE)
            if until < min(now, limit):
                self.answer(refusal(408, "the message took too long"))
                return
        if limit < now:
            self.connection.receiver.counters.refuse(408)
            self.connection.answer(self, grpc.TOO_LATE)
