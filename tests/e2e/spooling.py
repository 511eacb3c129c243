"""A real sidecar with a spool before an upstream that a test owns."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.e2e.processes import get, outrider, running
from tests.fakes import RecordingUpstream

MIB = 1 << 20
CAP = 8 * MIB
DOWN = (503, {"Retry-After": "1"}, b"")


class Sidecar:
    """`upstream` is up; `down` and `up` change that."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        otlp: int,
        api: int,
        spool: Path,
        upstream: RecordingUpstream,
        session: aiohttp.ClientSession,
    ) -> None:
        self.process, self.otlp, self.api, self.spool = process, otlp, api, spool
        self.upstream, self.session = upstream, session

    def down(self) -> None:
        self.upstream.answer = lambda path, body: DOWN

    def up(self) -> None:
        self.upstream.answer = lambda path, body: None

    async def post(self, signal: str, body: bytes) -> int:
        headers, url = {"Content-Type": "application/x-protobuf"}, f"http://127.0.0.1:{self.otlp}/v1/{signal}"
        async with self.session.post(url, data=body, headers=headers) as answer:
            await answer.read()
            return answer.status

    def _get(self, path: str) -> str:
        return get(f"http://127.0.0.1:{self.api}{path}").text

    async def status(self) -> dict[str, Any]:
        decoded: dict[str, Any] = json.loads(await asyncio.to_thread(self._get, "/status"))
        return decoded

    async def metric(self, name: str, label: str = "") -> float:
        """The sum of all series whose labels contain `label`; 0 where there is none."""
        text = await asyncio.to_thread(self._get, "/metrics")
        found = re.findall(rf"^{name}(?:{{([^}}]*)}})? (\S+)$", text, re.MULTILINE)
        return sum(float(value) for labels, value in found if label in labels)

    async def emptied(self) -> None:
        await eventually(lambda: json.loads(self._get("/status"))["relay"][0]["queue_rows"] == 0)

    async def usable(self) -> None:
        await eventually(lambda: json.loads(self._get("/status"))["spool"]["usable"])

    def arrived(self) -> set[str]:
        return {span.name for _, span in self.upstream.spans}

    def memory(self) -> float:
        """Resident, in MB."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * 4096 / 1e6

    def cpu(self) -> float:
        """Seconds, user and system, of all its threads."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def disk(self) -> int:
        return sum(file.stat().st_size for file in self.spool.glob("spool.db*") if not file.name.endswith("-shm"))


@asynccontextmanager
async def sidecar(
    tmp_path: Path, upstream: RecordingUpstream, *, drain: str = "1s", before: Sequence[str] = (), settings: str = ""
) -> AsyncIterator[Sidecar]:
    """Its spool is `tmp_path/spool`, its log `tmp_path/sidecar.log`; `before` is a command that starts it, `settings` is more
    configuration. It has the ports that the system gives it."""
    config, spool, log = tmp_path / "outrider.yaml", tmp_path / "spool", tmp_path / "sidecar.log"
    config.write_text(
        f"export: [{{otlp_http: {{endpoint: '{upstream.url}', timeout: 60s}}}}]\n"
        f"spool: {{path: {spool}, max_bytes: 8MiB}}\notlp: {{http: '127.0.0.1:0', grpc: '127.0.0.1:0'}}\n"
        f"api: {{listen: '127.0.0.1:0'}}\nmetrics: {{interval: 10m}}\ndrain: {drain}\n{settings}"
    )
    command = [*before, *outrider("run", "--config", str(config))]
    log.touch()
    began = log.stat().st_size
    started = ExitStack()
    process = started.enter_context(running(command, log))
    try:
        await eventually(lambda: len(_ports(log, began)) == 2)
        otlp, api = _ports(log, began)
        async with aiohttp.ClientSession() as session:
            yield Sidecar(process, otlp, api, spool, upstream, session)
    finally:
        # The upstream answers meanwhile, and all that has come, before a test tells it to answer otherwise.
        await asyncio.to_thread(started.close)
        await upstream.left()


def _ports(log: Path, since: int) -> list[int]:
    """Of OTLP over HTTP and the API, once both are open."""
    with log.open() as lines:
        lines.seek(since)
        said = [json.loads(line) for line in lines if line.endswith("}\n")]
    found = [line["address"] for line in said if line["event"] == "otlp open" and line["protocol"] == "http"]
    found += [line["api"] for line in said if line["event"] == "outrider runs"]
    return [int(address.rpartition(":")[2]) for address in found]


async def eventually(condition: Callable[[], object], within: float = 30) -> None:
    """Asked in a thread, because upstreams live in this loop; what raises `OSError` is not yet true."""
    async with asyncio.timeout(within):
        while True:
            try:
                if await asyncio.to_thread(condition):
                    return
            except OSError:
                pass  # not up yet
            await asyncio.sleep(0.05)


def mounted(command: str) -> list[str]:
    """A command that starts another one behind a mount that only it sees."""
    if subprocess.run(["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True).returncode:
        pytest.skip("may not mount here")
    return ["unshare", "--mount", "sh", "-c", f'{command} && exec "$@"', "sh"]


def remount(sidecar: Sidecar, how: str) -> None:
    """In the sidecar's own view."""
    subprocess.run(
        ["nsenter", "-t", str(sidecar.process.pid), "--mount", "mount", "-o", how, sidecar.spool], check=True
    )


def traces(name: str, size: int) -> bytes:
    """One span, about so many bytes, nothing in it that can be compressed."""
    export = ExportTraceServiceRequest()
    span = export.resource_spans.add().scope_spans.add().spans.add(name=name)
    span.attributes.add(key="pad").value.string_value = os.urandom(size // 2).hex()
    body: bytes = export.SerializeToString()
    return body


def point(number: int) -> bytes:
    export = ExportMetricsServiceRequest()
    metric = export.resource_metrics.add().scope_metrics.add().metrics.add(name="m")
    metric.gauge.data_points.add(time_unix_nano=number + 1, as_int=number)
    body: bytes = export.SerializeToString()
    return body
