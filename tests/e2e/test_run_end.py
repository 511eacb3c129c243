"""The end of a command: its last output goes on as long as the drain does, and what is lost of it is told."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.e2e.processes import eventually, outrider
from tests.e2e.test_run_command import environment, sidecar_of
from tests.fakes import RecordingUpstream, until


class Run:
    """A command that writes `lines` lines of 100 bytes once it is told, and then ends with code 5."""

    def __init__(self, process: asyncio.subprocess.Process, errors: Path, lines: int) -> None:
        self.process = process
        self._errors = errors
        self._lines = lines

    @property
    def said(self) -> str:
        return self._errors.read_text()

    @property
    def untaken(self) -> int:
        """Lines that did not reach the sidecar, as the launcher says."""
        found = re.findall(r"^outrider: (\d+) lines of output did not reach the sidecar$", self.said, re.MULTILINE)
        return sum(map(int, found))

    async def output(self) -> None:
        """All of it has come, and its end: the command has ended."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(b"go\n")
        async with asyncio.timeout(30):
            assert len(await self.process.stdout.read(-1)) == 100 * self._lines

    async def end(self) -> None:
        async with asyncio.timeout(50):
            assert await self.process.wait() == 5, self.said


@asynccontextmanager
async def writing(lines: int, upstream: RecordingUpstream, tmp_path: Path, drain: str) -> AsyncIterator[Run]:
    program = (
        "import sys\n"
        "sys.stdin.readline()\n"
        f"for n in range({lines}): print('%06d' % n, 'x' * 92)\n"
        "sys.stdout.flush()\n"
        "sys.exit(5)\n"
    )
    environ = environment(
        OTEL_EXPORTER_OTLP_ENDPOINT=upstream.url, OUTRIDER_DRAIN=drain, OUTRIDER_METRICS_INTERVAL="10m"
    )
    pipe, errors = asyncio.subprocess.PIPE, tmp_path / "stderr"
    with errors.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *outrider("run", "--", sys.executable, "-c", program), env=environ, stdin=pipe, stdout=pipe, stderr=log
        )
    run = Run(process, errors, lines)
    try:
        await asyncio.to_thread(eventually, lambda: '"command runs"' in run.said, 30)
        yield run
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def lost(upstream: RecordingUpstream) -> int:
    """Lines that the metrics tell to be lost between the launcher and the sidecar."""
    told = [(int(p.as_double), {pair.value.string_value for pair in p.attributes}) for _, p in upstream.points]
    return max((lines for lines, values in told if "launcher" in values), default=0)


async def test_the_last_output_waits_for_a_sidecar_that_rests(tmp_path: Path) -> None:
    total = 9000
    async with RecordingUpstream() as upstream, writing(total, upstream, tmp_path, "20s") as run:
        sidecar = sidecar_of(run.process.pid)
        os.kill(sidecar, signal.SIGSTOP)
        await run.output()
        await asyncio.sleep(1.5)
        os.kill(sidecar, signal.SIGCONT)
        await run.end()
        assert len({record.body.string_value for _, record in upstream.records}) == total
        assert (run.untaken, lost(upstream)) == (0, 0)
        assert "did not reach" not in run.said


async def test_a_slow_upstream_gets_all_that_found_room_and_the_rest_is_counted(tmp_path: Path) -> None:
    total = 60_000
    async with RecordingUpstream() as upstream, writing(total, upstream, tmp_path, "20s") as run:
        upstream.hold.clear()
        await run.output()
        await until(lambda: '"draining"' in run.said)
        upstream.hold.set()
        await run.end()
        arrived = len({record.body.string_value for _, record in upstream.records})
        assert arrived + lost(upstream) == total
        assert run.untaken == lost(upstream) > 0


async def test_a_sidecar_that_is_stopped_is_killed_and_what_it_did_not_take_is_told(tmp_path: Path) -> None:
    total = 20_000
    async with RecordingUpstream() as upstream, writing(total, upstream, tmp_path, "500ms") as run:
        os.kill(sidecar_of(run.process.pid), signal.SIGSTOP)
        await run.output()
        await run.end()
        assert "the sidecar has not ended in time and is killed" in run.said
        assert run.untaken == total


async def test_ctrl_c_ends_the_drain_at_once(tmp_path: Path) -> None:
    total = 60_000
    async with RecordingUpstream() as upstream, writing(total, upstream, tmp_path, "10m") as run:
        upstream.hold.clear()
        await run.output()
        await until(lambda: '"draining"' in run.said)
        run.process.send_signal(signal.SIGINT)
        await run.end()
        assert run.untaken > 0
