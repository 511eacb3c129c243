"""A real sidecar through outages: the disk stays at its cap, memory where it was, metrics in order, nothing
acknowledged lost."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.e2e.processes import free_port, get, outrider, running
from tests.fakes import RecordingUpstream

MIB = 1 << 20
CAP = 8 * MIB
CYCLES = int(os.environ.get("OUTRIDER_OUTAGE_CYCLES", "3"))


class Sidecar:
    def __init__(self, pid: int, otlp: int, api: int, spool: Path, upstream: RecordingUpstream) -> None:
        self.pid, self.otlp, self.api, self.spool, self.upstream = pid, otlp, api, spool, upstream

    async def post(self, session: aiohttp.ClientSession, signal: str, body: bytes) -> int:
        headers = {"Content-Type": "application/x-protobuf"}
        async with session.post(f"http://127.0.0.1:{self.otlp}/v1/{signal}", data=body, headers=headers) as answer:
            await answer.read()
            return answer.status

    async def status(self) -> dict[str, Any]:
        text = await asyncio.to_thread(lambda: get(f"http://127.0.0.1:{self.api}/status").text)
        decoded: dict[str, Any] = json.loads(text)
        return decoded

    def memory(self) -> float:
        """Resident, in MB."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * 4096 / 1e6

    def disk(self) -> int:
        return sum(file.stat().st_size for file in self.spool.glob("spool.db*") if not file.name.endswith("-shm"))


@asynccontextmanager
async def sidecar(tmp_path: Path, spool: Path) -> AsyncIterator[Sidecar]:
    otlp, api, config = free_port(), free_port(), tmp_path / "outrider.yaml"
    async with RecordingUpstream() as upstream:
        config.write_text(
            f"export: [{{otlp_http: {{endpoint: '{upstream.url}'}}}}]\nspool: {{path: {spool}, max_bytes: 8MiB}}\n"
            f"otlp: {{http: '127.0.0.1:{otlp}'}}\napi: {{listen: '127.0.0.1:{api}'}}\n"
            "metrics: {interval: 10m}\ndrain: 1s\n"
        )
        with running(outrider("run", "--config", str(config)), tmp_path / "sidecar.log") as process:
            await eventually(lambda: get(f"http://127.0.0.1:{api}/livez").status == 200)
            yield Sidecar(process.pid, otlp, api, spool, upstream)


async def eventually(condition: Callable[[], object], within: float = 20) -> None:
    async with asyncio.timeout(within):
        while True:
            try:
                if await asyncio.to_thread(condition):
                    return
            except OSError:
                pass  # not up yet
            await asyncio.sleep(0.05)


def traces(number: int, size: int) -> bytes:
    export = ExportTraceServiceRequest()
    span = export.resource_spans.add().scope_spans.add().spans.add(name=f"{number}")
    span.attributes.add(key="pad").value.string_value = os.urandom(size // 2).hex()
    body: bytes = export.SerializeToString()
    return body


def point(number: int) -> bytes:
    export = ExportMetricsServiceRequest()
    metric = export.resource_metrics.add().scope_metrics.add().metrics.add(name="m")
    metric.gauge.data_points.add(time_unix_nano=number + 1, as_int=number)
    body: bytes = export.SerializeToString()
    return body


@pytest.mark.timeout(60 + 20 * CYCLES)
async def test_cycles_of_three_times_the_cap_leave_disk_and_memory_where_they_were(tmp_path: Path) -> None:
    async with sidecar(tmp_path, tmp_path / "spool") as target, aiohttp.ClientSession() as session:
        memory, acknowledged, points, number, most = [], set[str](), list[int](), 0, 0
        for _ in range(CYCLES):
            target.upstream.answer = lambda path, body: (503, {"Retry-After": "1"}, b"")
            statuses = set()
            for _ in range(3 * CAP // 100_000):
                number += 1
                status = await target.post(session, "traces", traces(number, 100_000))
                statuses.add(status)
                if status == 200:
                    acknowledged.add(str(number))
                if await target.post(session, "metrics", point(number)) == 200:
                    points.append(number)
                most = max(most, target.disk())
            assert statuses == {200, 429}
            assert (await target.status())["relay"][0]["state"] == "full"
            target.upstream.answer = lambda path, body: None
            await eventually(
                lambda: json.loads(get(f"http://127.0.0.1:{target.api}/status").text)["relay"][0]["queue_rows"] == 0
            )
            memory.append(target.memory())
            most = max(most, target.disk())
        assert {span.name for _, span in target.upstream.spans} >= acknowledged
        assert [p.as_int for _, p in target.upstream.points if not p.attributes and p.as_int] == points
        assert most <= CAP
        assert max(memory) - memory[0] < 10, memory
        assert max(memory) < 90, memory


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of 4 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], capture_output=True)
    if done.returncode:
        pytest.skip("may not mount a tmpfs here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)])


async def test_a_full_disk_is_said_and_survived(tmp_path: Path, tiny: Path) -> None:
    """The disk is smaller than the cap: it is full before the spool is."""
    async with sidecar(tmp_path, tiny / "spool") as target, aiohttp.ClientSession() as session:
        target.upstream.answer = lambda path, body: (503, {"Retry-After": "1"}, b"")
        acknowledged, refused = set(), 0
        for number in range(60):
            status = await target.post(session, "traces", traces(number, 100_000))
            assert status in (200, 503)
            refused += status == 503
            if status == 200:
                acknowledged.add(str(number))
        assert refused
        assert len(acknowledged) > 5
        spool = (await target.status())["spool"]
        assert "no space left" in spool["why"]
        assert spool["errors"]["disk_full"] > 0
        target.upstream.answer = lambda path, body: None
        await eventually(lambda: acknowledged <= {span.name for _, span in target.upstream.spans})
        await eventually(lambda: json.loads(get(f"http://127.0.0.1:{target.api}/status").text)["spool"]["usable"])
        assert (
            "outrider_spool_errors_total"
            in (await asyncio.to_thread(get, f"http://127.0.0.1:{target.api}/metrics")).text
        )
