"""The command's output: passed on first, unchanged and as slowly as its reader wants it, then copied for the sidecar.

Each stream has a thread, as each would have its own pipe without us: a reader of stdout that rests holds up no stderr. A copy
never waits: what the sidecar has not taken waits in memory, up to `BACKLOG` bytes of each stream, and then lines are dropped.
"""

from __future__ import annotations

import fcntl
import os
import queue
import select
import socket
import termios
import threading
import time
from collections.abc import Iterable, Iterator

from ..logic.copied import Copied
from ..logic.launch import CHUNK, HEADER, LAST

BACKLOG = 1 << 20
MOST = 256
"""Pieces in a frame: writev(2) takes 1024."""


class Copy:
    """Sends what streams put, in order. Small pieces that wait are joined."""

    def __init__(self, to: socket.socket) -> None:
        self._to = to
        self._pieces: queue.SimpleQueue[_Piece | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="copy", daemon=True)
        self._thread.start()
        self.put = self._pieces.put

    def finish(self) -> None:
        """Nothing more is put: go on as long as somebody takes it, and then end what they read."""
        self._pieces.put(None)

    def _run(self) -> None:
        try:
            self._send_all()
        except OSError as error:  # no memory, say: what is put from now on finds no room
            say(f"the output is no longer copied: {error.strerror}")
        finally:
            self._to.shutdown(socket.SHUT_WR)

    def _send_all(self) -> None:
        while True:
            waiting = [self._pieces.get()]
            while not self._pieces.empty():
                waiting.append(self._pieces.get())
            for pieces in _joined(piece for piece in waiting if piece is not None):
                self._send(pieces)
            if None in waiting:
                return

    def _send(self, pieces: list[_Piece]) -> None:
        first, data = pieces[0], [piece.data for piece in pieces]
        flags = first.flags | pieces[-1].flags & LAST
        head = HEADER.pack(first.stream.number, flags, first.lost, first.offset, first.time)
        self._to.sendmsg([head, *data])
        first.stream.sent += sum(map(len, data))


class _Piece:
    __slots__ = ("data", "flags", "lost", "offset", "stream", "time")

    def __init__(self, stream: Stream, offset: int, flags: int, lost: int, data: bytes) -> None:
        self.stream = stream
        self.offset = offset
        self.flags = flags
        self.lost = lost
        self.data = data
        self.time = time.time_ns()


def _joined(pieces: Iterable[_Piece]) -> Iterator[list[_Piece]]:
    """Such as follow each other in one stream, as many as a frame holds."""
    run: list[_Piece] = []
    size = 0
    for piece in pieces:
        goes_on = run and piece.stream is run[0].stream and piece.offset == run[0].offset + size and not piece.lost
        if run and not (goes_on and size + len(piece.data) <= CHUNK and len(run) < MOST):
            yield run
            run, size = [], 0
        run.append(piece)
        size += len(piece.data)
    if run:
        yield run


class Stream:
    """One output of the command: from `source`, a pipe, to the descriptor `target` and to `copy`."""

    def __init__(self, number: int, source: int, target: int, copy: Copy, stop: int) -> None:
        """When `stop` becomes readable the command has ended: what the pipe holds then is the last that is passed on. Who else
        holds the pipe open, a grandchild, is not waited for."""
        self.number = number
        self.sent = 0
        """Bytes that the sidecar was sent; only the copy's thread counts them."""
        self._put = 0
        self._source = source
        self._target = target
        self._copy = copy
        self._stop = stop
        self._copied = Copied()
        self._said = ""
        self.thread = threading.Thread(target=self._run, name=f"stream {number}", daemon=True)
        self.thread.start()

    @property
    def lost(self) -> int:
        """Lines that found no room."""
        return self._copied.lost

    def _run(self) -> None:
        try:
            self._pass_on()
        finally:
            # Closed, so that whoever goes on writing learns it, as from the reader itself.
            os.close(self._source)
            self._copy.put(_Piece(self, *self._copied.last()))

    def _pass_on(self) -> None:
        poll = select.poll()
        poll.register(self._source, select.POLLIN)
        poll.register(self._stop, select.POLLIN)
        while self._stop not in dict(poll.poll()):
            chunk = os.read(self._source, CHUNK)
            if not chunk or not self._write(chunk):
                return
            self._offer(chunk)
        left = int.from_bytes(fcntl.ioctl(self._source, termios.FIONREAD, bytes(4)), "little")
        while left > 0 and (chunk := os.read(self._source, min(left, CHUNK))) and self._write(chunk):
            self._offer(chunk)
            left -= len(chunk)

    def _write(self, chunk: bytes) -> bool:
        """Whether there is somebody to write for."""
        view = memoryview(chunk)
        while view:
            try:
                view = view[os.write(self._target, view) :]
            except BlockingIOError:  # whoever shares it with us has made it so
                poll = select.poll()
                poll.register(self._target, select.POLLOUT)
                poll.poll()
            except BrokenPipeError:
                return False
            except OSError as error:
                self._complain(error)
                return True
        return True

    def _complain(self, error: OSError) -> None:
        """A full disk, say: most commands would go on, so this one is not ended for it."""
        if self._said != error.strerror:
            self._said = error.strerror or ""
            say(f"output is lost: {self._said}")

    def _offer(self, chunk: bytes) -> None:
        room = self._put - self.sent + len(chunk) <= BACKLOG
        told = self._copied.take(chunk, room)
        if told is not None:
            self._put += len(told[3])
            self._copy.put(_Piece(self, *told))


def say(text: str) -> None:
    """A line for whoever reads our stderr; never waits for them."""
    poll = select.poll()
    poll.register(2, select.POLLOUT)
    if any(event == select.POLLOUT for _, event in poll.poll(0)):
        try:
            os.write(2, f"outrider: {text}\n".encode(errors="surrogateescape"))
        except OSError:
            pass  # nobody is there to be told
