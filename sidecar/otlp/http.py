"""The OTLP receiver: what is shared by all its connections, of OTLP/HTTP (`connection`) and of OTLP/gRPC (`grpc`).

A request in protobuf is counted, its framing checked and its Resources completed, nothing more; one in JSON becomes protobuf
first. Its batch is handed to `take`; the answer to that is the answer to the client. Every refusal carries a `google.rpc.Status`.

What is bounded, and what happens there:

- a body, also after inflating and as protobuf: 413, at the headers where Content-Length tells. A body of undeclared
  length (chunked) may have `MAX_CHUNKED` bytes, since all of it must be kept until it shows its size.
- bytes in flight over all connections, from their arrival until their answer: reading pauses. When no answer is due that
  could make room, the largest unfinished request is refused with 503, so that unfinished ones cannot block each other.
- connections: 503 and closed. Header bytes: 431. Headers and bodies that take too long: 408. Unused connections: closed.
- work on a body over 256 KiB leaves the event loop, for one thread of its own; so of all that come in JSON one at a
  time is held as text and as protobuf.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import msgspec

from ..io import memory
from ..logic import gzip_body
from ..logic.gzip_body import NotGzip
from ..logic.otlp_http import OK, PATHS, Reply, refusal
from ..logic.otlp_json_scalars import Wrong
from ..logic.otlp_wire import Splicer, TooMany
from ..logic.protobuf import Malformed
from ..logic.scalars import Bytes, Count, Duration, Rule, show_bytes
from ..logic.schema import Checks
from ..model.counters import ReceiverCounters
from ..model.signals import Batch
from .connection import Connection
from .exchange import Exchange, Peer

LARGE = 256 << 10
"""Bytes from which work leaves the event loop."""
RELEASE_ABOVE = 1 << 20
"""After a request of this size the allocator is asked for its memory back, `RELEASE_AFTER` seconds later."""
RELEASE_AFTER = 1.0
MANY_CONNECTIONS = 100
SWEEP = 1.0

Take = Callable[[Batch], Awaitable[Reply]]

_CLAIMED = tuple(b"POST " + path + end for path in PATHS for end in (b" ", b"?"))


def claims(first: bytes) -> bool:
    """Are these the first bytes of a connection for this receiver? For a port that also serves other HTTP: its protocol
    hands the transport over (`set_protocol`), then calls `connection_made` and `data_received` with what it has read."""
    return first.startswith(_CLAIMED)


Wait = Annotated[Duration, Rule(lambda s: 0 < s <= 3600, "is out of range", "more than 0s and at most 1h")]


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """How much is taken at once, and how long it may take."""

    max_body_bytes: Annotated[Bytes, Rule(lambda n: 1 << 10 <= n <= 1 << 30, "is out of range", "1KiB to 1GiB")] = (
        20 << 20
    )
    max_in_flight_bytes: Bytes = 32 << 20
    max_connections: Count = 4096
    header_timeout: Wait = 10.0
    body_timeout: Wait = 10.0
    idle_timeout: Wait = 120.0

    def problems(self) -> Checks:
        if self.max_in_flight_bytes < self.max_body_bytes:
            yield "max_in_flight_bytes", "smaller than max_body_bytes", show_bytes(self.max_body_bytes) + " or more"


class Receiver:
    """Give `protocol` to a listener, or one of its results to a transport; in the end `drain`, then `close`. A listener for
    OTLP/gRPC makes a `grpc.Connection` of it; all bounds are for both together."""

    def __init__(
        self, config: Config, take: Take, counters: ReceiverCounters, attributes: Mapping[str, str] | None = None
    ) -> None:
        """`attributes` are added to each Resource that lacks them."""
        self.config = config
        self.counters = counters
        self.in_flight = 0
        """Bytes of bodies from arrival to answer, those still arriving included."""
        self.draining = False
        self._take = take
        self._splicer = Splicer(attributes or {})
        self._due = 0  # of in_flight: what waits for its answer
        self._connections: set[Peer] = set()
        self._full = False
        self._answers: set[asyncio.Future[Reply]] = set()
        self._timers: dict[Callable[[], None], asyncio.TimerHandle] = {}
        self._worker: ThreadPoolExecutor | None = None
        self._empty: asyncio.Event | None = None

    def protocol(self) -> Connection:
        """A connection's protocol; the factory for `Listener` and `create_server`."""
        return Connection(self)

    # What connections call

    def joined(self, connection: Peer) -> bool:
        """False: one too many."""
        self._connections.add(connection)
        self.counters.connections = len(self._connections)
        self._later(SWEEP, self._sweep)
        if self._full:
            connection.pause(connection.MEMORY)
        return len(self._connections) <= self.config.max_connections

    def left(self, connection: Peer) -> None:
        self._connections.discard(connection)
        if self.counters.connections > MANY_CONNECTIONS >= len(self._connections):
            self._later(RELEASE_AFTER, self._clear_away)
        self.counters.connections = len(self._connections)
        if self._empty is not None and not self._connections:
            self._empty.set()

    def arrived(self, connection: Peer, size: int) -> bool:
        """Bytes of a body have come in. May pause or refuse this connection or another; False: it was this one."""
        self.in_flight += size
        while self.in_flight > self.config.max_in_flight_bytes and not self._due:
            largest = max(self._connections, key=lambda c: c.held)
            if not largest.held:
                break
            largest.refuse(refusal(503, "too many unfinished requests at once", 1))
            if largest is connection:
                return False
        if self.in_flight > self.config.max_in_flight_bytes and not self._full:
            self._full = True
            for each in self._connections:
                each.pause(each.MEMORY)
        return True

    def freed(self, size: int) -> None:
        self.in_flight -= size
        if self._full and self.in_flight <= self.config.max_in_flight_bytes * 3 // 4:
            self._full = False
            for each in self._connections:
                each.resume(each.MEMORY)
        if size > RELEASE_ABOVE:
            self._later(RELEASE_AFTER, self._release)

    def handle(self, request: Exchange, body: bytes) -> None:
        """A whole body: `request.answer(reply)` follows, now or later. Its bytes have `arrived`."""
        size = len(body)
        inflated = gzip_body.announced(body) if request.gzip else 0
        request.size = size
        self._due += size
        if size + inflated > LARGE:
            self._answer_later(request, asyncio.ensure_future(self._handle_large(request, body, inflated)))
            return
        try:
            batch, decoded = self._batch(request, body, inflated, self.config.max_body_bytes)
        except gzip_body.TooLarge:  # more than it announced: not on the loop
            self._answer_later(request, asyncio.ensure_future(self._handle_large(request, body, inflated)))
            return
        except ValueError as error:
            self._answer(request, refused(error))
            return
        self._decoded(request, batch, decoded)
        if not batch.items:
            self._answer(request, OK)
            return
        try:
            answer = self._take(batch)
        except BaseException:
            request.close = True
            self._answer(request, refusal(500, "internal error"))
            raise  # to the parser, which hands it to the connection, which reports it
        self._answer_later(request, asyncio.ensure_future(answer))

    def _answer_later(self, request: Exchange, pending: asyncio.Future[Reply]) -> None:
        self._answers.add(pending)
        pending.add_done_callback(lambda done: self._answered(request, done))

    async def _handle_large(self, request: Exchange, body: bytes, inflated: int) -> Reply:
        limit = self.config.max_body_bytes
        memory.map_large_blocks()
        if len(body) + inflated > RELEASE_ABOVE or request.gzip:
            self._later(RELEASE_AFTER, self._release)
        if inflated <= limit and self.in_flight + inflated > self.config.max_in_flight_bytes:
            return refusal(503, "no room for the inflated body now", 1)
        if self._worker is None:
            self._worker = ThreadPoolExecutor(1, thread_name_prefix="otlp")
        work = asyncio.get_running_loop().run_in_executor(self._worker, self._batch_or_refusal, request, body, limit)
        del body  # and nothing else here keeps it: the batch has what is needed
        done = await work
        del work
        if isinstance(done, Reply):
            return done
        batch, decoded = done
        del done
        self._decoded(request, batch, decoded)
        if not batch.items:
            return OK
        answer = self._take(batch)
        del batch
        return await answer

    def _batch_or_refusal(self, request: Exchange, body: bytes, limit: int) -> tuple[Batch, int] | Reply:
        """For the worker. An exception that crosses threads would hold on to the body, by its traceback."""
        try:
            return self._batch(request, body, limit, limit)
        except ValueError as error:
            return refused(error)

    def _batch(self, request: Exchange, body: bytes, inflated: int, limit: int) -> tuple[Batch, int]:
        """From at most so many bytes after inflating, and in protobuf; with how many they were. Raises what `refused` knows."""
        if request.gzip:
            body = gzip_body.inflate(body, inflated)
        if request.json:
            from ..logic.otlp_json import transcode  # most senders do without, and it is not small

            body = transcode(request.signal, body, limit)
        items, spliced = self._splicer.read(request.signal, body)
        return Batch(request.signal, spliced, items, request.hops, request.via), len(body)

    def _decoded(self, request: Exchange, batch: Batch, size: int) -> None:
        request.items = batch.items
        more = size - request.size
        request.size += more
        self.in_flight += more
        self._due += more

    def _answered(self, request: Exchange, done: asyncio.Future[Reply]) -> None:
        self._answers.discard(done)
        if done.cancelled():
            reply = refusal(503, "stopping", 1)
        elif error := done.exception():
            asyncio.get_running_loop().call_exception_handler(
                {"message": "an OTLP request failed on a bug", "exception": error}
            )
            reply = refusal(500, "internal error")
        else:
            reply = done.result()
            if reply.status == 200:
                self.counters.requests[request.signal] += 1
                self.counters.items[request.signal] += request.items
                self.counters.bytes[request.signal] += request.size
        self._answer(request, reply)

    def _answer(self, request: Exchange, reply: Reply) -> None:
        size, request.size = request.size, 0
        self._due -= size
        self.freed(size)
        request.answer(reply)

    # Timers

    def _later(self, delay: float, action: Callable[[], None]) -> None:
        """Once, however often it is asked for."""
        if action not in self._timers:
            self._timers[action] = asyncio.get_running_loop().call_later(delay, self._fire, action)

    def _fire(self, action: Callable[[], None]) -> None:
        del self._timers[action]
        action()

    def _sweep(self) -> None:
        now = asyncio.get_running_loop().time()
        for connection in list(self._connections):
            if connection.deadline < now:
                connection.expire()
        if self._connections:
            self._later(SWEEP, self._sweep)

    def _clear_away(self) -> None:
        """What many connections leave behind; TLS, of asyncio as of uvloop, in circles that hold 27 KiB each."""
        gc.collect()
        self._release()

    def _release(self) -> None:
        if self._worker is None:
            self._worker = ThreadPoolExecutor(1, thread_name_prefix="otlp")
        self._worker.submit(memory.release)

    # The end

    async def drain(self, timeout: float) -> None:
        """Answer what is in flight, for at most `timeout` seconds, each with `Connection: close`; close the rest."""
        self.draining = True
        for connection in list(self._connections):
            connection.drain()
        if self._connections:
            self._empty = asyncio.Event()
            try:
                async with asyncio.timeout(timeout):
                    await self._empty.wait()
            except TimeoutError:
                pass  # `close` cuts them

    async def close(self) -> None:
        """Cut whatever is open."""
        self.draining = True
        for answer in list(self._answers):
            answer.cancel()
        if self._answers:
            await asyncio.wait(self._answers)
        for connection in list(self._connections):
            connection.abort()
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        if self._worker is not None:
            self._worker.shutdown(wait=False, cancel_futures=True)


def refused(error: ValueError) -> Reply:
    """A body that cannot be taken."""
    match error:
        case gzip_body.TooLarge() | TooMany():
            return refusal(413, f"the body {error}")
        case NotGzip():
            return refusal(400, f"the body is not gzip: {error}")
        case Malformed() | Wrong():
            return refusal(400, f"the body is not an OTLP request: {error}")
        case _:
            raise error
