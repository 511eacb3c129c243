"""Lines that a program writes into a pipe: one with a name (`mkfifo`), or our standard input (`app | outrider run`).

A named pipe that is not there yet is waited for; writers may come and go. It may be made anew: the new one is opened within
`WAIT`, and the old one is read beside it until its writers have gone, however long they are silent, so that neither a writer of
the new one waits nor a line of the old one is lost. A pipe is a stream. Standard input is read to its end and is not passed on:
whoever wants to see it beside us puts `tee` between. Of a line whose writer dies in its midst, what there is of it is taken.

A pipe holds what is in it for one reader once. There are no checkpoints: what was read and not yet delivered when we are killed
is lost, and a writer that goes on while we are away waits, or dies of SIGPIPE, as with any reader. While we run it waits for a
second at most, see `pipe_lines`.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Mapping

from ...io.readable import readable
from ..api_stream import uid_of
from ..base import SourceContext
from ..pipe_lines import PipeLines
from ..settings import Fifo, Stdin

BLOCK = 64 << 10
LOOK = 0.2
"""Seconds between looks at a pipe that nobody has opened to write."""
WAIT = 1.0
"""Seconds between looks for one that is not there, or is another than before."""
MOST = 16
"""Pipes that are read at a time. One more has to wait, and its writers with it, until the writers of another have gone."""


class FifoSource:
    def __init__(self, config: Fifo, context: SourceContext) -> None:
        self._path = config.path
        self._max_line = config.max_line
        self._context = context
        self._handles: list[int] = []
        """Of the pipes that are read: the one that bears the name, and those that bore it."""

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    handle = self._open()
                    if handle is not None:
                        self._handles.append(handle)
                        group.create_task(self._follow(handle))
                    self._count()
                    await self._context.clock.sleep(WAIT)
        finally:
            for handle in self._handles:
                os.close(handle)
            self._handles.clear()
            self._count()

    def checkpoint(self) -> Mapping[str, object]:
        return {}

    def _open(self) -> int | None:
        """The pipe that bears the name, unless it is read already."""
        if any(map(self._bears_name, self._handles)):
            return None
        if len(self._handles) >= MOST:
            self._trouble(f"{MOST} pipes that had its name are still written to")
            return None
        try:
            handle = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if not self._handles:  # else it may have been taken away once it was open
                self._trouble(error.strerror or str(error))
            return None
        if not stat.S_ISFIFO(os.fstat(handle).st_mode):
            os.close(handle)
            self._trouble("it is no pipe: files are read by `file`")
            return None
        if self._context.counters.why:
            self._context.counters.why = ""
            self._context.log.info("the pipe is read", source=self._context.name, path=self._path)
        return handle

    async def _follow(self, handle: int) -> None:
        uid = uid_of(self._path, str(self._context.clock.now()))
        stream = self._context.intake.stream(uid, {"log.file.path": self._path}, 0)
        lines = PipeLines(stream, self._max_line, self._context)
        async with asyncio.TaskGroup() as group:
            group.create_task(lines.run())
            await self._read(handle, lines)
            lines.end()
        self._handles.remove(handle)
        os.close(handle)
        self._count()

    async def _read(self, handle: int, lines: PipeLines) -> None:
        """Until another pipe, or none, bears the name, and this one is empty. It is not closed when its writers have gone: one
        that opens it in that moment would die of SIGPIPE."""
        writers = False
        while True:
            try:
                data = os.read(handle, BLOCK)
            except BlockingIOError:  # there is a writer, and it is silent
                writers = True
                await readable(handle)
                continue
            if data:
                writers = True
                await lines.put(data)
                await asyncio.sleep(0)
                continue
            if writers:
                writers = False
                await lines.put(b"")
            if not self._bears_name(handle):
                return
            await self._context.clock.sleep(LOOK)

    def _bears_name(self, handle: int) -> bool:
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(handle))
        except OSError:
            return False

    def _count(self) -> None:
        self._context.counters.streams = len(self._handles)

    def _trouble(self, why: str) -> None:
        errors = self._context.counters.errors
        errors["not_open"] = errors.get("not_open", 0) + 1
        if why != self._context.counters.why:
            self._context.counters.why = why
            self._context.log.warning("the pipe cannot be read", source=self._context.name, path=self._path, why=why)


class StdinSource:
    """Also of a terminal, a file, or /dev/null. `run` returns at the end of the input."""

    def __init__(self, config: Stdin, context: SourceContext, handle: int = 0) -> None:
        self._handle = handle
        self._context = context
        mode = os.fstat(handle).st_mode
        self._is_waited_for = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(handle)
        """Else it is always there, and its writer does not wait."""
        stream = context.intake.stream(uid_of("stdin", str(context.clock.now())), {}, 0)
        self._lines = PipeLines(stream, config.max_line, context, drops=self._is_waited_for)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._lines.run())
            self._context.counters.streams = 1
            while data := await self._block():
                await self._lines.put(data)
            self._context.counters.streams = 0
            self._lines.end()

    def checkpoint(self) -> Mapping[str, object]:
        return {}

    async def _block(self) -> bytes:
        """What there is; nothing at the end. The handle stays one that blocks, for others may have it too."""
        if self._is_waited_for:
            await readable(self._handle)
        else:
            await asyncio.sleep(0)
        return os.read(self._handle, BLOCK)
