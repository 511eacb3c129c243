"""The server's side of an HTTP/2 connection for unary calls. RFC 9113.

A request is whole before it is answered, or is answered early and ended. Answers have a head, one small body and trailers,
or only a head, all encoded beforehand.

Bounded beside what `http2` bounds: streams at once, those included that were reset and whose work goes on (REFUSED_STREAM).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from . import http2
from . import http2_frames as f
from .http2_frames import Code, Fault
from .http2_headers import Fields, HeaderBlocks, Malformed
from .http2_stream import Answer, Stream

MAX_STREAMS = 256
DRAIN_PING = b"drain..."

H = TypeVar("H")


class Server(http2.Connection[H]):
    """`interpret` makes of a request's fields what `accept` takes to make a stream."""

    ours = {f.MAX_CONCURRENT_STREAMS: MAX_STREAMS}

    def __init__(
        self,
        interpret: Callable[[Fields], H],
        accept: Callable[[int, H], Stream],
        window: int,
        varying: tuple[bytes, Callable[[H, bytes], H]] | None = None,
    ) -> None:
        """`window` is for all streams together; `varying` as `HeaderBlocks` takes it."""
        super().__init__(HeaderBlocks(interpret, varying=varying), window)
        self._accept = accept
        self._draining = False

    # In

    def _headers(self, number: int, block: bytes, ends: bool) -> None:
        if number <= self._last:
            self._again(number, block, ends)
            return
        if self._drained:
            self._blocks.skip(block)
            self._idle()
            return
        self._last = number
        if len(self.streams) >= MAX_STREAMS:
            self._blocks.skip(block)
            raise Fault(Code.REFUSED_STREAM, "too many streams", number)
        try:
            stream = self._accept(number, self._blocks.read(block))
        except Malformed as error:
            raise Fault(Code.PROTOCOL_ERROR, str(error), number) from None
        self.streams[number] = stream
        if ends:
            self._end(stream)

    def _again(self, number: int, block: bytes, ends: bool) -> None:
        """A second block on a stream: its trailers (section 8.1), or a mistake."""
        stream = self.streams.get(number)
        if stream is None or stream.ended:
            self._headers_late(number, block, stream)
            return
        try:
            self._blocks.trailers(block)
        except Malformed as error:
            raise Fault(Code.PROTOCOL_ERROR, str(error), number) from None
        if not ends:
            raise Fault(Code.PROTOCOL_ERROR, "trailers that do not end the stream", number)
        self._end(stream)

    def _on_reset(self, stream: Stream, code: int) -> None:
        if self.sending.waiting.pop(stream.id, None):  # answered, as far as we are concerned
            self._forget(stream.id)
        elif stream.ended:
            stream.gone = True
        else:
            self._forget(stream.id)
            stream.on_reset()

    def _on_setting(self, key: int, value: int) -> None:
        """Our answers use no table, and frames of the least size that everybody takes."""

    def _on_pong(self, payload: bytes) -> None:
        if payload == DRAIN_PING and self._draining and not self._drained:
            self._drained = True
            self.output.append(f.goaway(self._last, Code.NO_ERROR))
            self._end_if_drained()

    def _on_goaway(self, payload: bytes) -> None:
        """A client that says it opens no more streams, and closes."""

    # Out

    def answer(self, stream: Stream, answer: Answer) -> None:
        """Once for each stream; of one that is gone nobody hears. An early answer ends the request too (section 8.1)."""
        number = stream.id
        if self.streams.get(number) is not stream or number in self.sending.waiting:
            return
        if stream.gone or self.ended:
            self._forget(number)
        elif self.sending.send(stream, answer):
            self._sent(stream)
        else:
            self._resume()

    def _sent(self, stream: Stream) -> None:
        if stream.ended:
            self._done += 1
            self._forget(stream.id)
        else:
            self._done += 2  # a small body may be on its way, and its end in a frame of its own
            self.reset(stream.id, Code.NO_ERROR)

    # The end

    def drain(self) -> None:
        """Answer what has come and what is on its way; take no more (section 6.8). `ended` follows."""
        if not self.greeted:
            self.ended = True
        elif not self._draining and not self.ended:
            self._draining = True
            self.output += (f.goaway(f.MAX_WINDOW, Code.NO_ERROR), f.frame(f.PING, 0, 0, DRAIN_PING))

    @property
    def _taken(self) -> int:
        return self._last
