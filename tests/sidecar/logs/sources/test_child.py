"""The command's output as its launcher copies it becomes lines, with offsets as marks."""

from __future__ import annotations

import asyncio
import io
import select
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import pytest

from sidecar.io.clock import SystemClock
from sidecar.io.log import configure
from sidecar.io.resolver import Resolver
from sidecar.logic.launch import CONTINUES, HEADER, LAST
from sidecar.logs.base import SourceContext
from sidecar.logs.sources.child import ChildSource, Copy
from sidecar.model.counters import LogCounters
from tests.fakes import until

OUT, ERR = 1, 2


class Fed:
    """An intake with one list for all streams: (iostream, line, mark, time), and `flushed` names. `open` lets feeds through."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, bytes, int, int]] = []
        self.streams: dict[bytes, int] = {}
        self.flushes = 0
        self.open = asyncio.Event()
        self.open.set()

    def stream(self, uid: bytes, attributes: Mapping[str, str], start: int) -> Fed:
        assert len(uid) == 16
        assert not attributes
        self.streams[uid] = start
        return self

    async def feed(
        self, lines: Sequence[bytes], marks: Sequence[int], times: Sequence[int] | None = None, iostream: str = ""
    ) -> None:
        await self.open.wait()
        assert times is not None
        self.lines += zip([iostream] * len(lines), lines, marks, times, strict=True)

    def safe(self, read_to: int) -> int:
        return read_to

    async def flush(self) -> None:
        self.flushes += 1


class Session:
    """A source with the launcher's end of its socket."""

    def __init__(self, max_line: int, run: str) -> None:
        self.fed, self.counters = Fed(), LogCounters()
        self.launcher, copy = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        copy.setblocking(False)
        context = SourceContext(
            "child", self.fed, SystemClock(), Resolver(), self.counters, {}, configure("error", io.StringIO())
        )
        self.copy = copy
        self.source = ChildSource(max_line, context, Copy(copy, run))
        self.reading = asyncio.create_task(self.source.run())

    def send(self, stream: int, offset: int, data: bytes, flags: int = 0, lost: int = 0, time: int = 5) -> None:
        self.launcher.send(HEADER.pack(stream, flags, lost, offset, time) + data)

    async def end(self) -> list[tuple[str, bytes, int, int]]:
        """What it has fed when it has read everything."""
        self.launcher.close()
        async with asyncio.timeout(20):
            await self.reading
        assert self.source.ended.is_set()
        return self.fed.lines


@asynccontextmanager
async def session(max_line: int = 1024, run: str = "r") -> AsyncIterator[Session]:
    made = Session(max_line, run)
    yield made
    made.reading.cancel()
    made.launcher.close()
    made.copy.close()


async def test_frames_become_lines_however_they_are_cut() -> None:
    async with session() as it:
        it.send(OUT, 0, b"one\ntw")
        it.send(ERR, 0, b"wrong\r\n", time=6)
        it.send(OUT, 6, b"o\n\nth", CONTINUES, time=7)
        it.send(OUT, 11, b"ree", CONTINUES)
        it.send(OUT, 14, b"", LAST | CONTINUES)
        lines = sorted(await it.end(), key=lambda line: line[0], reverse=True)
        assert lines == [
            ("stdout", b"one", 4, 5),
            ("stdout", b"two", 8, 7),
            ("stdout", b"", 9, 7),
            ("stdout", b"three", 14, 5),
            ("stderr", b"wrong", 7, 6),
        ]
        assert it.fed.flushes == 2
        assert it.counters.streams == 0
        assert not it.counters.dropped


async def test_a_launcher_that_is_killed_leaves_a_last_line_too() -> None:
    async with session() as it:
        it.send(OUT, 0, b"half")
        assert await it.end() == [("stdout", b"half", 4, 5)]


async def test_lines_that_the_launcher_has_dropped_are_counted_and_leave_no_half() -> None:
    async with session() as it:
        it.send(OUT, 0, b"one\nhal")
        it.send(OUT, 100, b"two\n", lost=7)
        it.send(OUT, 104, b"", LAST, lost=2)
        assert [line for _, line, _, _ in await it.end()] == [b"one", b"two"]
        assert it.counters.dropped == {"launcher": 9}


async def test_a_sidecar_that_comes_in_the_midst_of_a_line_leaves_its_rest() -> None:
    async with session() as it:
        it.send(OUT, 50, b"rest", CONTINUES)
        it.send(OUT, 54, b" of it\nnext\n", CONTINUES)
        assert await it.end() == [("stdout", b"next", 66, 5)]
        assert it.counters.dropped == {"launcher": 1}
        assert list(it.fed.streams.values()) == [50]


async def test_streams_are_the_same_for_every_sidecar_of_a_run_and_others_for_another_run() -> None:
    seen = []
    for run in ("a", "a", "b"):
        async with session(run=run) as it:
            it.send(OUT, 0, b"x\n")
            it.send(ERR, 0, b"x\n")
            await it.end()
            seen.append(set(it.fed.streams))
    assert seen[0] == seen[1]
    assert len(seen[0] | seen[2]) == 4


@pytest.mark.parametrize("frame", [1, 7, 5000])
async def test_a_line_is_cut_at_the_cap_and_what_is_cut_off_is_counted(frame: int) -> None:
    text = b"a" * 3000 + b"\nb\n" + b"c" * 1500
    async with session(max_line=1000) as it:
        for at in range(0, len(text), frame):
            flags = CONTINUES if at and text[at - 1 : at] != b"\n" else 0
            await asyncio.get_running_loop().run_in_executor(None, it.send, OUT, at, text[at : at + frame], flags)
        lines = await it.end()
        assert [line for _, line, _, _ in lines] == [b"a" * 1000, b"b", b"c" * 1000]
        assert [mark for _, _, mark, _ in lines] == sorted({mark for _, _, mark, _ in lines})
        assert (it.counters.cut_lines, it.counters.cut_bytes) == (2, 2500)


async def test_a_pipeline_without_room_holds_the_launcher_back() -> None:
    async with session() as it:
        it.launcher.setblocking(False)
        it.fed.open.clear()
        sent = 0
        try:
            while True:
                it.send(OUT, sent * 1000, b"x" * 999 + b"\n")
                sent += 1
                await asyncio.sleep(0)
        except BlockingIOError:
            it.fed.open.set()
        assert len(await it.end()) == sent


async def test_what_is_left_of_the_output_when_there_is_no_more_time_is_counted_in_whole_lines() -> None:
    """Lines that wait to be fed, and those that the launcher has still to send."""
    async with session() as it:
        it.send(OUT, 0, b"fed\n")
        await until(lambda: it.fed.lines)
        it.counters.lines += 1  # as the pipeline counts
        it.fed.open.clear()
        it.send(OUT, 4, b"read and not fed\nhe")
        it.send(ERR, 0, b"wrong\n")
        await until(lambda: not _pending(it.copy))
        it.reading.cancel()
        await asyncio.gather(it.reading, return_exceptions=True)
        it.send(OUT, 23, b"ld\n", CONTINUES)
        it.send(OUT, 90, b"no end", lost=10)
        it.launcher.close()
        assert await it.source.give_up(20) == 4
        assert it.counters.dropped == {"launcher": 14}


async def test_it_has_not_ended_before_the_last_lines_are_handed_on() -> None:
    async with session() as it:
        it.fed.open.clear()
        it.send(OUT, 0, b"one\ntwo")
        it.launcher.close()
        await until(lambda: it.fed.streams and not it.counters.streams)  # all has been read
        assert not it.source.ended.is_set()
        it.reading.cancel()
        await asyncio.gather(it.reading, return_exceptions=True)
        assert await it.source.give_up(20) == 2


async def test_a_launcher_that_does_not_end_is_not_waited_for() -> None:
    async with session() as it:
        it.reading.cancel()
        it.send(OUT, 0, b"one\n")
        assert await it.source.give_up(0.05) == 1
        assert it.counters.dropped == {"launcher": 1}


def _pending(copy: socket.socket) -> bool:
    """Is there anything that it has not received?"""
    return bool(select.select([copy], [], [], 0)[0])
