"""The output of `outrider run -- COMMAND` as log records at an upstream."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from tests.e2e.processes import eventually, get, outrider
from tests.e2e.test_run_command import environment, sidecar_of
from tests.fakes import RecordingUpstream, until
from tests.ports import free_port


async def start(*command: str, **more: Any) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(*outrider("run", "--", *command), stdout=pipe, stderr=pipe, **more)


def attributes(record: Any) -> dict[str, str]:
    return {pair.key: pair.value.string_value for pair in record.attributes}


async def test_each_line_arrives_with_its_stream_also_what_is_said_last() -> None:
    program = (
        "import os, sys\n"
        "for n in range(20000): print('line', n)\n"
        "print('oh no', file=sys.stderr, flush=True)\n"
        "sys.stdout.write('the end, without one'); sys.stdout.flush()\n"
        "os._exit(5)\n"
    )
    async with RecordingUpstream() as upstream:
        environ = environment(OTEL_EXPORTER_OTLP_ENDPOINT=upstream.url, OTEL_SERVICE_NAME="shop", OUTRIDER_DRAIN="20s")
        process = await start(sys.executable, "-c", program, env=environ)
        out, errors = await asyncio.wait_for(process.communicate(), 50)
        assert process.returncode == 5, errors
        lines = [f"line {n}" for n in range(20000)] + ["the end, without one"]
        assert out.decode().splitlines() == lines
        records = [record for _, record in upstream.records]
        bodies = {
            stream: [r.body.string_value for r in records if attributes(r)["log.iostream"] == stream]
            for stream in ("stdout", "stderr")
        }
        assert sorted(bodies["stdout"]) == sorted(lines)
        assert bodies["stderr"] == ["oh no"]
        assert {resource["service.name"] for resource, _ in upstream.records} == {"shop"}
        assert len({attributes(r)["log.record.uid"] for r in records}) == 20002
        bad = [
            (r.time_unix_nano, r.body.string_value) for r in records if abs(r.time_unix_nano - time.time_ns()) > 600e9
        ]
        assert not bad, (len(bad), bad[:5])


async def test_what_finds_no_room_while_the_sidecar_is_stopped_is_counted() -> None:
    """And nothing else: lines that arrive and lines that are counted are all lines."""
    total, api = 60_000, free_port()
    program = (
        "import sys\n"
        "sys.stdin.readline()\n"
        f"for n in range({total}): print('%06d' % n, 'x' * 92)\n"
        "sys.stdout.flush()\n"
        "sys.stdin.readline()\n"
        "print('last', flush=True)\n"
        "sys.stdin.readline()\n"
    )
    async with RecordingUpstream() as upstream:
        environ = environment(OTEL_EXPORTER_OTLP_ENDPOINT=upstream.url, OUTRIDER_API_LISTEN=f"127.0.0.1:{api}")
        process = await start(sys.executable, "-c", program, env=environ, stdin=asyncio.subprocess.PIPE)
        assert process.stdin is not None
        assert process.stdout is not None

        def source() -> dict[str, Any]:
            (found,) = json.loads(get(f"http://127.0.0.1:{api}/status").text)["logs"]["sources"]
            return dict(found)

        await asyncio.to_thread(eventually, lambda: source()["kind"] == "child", 20)
        sidecar = sidecar_of(process.pid)
        os.kill(sidecar, signal.SIGSTOP)
        process.stdin.write(b"go\n")
        passed = await asyncio.wait_for(process.stdout.readexactly(total * 100), 30)
        assert passed.count(b"\n") == total
        os.kill(sidecar, signal.SIGCONT)
        process.stdin.write(b"go\n")
        await asyncio.to_thread(eventually, lambda: source()["dropped"].get("launcher"), 20)
        await asyncio.to_thread(
            eventually, lambda: source()["lines"] + source()["dropped"]["launcher"] == total + 1, 20
        )
        dropped = source()["dropped"]["launcher"]
        process.stdin.close()
        _, errors = await asyncio.wait_for(process.communicate(), 50)
        assert process.returncode == 0, errors
        assert f"outrider: {dropped} lines of output did not reach the sidecar".encode() in errors.splitlines()
        bodies = [record.body.string_value for _, record in upstream.records]
        assert len(bodies) == total + 1 - dropped
        assert {len(body) for body in bodies} == {99, 4}, "whole lines only"


async def test_a_sidecar_that_is_killed_is_followed_by_one_that_goes_on_reading() -> None:
    program = "import sys\nfor line in sys.stdin: print(line, end='', flush=True)"
    async with RecordingUpstream() as upstream:
        environ = environment(OTEL_EXPORTER_OTLP_ENDPOINT=upstream.url)
        process = await start(sys.executable, "-c", program, env=environ, stdin=asyncio.subprocess.PIPE)
        assert process.stdin is not None

        def arrived() -> set[str]:
            return {record.body.string_value for _, record in upstream.records}

        process.stdin.write(b"before\n")
        await until(lambda: "before" in arrived())
        os.kill(sidecar_of(process.pid), signal.SIGKILL)
        process.stdin.write(b"without\n")
        await until(lambda: "without" in arrived())
        process.stdin.close()
        out, errors = await asyncio.wait_for(process.communicate(), 50)
        assert (process.returncode, out) == (0, b"before\nwithout\n"), errors
        uids = {attributes(record)["log.record.uid"] for _, record in upstream.records}
        assert len({uid[:16] for uid in uids}) == 1, "the same stream for both"
        assert len(uids) == 2


async def test_last_words_while_the_upstream_is_down_are_delivered_by_the_next_run(tmp_path: Path) -> None:
    port = free_port()
    settings = environment(
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}",
        OUTRIDER_SPOOL_PATH=str(tmp_path / "spool"),
        OUTRIDER_DRAIN="20s",
    )
    process = await start("sh", "-c", "echo last words; exit 3", env=settings)
    out, errors = await asyncio.wait_for(process.communicate(), 50)
    assert (process.returncode, out) == (3, b"last words\n"), errors
    upstream = RecordingUpstream()
    upstream.port = port
    async with upstream:
        process = await start("cat", env=settings, stdin=asyncio.subprocess.PIPE)
        await until(lambda: [record.body.string_value for _, record in upstream.records] == ["last words"])
        assert process.stdin is not None
        process.stdin.close()
        await asyncio.wait_for(process.communicate(), 50)
