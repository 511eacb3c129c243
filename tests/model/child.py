"""The file source in a process of its own, so that it can be ended by SIGKILL at any moment.

It is told by lines, `poll`, `save` and `advance 2.5`, and answers each with a line. What it is fed it appends to the file
`delivered` at once: that is settled. What it saves goes where the daemon's checkpoints go.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog

from sidecar.io.checkpoints import Checkpoints
from sidecar.logs.file_memory import Remembered, recall
from tests.fakes import FakeClock
from tests.model.files import Identity
from tests.model.intake import Intake
from tests.model.reader import opened, source_of


class Child:
    """The parent's end: a `Reader`. Most kills come while it is at work; `kills` tells when each of them did."""

    def __init__(self, pattern: Path, intake: Intake, rng: random.Random) -> None:
        self._pattern, self._intake, self._rng = pattern, intake, rng
        self._away = pattern.parent / "reader"
        self._away.mkdir()
        self._delivered = 0
        self._time = FakeClock().time
        self._process: subprocess.Popen[str] | None = None
        self.kills: list[str] = []

    @property
    def alive(self) -> bool:
        return self._process is not None

    async def start(self) -> None:
        self._start()

    def _start(self) -> None:
        command = [sys.executable, "-m", "tests.model.child", str(self._pattern), str(self._away), str(self._time)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    async def poll(self) -> bool | None:
        found = self._ask("poll") == "True"
        await self._look()
        return found

    async def save(self) -> None:
        self._ask("save")

    async def advance(self, seconds: float) -> None:
        self._time += seconds
        if self._process is not None:
            self._ask(f"advance {seconds}")

    async def kill(self) -> None:
        process, self._process = self._process, None
        assert process is not None
        assert process.stdin is not None
        told, began = "", time.perf_counter()
        if self._rng.random() < 0.7:
            told = self._rng.choice(("poll\n", "poll\nsave\n"))
            process.stdin.write(told)
            process.stdin.flush()
            await asyncio.sleep(self._rng.uniform(0, 0.003))
        process.send_signal(signal.SIGKILL)
        after = f"{(time.perf_counter() - began) * 1e3:.2f} ms after it was told to {' and '.join(told.split())}"
        self.kills.append(after if told else "at rest")
        with process:
            pass
        await self._look()

    def remembered(self) -> list[Remembered]:
        saved = Checkpoints(str(self._away), structlog.get_logger()).load().get("model")
        return recall(saved).files if saved else []

    def holds(self, identity: Identity) -> bool:
        return self._process is not None and identity in opened(self._process.pid, self._pattern.parent).values()

    def _ask(self, word: str) -> str:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the reader has ended when it was told to {word}")
        return answer.strip()

    async def _look(self) -> None:
        """Take what it has delivered since the last time."""
        self._intake.up = True  # the child's own is never full
        delivered = self._away / "delivered"
        if not delivered.exists():
            return
        with delivered.open("rb") as lines:
            lines.seek(self._delivered)
            for line in lines:
                uid, start, texts, marks = json.loads(line)
                stream = next((one for one in self._intake.streams if one.uid == uid.encode()), None)
                if stream is None:
                    stream = self._intake.stream(uid.encode(), {}, start)
                await stream.feed([text.encode("latin-1") for text in texts], marks)
            self._delivered = lines.tell()
        self._intake.settle(1.0)


class Appending:
    """The child's intake and its stream: what is fed is on the disk, and so settled, before `feed` returns."""

    def __init__(self, handle: int, uid: str = "", start: int = 0) -> None:
        self._handle, self._uid, self._start = handle, uid, start

    def stream(self, uid: bytes, attributes: Mapping[str, str], start: int) -> Appending:
        return Appending(self._handle, uid.decode(), start)

    async def feed(
        self, lines: Sequence[bytes], marks: Sequence[int], times: Sequence[int] | None = None, iostream: str = ""
    ) -> None:
        record = [self._uid, self._start, [line.decode("latin-1") for line in lines], list(marks)]
        os.write(self._handle, json.dumps(record).encode() + b"\n")

    def safe(self, read_to: int) -> int:
        return read_to

    async def flush(self) -> None: ...


async def serve(pattern: Path, away: Path, now: float) -> None:
    delivered = os.open(away / "delivered", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    checkpoints = Checkpoints(str(away), structlog.get_logger())
    clock = FakeClock(now)
    remembered = checkpoints.load().get("model", {})
    source = source_of(pattern, Appending(delivered), clock, dict(remembered))
    for told in sys.stdin:
        word, *amount = told.split()
        if word == "poll":
            answer: object = await source.poll()
        elif word == "save":
            answer = await checkpoints.save({"model": source.checkpoint()})
        else:
            await clock.advance(float(amount[0]))
            answer = "done"
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])))
