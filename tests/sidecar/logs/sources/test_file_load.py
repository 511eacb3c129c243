"""Long lines, strange bytes, many files, fast ones, and clocks that jump: bounded memory, right counters, and still followed."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

from tests.fakes import FakeClock
from tests.sidecar.logs.sources.following import Follower, write
from tests.sidecar.logs.sources.test_file_scenarios import numbered, rotate


async def test_a_line_of_10_mib_that_comes_in_pieces(tmp_path: Path) -> None:
    """A look between any two of them, and a restart in the midst of it."""
    log = tmp_path / "app.log"
    follower = Follower(log, max_line=1000)
    piece = b"x" * (512 << 10)
    with log.open("ab", buffering=0) as writer:
        for number in range(20):
            writer.write(piece)
            assert await follower.read() == []
            if number == 10:
                follower = follower.crash()
        writer.write(b"\nnext\n")
    assert await follower.read() == [b"x" * 1000, b"next"]
    assert (follower.counters.cut_lines, follower.counters.cut_bytes) == (1, 20 * len(piece) - 1000)


async def test_bytes_that_are_no_text_are_handed_on_as_they_are(tmp_path: Path) -> None:
    content = [
        bytes(byte for byte in range(256) if byte != 10),
        b"\xff\xfe\x00",
        b"a\x00b",
        b"\xed\xa0\x80",
        b"\r",
        b"",
    ]
    (tmp_path / "app.log").write_bytes(b"first\n" + b"".join(line + b"\n" for line in content))
    expected = [b"first", *(line.removesuffix(b"\r") for line in content)]
    assert await Follower(tmp_path / "app.log").read() == expected


async def test_a_thousand_files_are_followed_with_a_quarter_of_the_descriptors(tmp_path: Path) -> None:
    for number in range(1000):
        write(tmp_path / f"{number}.log", f"{number}")
    before = len(os.listdir("/proc/self/fd"))
    follower = Follower(tmp_path / "*.log")
    await follower.read()
    assert follower.counters.streams == 1000
    for number in range(0, 1000, 7):
        write(tmp_path / f"{number}.log", f"{number + 1000}")
    (tmp_path / "3.log").rename(tmp_path / "3.old")
    write(tmp_path / "3.old", "2000")
    assert len(os.listdir("/proc/self/fd")) - before <= min(257, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 8)
    expected = [*range(1000), *range(1000, 2000, 7), 2000]
    assert sorted(await follower.read()) == sorted(numbered(*expected))
    again = follower.crash()
    assert await again.read() == []
    follower.source._table.close()
    again.source._table.close()
    assert len(os.listdir("/proc/self/fd")) == before


class Jumping(FakeClock):
    """The time of day goes where it likes."""

    ahead = 0.0

    def now(self) -> float:
        return self.time + self.ahead


async def test_the_time_of_day_may_jump_and_files_may_be_from_any_time(tmp_path: Path) -> None:
    log, clock = tmp_path / "app.log", Jumping()
    follower = Follower(log, clock=clock)
    for number, day in enumerate((0, 400, -20_000, 3, -1)):
        clock.ahead = day * 86400.0
        write(log, f"{number}")
        os.utime(log, (clock.now(), max(0.0, clock.now())))
        await follower.after(0.3)
        rotate(log, keep=9)
    assert sorted(await follower.after(10)) == numbered(0, 1, 2, 3, 4)
    assert follower.counters.lag_seconds <= 20


def test_a_file_that_grows_by_100_mb_a_second_is_followed_in_bounded_memory(tmp_path: Path) -> None:
    """In a process of its own, which is asked for its peak. The writer waits for nobody."""
    log, size, seconds = tmp_path / "app.log", 10 << 20, 2
    block = (b"%0999d\n" % 7) * (size // 1000)
    with subprocess.Popen(
        [sys.executable, "-c", GROWING, str(log), str(size // 1000 * 10 * seconds)], stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "ready\n"
        began = time.monotonic()
        with log.open("ab", buffering=0) as writer:
            for number in range(10 * seconds):
                time.sleep(max(0.0, began + number / 10 - time.monotonic()))
                writer.write(block)
        lines, total, peak = json.loads(reader.stdout.readline())
    log.unlink()
    assert lines == size // 1000 * 10 * seconds
    assert total == lines * 999
    assert peak < 8 << 20


GROWING = """
import asyncio, json, resource, sys
from pathlib import Path
from sidecar.io.clock import SystemClock
from tests.fakes import RecordingStream
from tests.sidecar.logs.sources.following import Follower

count = total = 0

async def feed(self, lines, marks, times=None, iostream=""):
    global count, total
    count += len(lines)
    total += sum(map(len, lines))
    await asyncio.sleep(0)

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10

async def main():
    RecordingStream.feed = feed
    follower = Follower(Path(sys.argv[1]), clock=SystemClock())
    await follower.source.poll()
    before = peak()
    print("ready", flush=True)
    running = asyncio.create_task(follower.source.run())
    while count < int(sys.argv[2]):
        await asyncio.sleep(0.05)
    print(json.dumps([count, total, peak() - before]), flush=True)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

asyncio.run(main())
"""
