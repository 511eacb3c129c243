"""From a pipe to a stream of lines, so that whoever writes into the pipe hardly ever waits for us.

What is read waits in a buffer of `ROOM` bytes until the pipeline takes it. When that is full and no room is made within
`PATIENCE`, reading goes on all the same, and what comes is lost: counted in bytes, and said once. A pipe cannot be read again, so
there is nothing to remember either.
"""

from __future__ import annotations

import asyncio
from collections import deque

from ..logic.carry import Carry
from ..logic.lines import split, whole
from .base import SourceContext, Stream

ROOM = 1 << 20
PATIENCE = 1.0
"""Seconds for which a writer may wait at most, once the pipe is full as well (64 KiB)."""


class PipeLines:
    """`put` by one task, `run` by another."""

    def __init__(self, stream: Stream, max_line: int, context: SourceContext, *, drops: bool = True) -> None:
        """Without `drops` it waits for room however long it takes."""
        self._stream = stream
        self._max_line = max_line
        self._context = context
        self._counters = context.counters
        self._drops = drops
        self._carry = Carry(max_line + 1, context.counters)
        self._waiting: deque[bytes | None] = deque()
        """Blocks, with None where something is missing between two of them."""
        self._size = 0
        self._offset = 0
        self._headless = False
        """The rest of a line whose beginning was lost is to be passed over."""
        self._lost = False
        self._ended = False
        self._came = asyncio.Event()
        self._went = asyncio.Event()

    async def put(self, data: bytes) -> None:
        """Returns within `PATIENCE`. No data is a line's end: the writer has gone."""
        if self._size >= ROOM and not self._lost:
            await self._room()
        if self._size < ROOM:
            if self._lost:
                self._lost = False
                self._context.log.info("lines of a pipe are read again", source=self._context.name)
            self._waiting.append(data)
            self._size += len(data)
            self._came.set()
            return
        if not self._lost:
            self._lost = True
            self._waiting.append(None)
            self._context.log.warning(
                "lines of a pipe are lost: nobody takes them, and their writer must not wait", source=self._context.name
            )
        self._counters.lost_bytes += len(data)

    def end(self) -> None:
        """Nothing will be put any more: `run` returns when all is taken."""
        self._ended = True
        self._came.set()

    async def run(self) -> None:
        while True:
            while not self._waiting:
                if self._ended:
                    await self._finish_line()
                    return
                self._came.clear()
                await self._came.wait()
            data = self._waiting.popleft()
            if data is None:
                self._counters.lost_bytes += len(self._carry.rest())
                self._headless = True
            elif not data:
                await self._finish_line()
            else:
                await self._take(data)
                self._size -= len(data)
                self._went.set()

    async def _room(self) -> None:
        try:
            async with asyncio.timeout(PATIENCE if self._drops else None):
                while self._size >= ROOM:
                    self._went.clear()
                    await self._went.wait()
        except TimeoutError:
            pass  # `put` sees it

    async def _take(self, data: bytes) -> None:
        if self._headless:
            lost, end, data = data.partition(b"\n")
            self._counters.lost_bytes += len(lost) + len(end)
            self._headless = not end
        block = self._carry.feed(data)
        if block:
            lines = split(block, self._offset, self._max_line)
            self._offset += len(block)
            self._counters.cut_lines += lines.cut
            self._counters.cut_bytes += lines.cut_bytes
            await self._stream.feed(lines.lines, lines.marks)

    async def _finish_line(self) -> None:
        """The last line may have no end."""
        rest = self._carry.rest()
        if rest:
            self._offset += len(rest)
            line = whole(rest, self._offset, self._max_line)
            self._counters.cut_lines += line.cut
            self._counters.cut_bytes += line.cut_bytes
            await self._stream.feed(line.lines, line.marks)
        self._headless = False
        await self._stream.flush()
