"""Pipes, named and standard input: writers come, go, die and are faster than we are."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from sidecar.logic.schema import load
from sidecar.logs.settings import Fifo, Stdin
from sidecar.logs.sources.fifo import FifoSource, StdinSource
from tests.fakes import FakeClock, RecordingIntake, source_context, until
from tests.sidecar.logs.sources.support import running


class Bench:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.intake = RecordingIntake()
        self.clock = FakeClock()
        self.context = source_context(self.intake, self.clock)
        self.counters = self.context.counters

    @asynccontextmanager
    async def running(self, **settings: int) -> AsyncIterator[None]:
        async with running(FifoSource(Fifo(path=str(self.path), **settings), self.context)):
            yield

    async def after(self, condition: Callable[[], object]) -> None:
        """Seconds pass until `condition` is true."""
        async with asyncio.timeout(20):
            while not condition():
                await self.clock.advance(1)
                await asyncio.sleep(0.001)

    async def writer(self) -> int:
        """Opened to write, once somebody reads."""
        async with asyncio.timeout(20):
            while True:
                try:
                    return os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
                except OSError:
                    await self.clock.advance(1)
                    await asyncio.sleep(0.001)

    async def write(self, pipe: int, data: bytes) -> None:
        """Also more than the pipe holds."""
        writing = asyncio.create_task(asyncio.to_thread(os.write, pipe, data))
        await self.after(writing.done)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    os.mkfifo(tmp_path / "log")
    return Bench(tmp_path / "log")


async def test_lines_come_with_the_bytes_so_far_as_marks(bench: Bench) -> None:
    async with bench.running():
        pipe = await bench.writer()
        os.write(pipe, b"one\ntwo\r\nthr")
        await bench.after(lambda: len(bench.intake.lines) == 2)
        os.write(pipe, b"ee\n")
        await bench.after(lambda: len(bench.intake.lines) == 3)
        os.close(pipe)
    (stream,) = bench.intake.streams
    assert stream.lines == [b"one", b"two", b"three"]
    assert stream.marks == [4, 9, 15]
    assert stream.attributes == {"log.file.path": str(bench.path)}


async def test_writers_come_and_go(bench: Bench) -> None:
    async with bench.running():
        for number in range(3):
            pipe = await bench.writer()
            os.write(pipe, b"whole %d\nhalf %d" % (number, number))
            os.close(pipe)
            await bench.after(lambda number=number: len(bench.intake.lines) == 2 * number + 2)  # type: ignore[misc]
        assert bench.intake.lines[-2:] == [b"whole 2", b"half 2"]
        assert bench.intake.streams[0].flushed
        assert len(bench.intake.streams) == 1


async def test_a_silent_writer_costs_one_look_a_second(bench: Bench) -> None:
    async with bench.running():
        pipe = await bench.writer()
        os.write(pipe, b"one\n")
        await bench.after(lambda: bench.intake.lines == [b"one"])
        await until(lambda: len(bench.clock._sleepers) == 1)
        (wakes, _, _) = bench.clock._sleepers[0]
        assert wakes - bench.clock.time > 0.9
        os.close(pipe)


async def test_a_pipe_that_is_not_there_yet_is_waited_for_and_said_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "late")
    with capture_logs() as said:
        async with bench.running():
            await bench.after(lambda: bench.counters.errors.get("not_open") == 3)
            os.mkfifo(bench.path)
            pipe = await bench.writer()
            os.write(pipe, b"one\n")
            await bench.after(lambda: bench.intake.lines == [b"one"])
            os.close(pipe)
    assert [(each["log_level"], each.get("why")) for each in said] == [
        ("warning", "No such file or directory"),
        ("info", None),
    ]


async def test_a_pipe_made_anew_is_read_when_the_old_one_is_empty(bench: Bench) -> None:
    async with bench.running():
        old = await bench.writer()
        bench.path.unlink()
        os.mkfifo(bench.path)
        os.write(old, b"old\n")
        await bench.after(lambda: bench.intake.lines == [b"old"])
        os.close(old)
        new = await bench.writer()
        os.write(new, b"new\n")
        await bench.after(lambda: bench.intake.lines == [b"old", b"new"])
        os.close(new)


async def test_a_pipe_made_anew_is_read_beside_the_old_one_while_that_has_writers(bench: Bench) -> None:
    async with bench.running():
        old = await bench.writer()
        os.write(old, b"old\n")
        await bench.after(lambda: bench.intake.lines == [b"old"])
        bench.path.unlink()
        os.mkfifo(bench.path)
        new = await bench.writer()
        os.write(new, b"new\nha")
        await bench.after(lambda: bench.intake.lines == [b"old", b"new"])
        assert bench.counters.streams == 2
        os.write(old, b"last words\nand no")
        await bench.after(lambda: len(bench.intake.lines) == 3)
        os.close(old)
        await bench.after(lambda: len(bench.intake.lines) == 4)
        os.write(new, b"lf\n")
        await bench.after(lambda: len(bench.intake.lines) == 5)
        assert bench.counters.streams == 1
        os.close(new)
    first, second = bench.intake.streams
    assert first.lines == [b"old", b"last words", b"and no"]
    assert second.lines == [b"new", b"half"]
    assert first.uid != second.uid


async def test_a_pipe_that_was_taken_away_is_read_until_its_writers_have_gone(bench: Bench) -> None:
    with capture_logs() as said:
        async with bench.running():
            pipe = await bench.writer()
            bench.path.unlink()
            await bench.clock.advance(5)
            os.write(pipe, b"one\n")
            await bench.after(lambda: bench.intake.lines == [b"one"])
            assert (said, bench.counters.why) == ([], "")
            os.close(pipe)
            await bench.after(lambda: bench.counters.why)
    assert [each["why"] for each in said] == ["No such file or directory"]


async def test_of_very_many_pipes_with_silent_writers_the_next_one_waits_and_that_is_said(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.logs.sources.fifo.MOST", 2)
    with capture_logs() as said:
        async with bench.running():
            pipes = []
            for _ in range(2):
                pipes.append(await bench.writer())
                bench.path.unlink()
                os.mkfifo(bench.path)
            await bench.after(lambda: said)
            assert bench.counters.why == "2 pipes that had its name are still written to"
            os.close(pipes.pop(0))
            pipes.append(await bench.writer())
            os.write(pipes[-1], b"here\n")
            await bench.after(lambda: bench.intake.lines == [b"here"])
            assert bench.counters.why == ""
    for pipe in pipes:
        os.close(pipe)
    assert bench.counters.streams == 0


async def test_a_file_is_no_pipe(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "file")
    bench.path.write_text("line\n")
    with capture_logs() as said:
        async with bench.running():
            await until(lambda: said)
    assert said[0]["why"] == "it is no pipe: files are read by `file`"


async def test_lines_longer_than_the_cap_are_cut_and_counted(bench: Bench) -> None:
    async with bench.running(max_line=100):
        pipe = await bench.writer()
        os.write(pipe, b"x" * 5000)
        os.write(pipe, b"x" * 5000 + b"\nnext\n")
        await bench.after(lambda: len(bench.intake.lines) == 2)
        os.close(pipe)
    assert bench.intake.lines == [b"x" * 100, b"next"]
    assert (bench.counters.cut_lines, bench.counters.cut_bytes) == (1, 9900)


async def test_a_writer_waits_a_second_at_most_and_what_is_lost_is_counted(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.logs.pipe_lines.PATIENCE", 0.05)
    bench.intake.open.clear()
    lines = [b"%07d" % number + b"." * 992 + b"\n" for number in range(8000)]
    with capture_logs() as said:
        async with bench.running():
            pipe = await bench.writer()
            os.set_blocking(pipe, True)
            await bench.write(pipe, b"".join(lines[:4000]))
            await until(lambda: bench.counters.lost_bytes)
            monkeypatch.setattr("sidecar.logs.pipe_lines.PATIENCE", 20)
            bench.intake.open.set()
            await bench.after(lambda: bench.intake.lines)
            await bench.write(pipe, b"".join(lines[4000:]))
            await bench.after(lambda: bench.intake.lines[-1] == lines[-1][:-1])
            os.close(pipe)
    came = [int(line[:7]) for line in bench.intake.lines]
    assert all(len(line) == 999 for line in bench.intake.lines), "no line is half a line"
    assert came == sorted(set(came))
    assert bench.counters.lost_bytes == (8000 - len(came)) * 1000
    assert [each["log_level"] for each in said] == ["warning", "info"]


async def test_standard_input_is_read_to_its_end(tmp_path: Path) -> None:
    read, write = os.pipe()
    intake = RecordingIntake()
    source = StdinSource(Stdin(), source_context(intake), read)
    task = asyncio.create_task(source.run())
    os.write(write, b"one\ntw")
    await until(lambda: intake.lines == [b"one"])
    os.write(write, b"o")
    os.close(write)
    await asyncio.wait_for(task, 20)
    assert intake.lines == [b"one", b"two"]
    assert intake.streams[0].flushed == [2]
    os.close(read)


@pytest.mark.parametrize("content", [b"", b"one\ntwo\n", b"x\n" * 2_000_000])
async def test_standard_input_may_be_a_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    intake = RecordingIntake()
    handle = os.open(tmp_path / "file", os.O_RDONLY)
    await StdinSource(Stdin(), source_context(intake), handle).run()
    os.close(handle)
    assert intake.lines == content.split(b"\n")[:-1]


async def test_standard_input_may_be_nothing() -> None:
    intake = RecordingIntake()
    handle = os.open(os.devnull, os.O_RDONLY)
    await StdinSource(Stdin(), source_context(intake), handle).run()
    os.close(handle)
    assert intake.lines == []


def test_a_relative_path_is_named() -> None:
    assert [problem.path for problem in load(Fifo, {"path": "log"}, {}, "file")[1]] == ["path"]
    assert load(Fifo, {"path": "/var/run/app/log"}, {}, "file")[1] == []
