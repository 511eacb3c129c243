"""Answers on their way out, through the windows of the other side. RFC 9113, section 6.9."""

from __future__ import annotations

from . import http2_frames as f
from .http2_frames import Code, Fault
from .http2_stream import Answer, Stream


class Sending:
    """Writes answers to `output`; their bodies wait, in order, until the windows let them through."""

    def __init__(self, output: list[bytes]) -> None:
        self.waiting: dict[int, tuple[Stream, bytes, tuple[bytes, bytes] | None]] = {}
        """By the stream's number: what is left of the body, and the trailers."""
        self.unblocked = 0
        """How many answers have left after they had waited."""
        self._output = output
        self._credit = f.FIRST_WINDOW
        self._initial = f.FIRST_WINDOW

    def send(self, stream: Stream, answer: Answer) -> bool:
        """Has all of it left? Else what waits leaves by `resume`."""
        name = stream.id.to_bytes(4, "big")
        start, head = answer.head
        body = answer.body
        size = len(body)
        if not size:
            self._output += (start, name, head)
        elif size <= self._credit and size <= self._initial + stream.credit and not self.waiting:
            self._credit -= size
            if answer.trailers is None:
                self._output += (start, name, head, f.start(size, f.DATA, f.END_STREAM), name, body)
            else:
                last, trailers = answer.trailers
                self._output += (start, name, head, f.start(size, f.DATA, 0), name, body, last, name, trailers)
        else:
            self._output += (start, name, head)
            self.waiting[stream.id] = stream, body, answer.trailers
            return False
        return True

    def resume(self) -> list[Stream]:
        """Send of what waits as much as the windows take; those of which all has left."""
        done = []
        for number, (stream, body, trailers) in list(self.waiting.items()):
            if self._credit <= 0:
                break
            size = min(len(body), self._credit, self._initial + stream.credit)
            if size <= 0:
                continue
            self._credit -= size
            stream.credit -= size
            if size < len(body):
                self._output.append(f.frame(f.DATA, 0, number, body[:size]))
                self.waiting[number] = stream, body[size:], trailers
                continue
            del self.waiting[number]
            self.unblocked += 1
            done.append(stream)
            self._output.append(f.frame(f.DATA, 0 if trailers else f.END_STREAM, number, body))
            if trailers is not None:
                self._output += (trailers[0], number.to_bytes(4, "big"), trailers[1])
        return done

    def widen(self, increment: int, stream: Stream | None) -> None:
        """WINDOW_UPDATE of a stream, or of the connection."""
        if stream is None:
            self._credit += increment
            if self._credit > f.MAX_WINDOW:
                raise Fault(Code.FLOW_CONTROL_ERROR, "a window that is too large")
        else:
            stream.credit += increment
            if stream.credit + self._initial > f.MAX_WINDOW:
                raise Fault(Code.FLOW_CONTROL_ERROR, "a window that is too large", stream.id)

    def begin_with(self, window: int, largest: int) -> None:
        """INITIAL_WINDOW_SIZE (section 6.9.2); `largest` is what any open stream has beyond it."""
        if window > f.MAX_WINDOW or window + largest > f.MAX_WINDOW:
            raise Fault(Code.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE out of range")
        self._initial = window
