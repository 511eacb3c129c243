"""The output of the command that `outrider run -- COMMAND` has started, as its launcher copies it.

A frame's header says where in the stream it begins, so marks are offsets, and mean the same to a sidecar that is started anew in
the midst. There is no checkpoint: what the launcher has handed over is not handed over again, so lines that a sidecar which is
killed had read and not yet delivered are lost. Lines that found no room are counted by the launcher (`dropped`, `launcher`).
"""

from __future__ import annotations

import asyncio
import hashlib
import socket
from collections.abc import Iterable, Mapping
from itertools import accumulate

import msgspec

from ...logic.launch import CONTINUES, HEADER, LARGEST, LAST, STREAMS
from ...logic.scalars import Bytes
from ..base import Intake, SourceContext, Stream
from ...model.counters import LogCounters

BATCH = 256 << 10
"""Bytes taken from the launcher before they are handed on."""


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """`max_line`: what is longer is cut there, and counted."""

    max_line: Bytes = 256 << 10

    def problems(self) -> Iterable[tuple[str, str, str]]:
        if not 1024 <= self.max_line <= 16 << 20:
            yield "max_line", f"{self.max_line} bytes is out of range", "1KiB to 16MiB"


class ChildSource:
    """`ended` is set when the command's output has been read to its end."""

    def __init__(self, config: Config, context: SourceContext, copy: socket.socket, run: str) -> None:
        """`run` names this run of the command, the same for every sidecar beside it."""
        self.ended = asyncio.Event()
        self._copy = copy
        self._outputs = {
            number: _Output(name, config.max_line, context.intake, context.counters, f"{run} {name}")
            for number, name in STREAMS.items()
        }
        self._counters = context.counters

    async def run(self) -> None:
        loop, readable = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._copy, readable.set)
        try:
            while not self.ended.is_set():
                await readable.wait()
                readable.clear()
                while await self._take():
                    pass
        finally:
            loop.remove_reader(self._copy)

    async def _take(self) -> bool:
        """Some frames; whether there may be more."""
        taken = 0
        while taken < BATCH:
            try:
                frame = self._copy.recv(LARGEST)
            except BlockingIOError:
                break
            if not frame:
                for output in self._outputs.values():
                    await output.end()
                self.ended.set()
                return False
            taken += len(frame)
            await self._outputs[frame[0]].take(frame)
        return taken >= BATCH

    def checkpoint(self) -> Mapping[str, object]:
        return {}
