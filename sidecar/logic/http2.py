"""One HTTP/2 connection for unary calls, without I/O: what is the same on both sides. RFC 9113.

::

    bytes ──> receive ──> Stream.on_data, on_end, on_reset
                               http2_server: answers ──┐
                               http2_client: requests ─┴──> output ──> bytes

Bytes go in as they come; what is to be written gathers in `output`.

Windows: DATA is credited when it arrives. Who cannot hold more stops reading, which holds the other side back as well.

What is bounded, and what happens there: a header block, its frames and its list; frames that ask for work and bring
nothing, by a leaky bucket (ENHANCE_YOUR_CALM); the length of a frame. How long anything may take is for the user, who has
a clock, to say.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping
from typing import Generic, TypeVar

from . import http2_frames as f
from . import http2_payloads as payloads
from .http2_frames import Code, Fault
from .http2_headers import HeaderBlocks
from .http2_hpack import MAX_LIST
from .http2_sending import Sending
from .http2_stream import STREAM_WINDOW, Stream

MAX_FRAME = 64 << 10
MAX_BLOCK = 16 << 10
"""Bytes of an encoded header block."""
MAX_PIECES = 16
"""CONTINUATION frames of one header block (CVE-2024-27983)."""
FLOOD = 1000.0
"""Idle frames at once, and CALM a second, until the connection ends: PING, SETTINGS, RST_STREAM (CVE-2023-44487), empty
DATA, WINDOW_UPDATE that nothing sent explains, and more (CVE-2019-9512 to 9518)."""
CALM = 100.0
LARGE = 1 << 10
"""Bytes of a DATA frame that costs its sender more than us, who throw it away."""
REMEMBERED = 256
"""Streams that have ended and are told from those that never were (section 5.1.1)."""

H = TypeVar("H")


class Connection(ABC, Generic[H]):
    """A side of a connection; the subclass says which."""

    ours: Mapping[int, int]
    """What we say in SETTINGS beside what both sides say."""
    calm = CALM
    """Frames a second that may bring nothing."""

    def __init__(self, blocks: HeaderBlocks[H], window: int) -> None:
        """`window` is for all streams together."""
        self.output: list[f.Piece] = []
        self.streams: dict[int, Stream] = {}
        self.greeted = False
        """Our SETTINGS are out; a server's wait for the client's preface."""
        self.ended = False
        """Nothing more will be read or said once the output is written."""
        self.failed = False
        """Ended by a fault: the other side may be sending still."""
        self.now = self.heard = 0.0
        """When bytes came, and when they made a whole frame."""
        self.sending = Sending(self.output)
        self._blocks = blocks
        self._rest = b""
        self._last = 0  # the highest stream that was opened, by the client
        self._settled = False  # their SETTINGS have come
        self._drained = False  # there will be no more streams; what comes above `_last` is ignored
        self._full_window = self._window = window
        self._block: bytearray | None = None
        self._block_of = 0
        self._block_ends = False
        self._pieces = 0
        self._closed: deque[int] = deque(maxlen=REMEMBERED)
        self._refused: deque[int] = deque(maxlen=REMEMBERED)
        self._idle_frames = 0.0
        self._calm_at = 0.0
        self._done = 0  # messages that have gone their way since a frame brought nothing

    @property
    def half_heard(self) -> bool:
        """Does it wait for the greeting, or for the rest of a frame or header block?"""
        return not self._settled or bool(self._rest) or self._block is not None

    # In

    def receive(self, data: bytes, now: float) -> None:
        """`now` is any steady clock's seconds."""
        if self.ended:
            return
        self.now = now
        if self._rest:
            data = self._rest + data
            self._rest = b""
        p = 0
        try:
            if not self.greeted:
                if data[: len(f.PREFACE)] != f.PREFACE[: len(data)]:
                    raise Fault(Code.PROTOCOL_ERROR, "not an HTTP/2 preface")
                if len(data) < len(f.PREFACE):
                    self._rest = data
                    return
                p = len(f.PREFACE)
                self._greet()
            p = self._frames(data, p)
        except Fault as fault:
            self.fail(fault)
            return
        if p < len(data) and not self.ended:
            self._rest = data[p:]

    def _greet(self) -> None:
        self.greeted = True
        self.heard = self.now
        self.output.append(
            f.settings(
                {
                    **self.ours,
                    f.INITIAL_WINDOW_SIZE: STREAM_WINDOW,
                    f.MAX_FRAME_SIZE: MAX_FRAME,
                    f.MAX_HEADER_LIST_SIZE: MAX_LIST,
                }
            )
        )
        if self._window > f.FIRST_WINDOW:
            self.output.append(f.window_update(0, self._window - f.FIRST_WINDOW))
        else:
            self._full_window = self._window = f.FIRST_WINDOW

    def _frames(self, data: bytes, p: int) -> int:
        end = len(data)
        while end - p >= f.FRAME_HEADER and not self.ended:
            size, flags, number = f.read_start(data, p)
            kind = size & 0xFF
            size >>= 8
            if size > MAX_FRAME:
                raise Fault(Code.FRAME_SIZE_ERROR, "a frame that is too long")
            start = p + f.FRAME_HEADER
            stop = start + size
            if not self._settled and kind != f.SETTINGS:
                raise Fault(Code.PROTOCOL_ERROR, "the first frame is not SETTINGS")
            if stop > end:
                break
            number &= f.MAX_WINDOW
            p = stop
            try:
                if self._block is not None and (kind != f.CONTINUATION or number != self._block_of):
                    raise Fault(Code.PROTOCOL_ERROR, "a frame within a header block")
                if kind == f.DATA:
                    self._on_data(number, flags, data, start, stop)
                elif kind == f.HEADERS:
                    self._on_headers(number, flags, data, start, stop)
                elif kind == f.WINDOW_UPDATE:
                    self._on_window_update(number, data[start:stop])
                else:
                    self._on_other(kind, number, flags, data[start:stop])
            except Fault as fault:
                if not fault.stream:
                    raise
                self._idle()
                self.reset(fault.stream, fault.code)
            self.heard = self.now
        return p

    def _on_data(self, number: int, flags: int, data: bytes, start: int, stop: int) -> None:
        """Section 6.1. Padding counts for the windows (6.9.1)."""
        size = stop - start
        if flags & f.PADDED:
            start, stop = payloads.unpadded(data, start, stop)
        self._window -= size
        if self._window < self._full_window >> 1:
            if self._window < 0:
                raise Fault(Code.FLOW_CONTROL_ERROR, "more than the connection's window")
            self.output.append(f.window_update(0, self._full_window - self._window))
            self._window = self._full_window
        stream = self.streams.get(number)
        if stream is None or stream.ended:
            self._late(number, size)
            return
        stream.window -= size
        if stream.window < 0:
            raise Fault(Code.FLOW_CONTROL_ERROR, "more than the stream's window", number)
        ends = flags & f.END_STREAM
        if start < stop:
            stream.received += stop - start
            if 0 <= stream.expected < stream.received:
                raise Fault(Code.PROTOCOL_ERROR, "more than content-length", number)
            stream.on_data(data, start, stop)
        elif not ends:
            self._idle()
        if ends:
            self._end(stream)
        elif stream.window < STREAM_WINDOW >> 1 and number in self.streams:
            self.output.append(f.window_update(number, STREAM_WINDOW - stream.window))
            stream.window = STREAM_WINDOW

    def _late(self, number: int, size: int) -> None:
        """DATA for a stream that takes none."""
        if number <= self._last or not self._drained:
            if number > self._last or not number & 1:
                raise Fault(Code.PROTOCOL_ERROR, "DATA on an idle stream")
            if number not in self._refused:  # else it may have been on its way when we ended the stream
                raise Fault(Code.STREAM_CLOSED, "DATA on a stream that has ended", number)
        if size < LARGE:
            self._idle()

    def _end(self, stream: Stream) -> None:
        """END_STREAM has come."""
        if stream.id not in self.streams:
            return  # it was ended from our side, just now
        if stream.expected >= 0 and stream.expected != stream.received:
            raise Fault(Code.PROTOCOL_ERROR, "less than content-length", stream.id)
        stream.ended = True
        stream.on_end()

    def _on_headers(self, number: int, flags: int, data: bytes, start: int, stop: int) -> None:
        """Section 6.2."""
        if not number & 1:
            raise Fault(Code.PROTOCOL_ERROR, "HEADERS on a stream that clients cannot open")
        if flags & (f.PADDED | f.WITH_PRIORITY):
            start, stop = payloads.fragment(number, flags, data, start, stop)
        if stop - start > MAX_BLOCK:
            raise Fault(Code.FRAME_SIZE_ERROR, "a header block that is too long")
        ends = bool(flags & f.END_STREAM)
        if flags & f.END_HEADERS:
            self._headers(number, data[start:stop], ends)
        else:
            self._block, self._block_of, self._block_ends, self._pieces = (
                bytearray(data[start:stop]),
                number,
                ends,
                0,
            )

    def _on_continuation(self, flags: int, payload: bytes) -> None:
        """Section 6.10."""
        block = self._block
        if block is None:
            raise Fault(Code.PROTOCOL_ERROR, "CONTINUATION without a beginning")
        block += payload
        self._pieces += 1
        if len(block) > MAX_BLOCK or self._pieces > MAX_PIECES:
            raise Fault(Code.ENHANCE_YOUR_CALM, "a header block that is too long")
        if flags & f.END_HEADERS:
            self._block = None
            self._headers(self._block_of, bytes(block), self._block_ends)

    @abstractmethod
    def _headers(self, number: int, block: bytes, ends: bool) -> None:
        """A whole header block."""

    def _headers_late(self, number: int, block: bytes, stream: Stream | None) -> None:
        """For a stream that takes none: the table must follow all the same."""
        self._blocks.skip(block)
        if number in self._refused:
            self._idle()
            return
        if stream is not None or number in self._closed:
            raise Fault(Code.STREAM_CLOSED, "HEADERS on a stream that has ended")
        raise Fault(Code.PROTOCOL_ERROR, "HEADERS on a stream that is not open")

    def _on_window_update(self, number: int, payload: bytes) -> None:
        """Section 6.9."""
        increment = payloads.increment(payload)
        if not self.sending.explains_window():
            self._idle()
        if number > self._last:
            if self._drained:
                return
            raise Fault(Code.PROTOCOL_ERROR, "WINDOW_UPDATE on an idle stream")
        if not increment:
            raise Fault(Code.PROTOCOL_ERROR, "WINDOW_UPDATE by nothing", number)
        stream = self.streams.get(number)
        if stream is not None or not number:
            self.sending.widen(increment, stream)
            self._resume()

    def _on_other(self, kind: int, number: int, flags: int, payload: bytes) -> None:
        if kind == f.CONTINUATION:
            self._on_continuation(flags, payload)
            return
        self._idle()
        if kind == f.RST_STREAM:
            self._on_rst_stream(number, payload)
        elif kind == f.PRIORITY:
            payloads.check_priority(number, payload)
        elif kind == f.PUSH_PROMISE:
            raise Fault(Code.PROTOCOL_ERROR, "PUSH_PROMISE, which we have not allowed")
        elif kind in (f.SETTINGS, f.PING, f.GOAWAY):
            if number:
                raise Fault(Code.PROTOCOL_ERROR, "a connection's frame on a stream")
            if kind == f.SETTINGS:
                self._on_settings(flags, payload)
            elif kind == f.PING:
                self._on_ping(flags, payload)
            else:
                self._on_goaway(payload)
        # Other types are not ours to know (section 5.5).

    def _on_rst_stream(self, number: int, payload: bytes) -> None:
        """Section 6.4."""
        if len(payload) != 4:
            raise Fault(Code.FRAME_SIZE_ERROR, "RST_STREAM")
        if number > self._last and self._drained:
            return
        if not number or number > self._last:
            raise Fault(Code.PROTOCOL_ERROR, "RST_STREAM on an idle stream")
        stream = self.streams.get(number)
        if stream is not None:
            self._on_reset(stream, int.from_bytes(payload, "big"))

    @abstractmethod
    def _on_reset(self, stream: Stream, code: int) -> None:
        """The other side has ended a stream."""

    def _on_settings(self, flags: int, payload: bytes) -> None:
        """Section 6.5."""
        for key, value in payloads.settings(flags, payload):
            if key == f.INITIAL_WINDOW_SIZE:
                largest = max((stream.credit for stream in self.streams.values()), default=0)
                self.sending.begin_with(value, largest)
            else:
                self._on_setting(key, value)
        if flags & f.ACK:
            return
        self._settled = True
        self.output.append(f.frame(f.SETTINGS, f.ACK, 0))
        self._resume()

    @abstractmethod
    def _on_setting(self, key: int, value: int) -> None:
        """One that is not about windows."""

    def _on_ping(self, flags: int, payload: bytes) -> None:
        """Section 6.7."""
        if len(payload) != 8:
            raise Fault(Code.FRAME_SIZE_ERROR, "PING")
        if not flags & f.ACK:
            self.output.append(f.frame(f.PING, f.ACK, 0, payload))
        else:
            self._on_pong(payload)

    @abstractmethod
    def _on_pong(self, payload: bytes) -> None:
        """A PING is acknowledged; not necessarily one of ours."""

    @abstractmethod
    def _on_goaway(self, payload: bytes) -> None:
        """Section 6.8."""

    def _idle(self) -> None:
        """One more frame that asks for work and brings none. Each message that has gone its way excuses one: grpc-go
        measures the bandwidth with a PING for each round trip in which it has heard anything."""
        level = max(0.0, self._idle_frames - (self.now - self._calm_at) * self.calm - self._done) + 1
        self._idle_frames, self._calm_at, self._done = level, self.now, 0
        if level > FLOOD:
            raise Fault(Code.ENHANCE_YOUR_CALM, "too many frames that bring nothing")

    # Out

    @abstractmethod
    def _sent(self, stream: Stream) -> None:
        """All that we have to say on a stream has left."""

    def _resume(self) -> None:
        if self.sending.waiting:
            for stream in self.sending.resume():
                self._sent(stream)

    def reset(self, number: int, code: Code) -> None:
        """End a stream (section 5.4.2). What still comes for it is thrown away."""
        self.output.append(f.rst_stream(number, code))
        self._refused.append(number)
        stream = self.streams.get(number)
        if stream is None:
            return
        answered = self.sending.waiting.pop(number, None)
        if stream.ended and not answered:
            stream.gone = True  # it is being handled
            return
        self._forget(number)
        if not stream.ended:
            stream.on_reset()

    def _forget(self, number: int) -> None:
        del self.streams[number]
        self._closed.append(number)
        if self._drained:
            self._end_if_drained()

    # The end

    def _end_if_drained(self) -> None:
        if not self.streams:
            self.ended = True

    @property
    @abstractmethod
    def _taken(self) -> int:
        """The last stream of theirs that we have done anything with (section 6.8)."""

    def fail(self, fault: Fault) -> None:
        """End the connection (section 5.4.1)."""
        if self.ended:
            return
        self.ended = self.failed = True
        if not self.greeted:
            self.output.append(f.settings({}))
        self.output.append(f.goaway(self._taken, fault.code, str(fault)[:100]))
        self.lose()

    def lose(self) -> None:
        """The connection is no more: unfinished streams are reset; requests being handled have nobody to be answered to."""
        self.ended = True
        self._block, self._rest = None, b""
        self.sending.waiting.clear()
        streams, self.streams = self.streams, {}
        for stream in streams.values():
            if not stream.ended:
                stream.on_reset()
