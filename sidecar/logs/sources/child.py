"""The output of the command that `outrider run -- COMMAND` has started, as its launcher copies it.

A frame's header says where in the stream it begins, so marks are offsets, and mean the same to a sidecar that is started anew in
the midst. There is no checkpoint: what the launcher has handed over is not handed over again, so lines that a sidecar which is
killed had read and not yet delivered are lost. Lines that found no room are counted by the launcher (`dropped`, `launcher`), and
with them those for which no time is left in the end.
"""

from __future__ import annotations

import asyncio
import hashlib
import socket
from collections.abc import Mapping
from typing import NamedTuple

from ...io.readable import readable
from ...logic.launch import CONTINUES, HEADER, LARGEST, LAST, STREAMS
from ...logic.lines import Lines, split, whole
from ...model.counters import LogCounters
from ..base import Intake, SourceContext, Stream


class Copy(NamedTuple):
    """The launcher's end: a socket that does not block, and the name of this run of the command, the same for every sidecar
    beside it."""

    socket: socket.socket
    run: str


BATCH = 256 << 10
"""Bytes taken from the launcher before they are handed on."""


class ChildSource:
    """`ended` is set when the command's output has been read to its end and handed on."""

    def __init__(self, max_line: int, context: SourceContext, copy: Copy) -> None:
        """Lines are cut after `max_line` bytes."""
        self.ended = asyncio.Event()
        self._over = False
        """Everything has been read."""
        self._copy = copy.socket
        self._counters = context.counters
        self._outputs = {
            number: _Output(name, uid(copy.run, name), max_line, context.intake, context.counters)
            for number, name in STREAMS.items()
        }

    async def run(self) -> None:
        while not self.ended.is_set():
            waits = self._take()
            for output in self._outputs.values():
                await output.hand_on()
            if self._over:
                self.ended.set()
            elif waits:
                await readable(self._copy)

    def _take(self) -> bool:
        """Take frames, a batch at most; whether there was less."""
        taken = 0
        while taken < BATCH:
            try:
                frame = self._copy.recv(LARGEST)
            except BlockingIOError:
                return True
            if not frame:
                for output in self._outputs.values():
                    output.end()
                self._over = True
                return False
            taken += len(frame)
            self._outputs[frame[0]].take(frame)
        return False

    async def give_up(self, timeout: float) -> int:
        """Reading was cancelled and there is no more time: take the rest of the output, within `timeout` seconds, and count as
        dropped all that was not handed on. How many lines."""
        try:
            async with asyncio.timeout(timeout):
                while not self._over:
                    if self._take():
                        await readable(self._copy)
                    await asyncio.sleep(0)
        except TimeoutError:
            pass  # what the launcher still has it counts itself
        lost = sum(output.found for output in self._outputs.values()) - self._counters.lines
        _drop(self._counters, lost)
        return lost

    def checkpoint(self) -> Mapping[str, object]:
        return {}


def _drop(counters: LogCounters, lines: int) -> None:
    if lines:
        counters.dropped["launcher"] = counters.dropped.get("launcher", 0) + lines


def uid(run: str, name: str) -> bytes:
    return hashlib.blake2b(f"{run} {name}".encode(), digest_size=8).hexdigest().encode()


class _Output:
    """One stream of the command: frames in, lines out."""

    def __init__(self, name: str, uid: bytes, max_line: int, intake: Intake, counters: LogCounters) -> None:
        self._name = name
        self._uid = uid
        self._max_line = max_line
        self._intake = intake
        self._counters = counters
        self._stream: Stream | None = None
        self._parts: list[bytes] = []
        """Of the line that is not complete, `_held` bytes, which end at the offset `_end`."""
        self._held = self._end = self._time = 0
        self._headless = self._cutting = False
        """The rest of a line is not wanted: another sidecar has read its beginning, or it is too long."""
        self._over = self._flushes = False
        """Nothing comes any more; that is still to be told."""
        self.found = 0
        """Lines, in all."""
        self._lines: list[bytes] = []
        self._marks: list[int] = []
        self._times: list[int] = []

    def take(self, frame: bytes) -> None:
        _, flags, lost, offset, self._time = HEADER.unpack_from(frame)
        data = frame[HEADER.size :]
        if self._stream is None:
            self._stream = self._intake.stream(self._uid, {}, offset)
            self._counters.streams += 1
            self._headless = bool(flags & CONTINUES) and offset > 0
            lost += self._headless
        _drop(self._counters, lost)
        if not flags & CONTINUES:
            self._forget()
        self._end = offset + len(data)
        self._split(data)
        if flags & LAST:
            self.end()

    def end(self) -> None:
        """Nothing comes any more: the last line may have no end."""
        if self._stream is None or self._over:
            return
        if self._held:
            self._add(whole(b"".join(self._parts), self._end, self._max_line))
        self._forget()
        self._over = self._flushes = True
        self._counters.streams -= 1

    async def hand_on(self) -> None:
        if self._stream is None:
            return
        lines, marks, times = self._lines, self._marks, self._times
        if lines:
            self._lines, self._marks, self._times = [], [], []
            await self._stream.feed(lines, marks, times, self._name)
        if self._flushes:
            self._flushes = False
            await self._stream.flush()

    def _split(self, data: bytes) -> None:
        if self._headless or self._cutting:
            rest, newline, data = data.partition(b"\n")
            self._counters.cut_bytes += len(rest) if self._cutting else 0
            if not newline:
                return
            self._headless = self._cutting = False
        start = self._end - len(data) - self._held
        self._parts.append(data)
        self._held += len(data)
        if b"\n" in data:
            block = b"".join(self._parts)
            self._add(split(block, start, self._max_line))
            rest = block[block.rfind(b"\n") + 1 :]
            self._parts, self._held = [rest], len(rest)
        if self._held > self._max_line:
            self._add(whole(b"".join(self._parts), self._end, self._max_line))
            self._forget()
            self._cutting = True

    def _add(self, found: Lines) -> None:
        self.found += len(found.lines)
        self._lines += found.lines
        self._marks += found.marks
        self._times += [self._time] * len(found.lines)
        self._counters.cut_lines += found.cut
        self._counters.cut_bytes += found.cut_bytes

    def _forget(self) -> None:
        self._parts, self._held = [], 0
        self._headless = self._cutting = False
