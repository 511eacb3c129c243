"""A stream as the launcher copies it: what finds no room is dropped in whole lines, and counted.

Bytes come as the command writes them, so a line may be cut anywhere. Once a part of a line is dropped its rest is too; what the
reader has of it already, it throws away when the next piece does not continue it.
"""

from __future__ import annotations

from collections.abc import Iterable

from .launch import CONTINUES, HEADER, LAST, STREAMS


class Copied:
    """`lost` lines have been dropped, and `offset` bytes written, in all."""

    def __init__(self) -> None:
        self.offset = 0
        self.lost = 0
        self._told = 0
        self._losing = False
        self._within = False

    def take(self, chunk: bytes, room: bool) -> tuple[int, int, int, bytes] | None:
        """What to send of `chunk`, with its offset, its flags and the lines that were lost before it."""
        start = self.offset
        self.offset += len(chunk)
        if self._losing:
            end = chunk.find(b"\n") + 1
            if not end:
                return None
            self.lost += 1
            self._losing = False
            chunk, start = chunk[end:], start + end
        if not chunk:
            return None
        if not room:
            self.lost += chunk.count(b"\n")
            self._losing = chunk[-1] != 10
            self._within = False
            return None
        told = start, CONTINUES if self._within else 0, self._untold(), chunk
        self._within = chunk[-1] != 10
        return told

    def last(self) -> tuple[int, int, int, bytes]:
        """What to send when nothing comes any more."""
        self.lost += self._losing
        self._losing = False
        return self.offset, LAST | (CONTINUES if self._within else 0), self._untold(), b""

    def _untold(self) -> int:
        lost, self._told = self.lost - self._told, self.lost
        return lost


def lines_in(frames: Iterable[bytes]) -> int:
    """How many lines end in `frames`, or are left without an end; those that were dropped before a frame are not counted."""
    lines, unfinished = 0, dict.fromkeys(STREAMS, False)
    for frame in frames:
        number, flags, _, _, _ = HEADER.unpack_from(frame)
        if not flags & CONTINUES:
            unfinished[number] = False  # its end was dropped, and it with that
        if len(frame) > HEADER.size:
            lines += frame.count(b"\n", HEADER.size)
            unfinished[number] = frame[-1] != 10
    return lines + sum(unfinished.values())
