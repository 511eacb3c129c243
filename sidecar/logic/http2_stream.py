"""One call on an HTTP/2 connection, and what is said to it. RFC 9113, sections 5.1 and 8.1."""

from __future__ import annotations

from abc import ABC, abstractmethod

from . import http2_frames as f

STREAM_WINDOW = 1 << 20


class Answer:
    """An answer's frames, prepared, for any stream: a head; a head and a body; or a head, a body and trailers.

    The body is for one frame of any connection: at most 16 KiB. Only it is subject to flow control.
    """

    __slots__ = ("body", "frames", "head", "trailers")

    def __init__(self, head: bytes, body: bytes = b"", trailers: bytes = b"") -> None:
        ends = not body and not trailers
        self.head = f.start(len(head), f.HEADERS, f.END_HEADERS | (f.END_STREAM if ends else 0)), head
        self.body = body
        self.trailers = (
            (f.start(len(trailers), f.HEADERS, f.END_HEADERS | f.END_STREAM), trailers) if trailers else None
        )
        self.frames: tuple[bytes, ...] = self.head
        """All of it, in the pieces between which the stream's number goes."""
        if body and self.trailers is None:
            self.frames = self.head[0], head + f.start(len(body), f.DATA, f.END_STREAM), body
        elif self.trailers is not None:
            last, trailers = self.trailers
            self.frames = self.head[0], head + f.start(len(body), f.DATA, 0), body + last, trailers


class Stream(ABC):
    """One call; a subclass does something with it."""

    __slots__ = ("credit", "ended", "expected", "gone", "id", "received", "window")

    def __init__(self, number: int, expected: int) -> None:
        self.id = number
        self.expected = expected
        """Bytes by content-length; -1 where it is not given."""
        self.received = 0
        self.window = STREAM_WINDOW
        self.credit = 0
        """What we may send beyond the other side's initial window."""
        self.ended = False
        self.gone = False
        """Reset by the other side while it was handled: it keeps its place until it is answered."""

    @abstractmethod
    def on_data(self, data: bytes, start: int, stop: int) -> None:
        """`data[start:stop]` is the next of the request's body."""

    @abstractmethod
    def on_end(self) -> None:
        """The request is whole: `answer` it now or later."""

    @abstractmethod
    def on_reset(self) -> None:
        """The request will not become whole, and takes no answer."""
