"""One connection of the OTLP/gRPC receiver: HTTP/2 and gRPC by `logic`, what is received by `http.Receiver`.

Answers that become ready together leave in one write. A connection that has been failed is *deaf*: it has said so with
GOAWAY, ends its side, and throws away what comes for a few seconds, so that the client reads the reason.
"""

from __future__ import annotations

import asyncio
from functools import partial
from math import inf
from typing import TYPE_CHECKING, cast

import msgspec

from ..io.bearer import Bearer
from ..logic import grpc, http2_server
from ..logic.http2_frames import PREFACE, Code, Fault
from ..logic.http2_stream import Answer
from ..logic.otlp_http import Reply, refusal
from .grpc_request import Request

if TYPE_CHECKING:
    from .http import Receiver

LINGER = 5.0
MAX_LINE = 8 << 10
"""Bytes of an HTTP/1.1 request line, before it is taken for garbage."""


class Connection(asyncio.Protocol):
    """`Connection(receiver)` for each connection: the factory for `Listener` and `create_server`. With a `bearer` an export
    must bring a token of it; the health check need not."""

    MEMORY, WRITE = 1, 2  # reasons to read no further

    def __init__(self, receiver: Receiver, bearer: Bearer | None = None) -> None:
        self.receiver = receiver
        self.deadline = inf
        self.held = 0
        self.http2: http2_server.Server[grpc.Call] = http2_server.Server(
            grpc.call,
            partial(Request, self)
            if bearer is None
            else (lambda number, call: Request(self, number, _admitted(call, bearer))),
            receiver.config.max_in_flight_bytes,
            grpc.TIMEOUT,
        )
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._greeting_until = self._loop.time() + receiver.config.header_timeout
        self._first = b""
        self._begun = False  # it speaks HTTP/2, or begins to
        self._deaf = False
        self._ended = False  # the client has ended its side
        self._reading = self._flushing = False
        self._paused = 0
        self._draining_until = inf
        self._stalled: tuple[float, int] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is not a subclass
        if self.receiver.joined(self):
            self.deadline = self._greeting_until
        else:
            self.receiver.counters.refuse(503)
            self.http2.fail(Fault(Code.REFUSED_STREAM, "too many connections"))
            self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._deaf = True
        self._transport = None
        self.http2.lose()
        self.receiver.left(self)

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        if not self._begun:
            data = self._first + data
            if self._is_http1(data):
                return
        now = self._loop.time()
        self._reading = True
        try:
            self.http2.receive(data, now)
        finally:
            self._reading = False
            self._flush()
        if self.deadline > now and not self._paused and (self.http2.streams or self.http2.half_heard):
            self.deadline = now  # the next sweep looks closer

    def _is_http1(self, data: bytes) -> bool:
        """Wait until it is clear what is spoken; an HTTP/1.1 client hears that it is at the wrong port."""
        if PREFACE.startswith(data[: len(PREFACE)]):
            self._begun = len(data) >= len(PREFACE)
            self._first = b"" if self._begun else data
            return not self._begun
        line, end, _ = data.partition(b"\r\n")
        if not end and len(data) < MAX_LINE and data[:1].isalpha():
            self._first = data
            return True
        if line.rpartition(b" ")[2].startswith(b"HTTP/1.") and self._transport is not None:
            self.receiver.counters.refuse(505)
            self._transport.write(grpc.http1_answer())
            self._end(failed=True)
            return True
        self._begun = True  # and will fail
        return False

    def eof_received(self) -> bool:
        """True keeps our side open, for the answers that are due."""
        self._ended = True
        self.http2.drain()
        for stream in [stream for stream in self.http2.streams.values() if not stream.ended]:
            self.http2.reset(stream.id, Code.CANCEL)
        # TLS cannot be ended on one side only.
        return (
            bool(self.http2.streams)
            and not self._deaf
            and self._transport is not None
            and self._transport.can_write_eof()
        )

    def pause_writing(self) -> None:
        self.pause(self.WRITE)

    def resume_writing(self) -> None:
        self.resume(self.WRITE)

    # Answers

    def answer(self, request: Request, answer: Answer) -> None:
        self.http2.answer(request, answer)
        if not self._reading and not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        connection, transport = self.http2, self._transport
        if transport is None:
            return
        if connection.output:
            transport.write(b"".join(connection.output))
            connection.output.clear()
        if connection.ended or (self._ended and not connection.streams):
            self._end(failed=connection.failed)

    def _end(self, *, failed: bool) -> None:
        """Nothing more will be said."""
        transport = self._transport
        if transport is None or self._deaf:
            return
        self._deaf = True
        if failed and not self._ended and transport.can_write_eof():
            self.deadline = self._loop.time() + LINGER
            transport.write_eof()
            if self._paused:
                self._paused = 0
                transport.resume_reading()
        else:
            transport.close()

    def refuse(self, reply: Reply) -> None:
        """The largest unfinished message of this connection gives its bytes back."""
        unfinished = [cast("Request", stream) for stream in self.http2.streams.values() if not stream.ended]
        if unfinished:
            max(unfinished, key=lambda request: request.held).answer(reply)

    def drain(self) -> None:
        if self._deaf:
            return
        self._draining_until = min(self._draining_until, self._loop.time() + LINGER)
        self.deadline = min(self.deadline, self._draining_until)
        self.http2.drain()
        self._flush()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # Time and pauses

    def expire(self) -> None:
        """Look what takes too long; called by the receiver's sweep, once a second at most."""
        now = self._loop.time()
        connection, config = self.http2, self.receiver.config
        if self._deaf or self._paused & self.WRITE:
            self.abort()
            return
        if self._paused:
            self.deadline = inf
            return
        if not connection.greeted:
            self.deadline = self._greeting_until
            if self._greeting_until < now:
                self.abort()
            return
        if connection.half_heard and connection.heard + config.header_timeout < now:
            connection.fail(Fault(Code.ENHANCE_YOUR_CALM, "a frame or header block took too long"))
        elif self._is_stalled(now):
            connection.fail(Fault(Code.ENHANCE_YOUR_CALM, "the answers are not read: windows stay closed"))
        elif not connection.streams and self._draining_until < now:
            connection.ended = True
        elif not connection.streams and not connection.half_heard and connection.heard + config.idle_timeout < now:
            self.drain()
        for stream in list(connection.streams.values()):
            cast("Request", stream).expire(now)
        self._flush()
        if connection.ended:
            return  # `_end` has said when
        if connection.streams or connection.half_heard:
            self.deadline = now
        else:
            self.deadline = min(self._draining_until, connection.heard + config.idle_timeout)

    def _is_stalled(self, now: float) -> bool:
        """Have answers waited for the client's windows for `body_timeout`, and none has left meanwhile?"""
        unblocked = self.http2.sending.unblocked
        if not self.http2.sending.waiting:
            self._stalled = None
        elif self._stalled is None or self._stalled[1] != unblocked:
            self._stalled = now, unblocked
        else:
            return self._stalled[0] + self.receiver.config.body_timeout < now
        return False

    def pause(self, reason: int) -> None:
        if not self._paused and self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()
        self._paused |= reason
        if self._paused & self.WRITE:
            self.deadline = self._loop.time() + self.receiver.config.idle_timeout
        else:
            self.deadline = inf

    def resume(self, reason: int) -> None:
        if not self._paused & reason:
            return
        self._paused &= ~reason
        if self._paused or self._transport is None or self._deaf:
            return
        self._transport.resume_reading()
        now = self.http2.heard = self._loop.time()
        self.deadline = now + self.receiver.config.header_timeout
        for stream in self.http2.streams.values():  # the pause was ours
            request = cast("Request", stream)
            request.opened, request.heard = now if request.call.timeout is None else request.opened, now


def _admitted(call: grpc.Call, bearer: Bearer) -> grpc.Call:
    """The call, or its refusal. Not with the header block, which is kept: tokens rotate."""
    if call.kind != "export" or (problem := bearer.problem(call.authorization)) is None:
        return call
    status, why = problem
    refused = refusal(status, why, 1 if status == 503 else None)
    return msgspec.structs.replace(call, kind="refused", refusal=refused)
