"""Messages on their way out, through the windows of the other side. RFC 9113, section 6.9."""

from __future__ import annotations

from . import http2_frames as f
from .http2_frames import Code, Fault
from .http2_stream import Answer, Stream

MOST_EXCUSED = 10_000


class Sending:
    """Writes answers and requests to `output`; their bodies wait, in order, until the windows let them through."""

    def __init__(self, output: list[f.Piece]) -> None:
        self.waiting: dict[int, tuple[Stream, list[f.Piece], tuple[bytes, bytes] | None]] = {}
        """By the stream's number: what is left of the body, and the trailers."""
        self.unblocked = 0
        """How many messages have left after they had waited."""
        self.largest = f.LEAST_FRAME
        """The other side's MAX_FRAME_SIZE."""
        self._excused = 0
        self._output = output
        self._credit = f.FIRST_WINDOW
        self._initial = f.FIRST_WINDOW

    def send(self, stream: Stream, answer: Answer) -> bool:
        """Has all of it left? Else what waits leaves by `resume`."""
        name = stream.id.to_bytes(4, "big")
        size = len(answer.body)
        if not size or (size <= self._credit and size <= self._initial + stream.credit and not self.waiting):
            self._credit -= size
            self._excused += 2 + (size >> 9)
            self._output.append(name.join(answer.frames))
            return True
        self._output.append(name.join(answer.head))
        self.waiting[stream.id] = stream, [answer.body], answer.trailers
        return False

    def hold(self, stream: Stream, head: bytes, body: list[f.Piece]) -> None:
        """A request with a large body: its head leaves now, its body by `resume`, in frames and not copied."""
        self._output.append(f.frame(f.HEADERS, f.END_HEADERS, stream.id, head))
        self.waiting[stream.id] = stream, body, None

    def resume(self) -> list[Stream]:
        """Send of what waits as much as the windows take; those of which all has left."""
        done = []
        for number, (stream, body, trailers) in list(self.waiting.items()):
            name = number.to_bytes(4, "big")
            while body:
                piece = body[0]
                size = min(len(piece), self._credit, self._initial + stream.credit, self.largest)
                if size <= 0:
                    break
                self._credit -= size
                stream.credit -= size
                self._excused += 2 + (size >> 9)
                if size < len(piece):
                    body[0] = piece[size:]
                    piece = piece[:size]
                else:
                    del body[0]
                ends = not body and trailers is None
                self._output += (f.start(size, f.DATA, f.END_STREAM if ends else 0), name, piece)
            if body:
                continue
            del self.waiting[number]
            self.unblocked += 1
            done.append(stream)
            if trailers is not None:
                self._output += (trailers[0], name, trailers[1])
        return done

    def explains_window(self) -> bool:
        """Is a WINDOW_UPDATE one of those that what we have sent explains? For each frame of ours one of its stream and
        one of the connection; more where a large one is read in pieces: old Go servers say so after each read, which
        may be of 512 bytes. They may come late, but only so many of them."""
        self._excused = min(self._excused, MOST_EXCUSED) - 1
        if self._excused >= 0:
            return True
        self._excused = 0
        return False

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
