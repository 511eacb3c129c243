"""One file while it is followed: where reading stands, and the next lines from there."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ..io.local_files import holds, look
from ..logic.lines import COMPRESSED, Lines, opening, split, whole
from ..logic.tail import WINDOW, FileId, Fingerprint, Seen
from ..model.logs import OFFSET_BITS
from .base import Stream

BLOCK = 256 << 10
CLOSED = -1


def new_uid() -> str:
    """Of a file that was not followed before."""
    return os.urandom(8).hex()


class Rewritten(Exception):
    """The file no longer holds what was read of it."""


class FollowedFile:
    """Reads from `handle`, which the source opens and closes; all methods that read need it, and raise `OSError`.

    `offset` is behind the last whole line. Nothing is kept of a line that is not whole: it is read again when it may be, so that
    a thousand files cost a thousand times 1 KiB. A line longer than the cap is passed over block by block.
    """

    def __init__(self, uid: str, path: str, seen: Seen, *, now: float, generation: int = 0, offset: int = 0) -> None:
        self.uid = uid
        self.path = path
        """The name it was last seen under."""
        self.origin = path
        """The name it was found under: what rotates it goes by that."""
        self.names: set[str] = set()
        """Those of its names that are asked for. A file without one is read to its end and then let go."""
        self.attributes: Mapping[str, str] = {}
        self.seen = seen
        self.generation = generation
        self.offset = offset
        self.before = b""
        """Up to 1 KiB that stand before `offset`."""
        self.examined = offset
        """No line ends between `offset` and here."""
        self.begun = offset > 0
        """Its beginning is that of a log; what is compressed, or may be a copy, is not read."""
        self.sure_size = offset
        """Its size when it last was what it had been."""
        self.doubted = False
        """It was written to without growing, or was not looked into since a restart."""
        self.expected: Fingerprint | None = None
        """What is known of it that reading has still to find there: from before a restart, or a `peek`."""
        self.rotated = False
        """It has lost the name it had: nobody goes on with its last line for long."""
        self.grown_at = now
        self.ended = False
        """The last line was fed, though nothing ends it, and the stream flushed."""
        self.flush_due = False
        """What comes next does not go on with what was fed."""
        self.compressed = False
        self.handle = CLOSED
        self.stream: Stream | None = None
        self.read_to = self.mark
        self._print = Fingerprint.of(self.before, offset)
        self._print_of = self.before
        self.lag_from = (seen.size, now)
        """Its size, and when: the oldest of what is not settled was written after that."""

    @property
    def id(self) -> FileId:
        return self.seen.id

    @property
    def mark(self) -> int:
        return self.generation << OFFSET_BITS | self.offset

    @property
    def settled(self) -> int:
        """The mark behind which everything has to be read again after a crash."""
        return self.stream.safe(self.read_to) if self.stream else self.mark

    @property
    def settled_offset(self) -> int:
        settled = self.settled
        return settled & (1 << OFFSET_BITS) - 1 if settled >> OFFSET_BITS == self.generation else 0

    @property
    def unsettled_bytes(self) -> int:
        return max(0, self.seen.size - self.settled_offset)

    def lag(self, now: float) -> float:
        """Seconds: at least the age of the oldest byte that is not settled, at most twice that."""
        size, since = self.lag_from
        if self.settled_offset >= min(size, self.seen.size):
            self.lag_from = (self.seen.size, now)
            since = now
        return now - since if self.unsettled_bytes else 0.0

    @property
    def fingerprint(self) -> Fingerprint:
        if self.expected:
            return self.expected
        if self._print_of is not self.before or self._print.at != self.offset:
            # Asked for every second, of a thousand files that mostly rest.
            self._print, self._print_of = Fingerprint.of(self.before, self.offset), self.before
        return self._print

    @property
    def known_to(self) -> int:
        """A file that is shorter was truncated."""
        return self.expected.at if self.expected else self.offset

    @property
    def wants(self) -> bool:
        """Is there something to read?"""
        return self.doubted or self.seen.size > self.examined

    @property
    def is_untouched(self) -> bool:
        """Nothing was read of it."""
        return self.stream is None and self.mark == 0 and not self.compressed

    @property
    def is_done(self) -> bool:
        """All that is there was read and is settled, but for a line that has no end yet."""
        return not self.wants and (self.stream is None or self.settled == self.read_to == self.mark)

    def saw(self, seen: Seen, now: float) -> None:
        if seen.size != self.seen.size or seen.changed != self.seen.changed:
            self.grown_at = now
            self.ended = False
            self.doubted |= seen.size <= self.examined and self.offset > 0
        if seen.size < self.examined:
            self.examined = self.offset
        self.seen = seen

    def move(self, path: str, seen: Seen, now: float) -> None:
        """What was read, and the rest, stands in another file."""
        self.path, self.seen = path, seen
        self.rotated = True
        self.grown_at = now
        self.ended = False
        self.examined = self.offset

    def rewind(self, now: float) -> None:
        """The file was truncated: begin again, as the next generation."""
        self.generation += 1
        self.grown_at = now
        self.ended = False
        self.go_to(0, b"")
        self.begun = self.compressed = False
        self.sure_size = 0
        self.expected = None
        self.flush_due = self.stream is not None
        if self.stream is None:
            self.read_to = self.mark

    def go_to(self, offset: int, before: bytes) -> None:
        self.offset = self.examined = offset
        self.before = before
        self.doubted = False
        if offset:
            self.expected = None

    # Reading, with a handle.

    def look(self) -> Seen:
        return look(self.handle)

    def _pread(self, size: int, at: int) -> bytes:
        return os.pread(self.handle, size, at)

    def _before(self, offset: int) -> bytes:
        return self._pread(min(offset, WINDOW), max(0, offset - WINDOW))

    def peek(self) -> None:
        """Know the beginning of a file of which nothing was read yet, which may take hours; by it a copy is found. Raises
        `Rewritten` when it is another than before."""
        if self.offset or self.compressed or (self.expected and self.expected.at >= WINDOW):
            return
        head = self.head(WINDOW)
        if self.expected and self.expected.length and not self.expected.fits(head[: self.expected.length]):
            raise Rewritten
        self.expected = Fingerprint.of(head, len(head)) if head else None

    def verify(self) -> None:
        """Raises `Rewritten` where this is not what is known of it."""
        if self.expected is None:
            self._block(0)
            return
        if self.expected.length and not holds(self.handle, self.expected):
            raise Rewritten
        self.before = self._before(self.offset)
        self._is_sure()
        if self.offset:
            self.expected = None

    def skip_to_end(self) -> None:
        """Go on behind the last whole line that is there already."""
        start = max(0, self.seen.size - BLOCK)
        data = self._pread(self.seen.size - start, start)
        end = data.rfind(b"\n") + 1
        offset = start + end if end or not start else self.seen.size
        self.go_to(offset, self._before(offset))
        self.begun = offset > 0
        self.read_to = self.mark

    def head(self, most: int) -> bytes:
        return self._pread(min(WINDOW, most, self.seen.size), 0)

    def is_compressed(self) -> bool:
        return self._pread(WINDOW, 0).startswith(COMPRESSED)

    def begin(self) -> None:
        """Pass over what stands at the beginning and belongs to no line."""
        data = self._pread(BLOCK, self.offset)
        skipped = opening(data)
        if skipped:
            end = self.offset + skipped
            self.go_to(end, self._before(end))
        self.begun = bool(data) and skipped < len(data)

    def read(self, longest: int) -> Lines:
        """The next whole lines; none when the next line is not whole, or so long that its end has still to be found."""
        if self.examined - self.offset > longest + 1:
            return self._find_end(longest)
        data = self._block(BLOCK)
        if len(data) == BLOCK and longest + 2 > BLOCK and b"\n" not in data:
            data = self._block(longest + 2)
        lines = split(data, self.mark, longest)
        examined = self.offset + len(data)
        if lines.marks:
            size = lines.marks[-1] - self.mark
            self.go_to(self.offset + size, (self.before + data[max(0, size - WINDOW) : size])[-WINDOW:])
        self.examined = examined
        return lines

    def rest(self, longest: int) -> Lines:
        """The last line of a file that has no line end and will get none."""
        size = self.seen.size - self.offset
        return self._one_line(self._block(min(size, longest + 1)), self.seen.size, size, longest)

    def _block(self, size: int) -> bytes:
        """What stands behind `offset`; raises `Rewritten` where something else stands before it."""
        length = len(self.before)
        data = self._pread(length + size, self.offset - length)
        if not data.startswith(self.before):
            raise Rewritten
        if data[length : length + 2] == b"\0\0" and not self.before.strip(b"\0") and self.before:
            raise Rewritten  # the hole before the first line has grown
        self._is_sure()
        return data[length:]

    def _is_sure(self) -> None:
        self.doubted = False
        self.sure_size = self.seen.size

    def _find_end(self, longest: int) -> Lines:
        data = self._pread(BLOCK, self.examined)
        found = data.find(b"\n")
        if found < 0:
            self.examined += len(data)
            return Lines([], [])
        end = self.examined + found + 1
        return self._one_line(self._block(longest), end, end - 1 - self.offset, longest)

    def _one_line(self, data: bytes, end: int, size: int, longest: int) -> Lines:
        line = whole(data, self.generation << OFFSET_BITS | end, longest, size - len(data))
        self.go_to(end, self._before(end))
        return line
