"""A sidecar beside services that nobody here wrote: its verdict and the process's metrics, as they come and go."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from sidecar.io.proc import Proc
from tests.fakes import DelayingProxy
from tests.ports import free_port
from tests.real import require

QUICK = {"period": "200ms", "timeout": "1s", "failure_threshold": 1}
ROOT = Path(__file__).parents[2]

NGINX = """
daemon off;
worker_processes 2;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port}; location / {{ return 200 "welcome"; }} }}
}}
"""


class Foreign(ABC):
    """A service from Debian on a free port of 127.0.0.1, with what it writes in `folder`."""

    name: str
    scheme = "http"
    check: dict[str, Any]
    says: str
    """What its check says while it is up, up to the time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> list[str]: ...

    def start(self) -> None:
        with (self.folder / "output").open("ab") as output:
            self.process = subprocess.Popen(self.command(), stdout=output, stderr=output, cwd=self.folder)

    def stop(self) -> None:
        if self.process is not None:
            self.signal(signal.SIGCONT)
            self.process.terminate()
            self.process.wait(20)
            self.process = None

    def signal(self, number: signal.Signals) -> None:
        """To every process of the service."""
        assert self.process is not None
        for pid in Proc().tree(self.process.pid):
            os.kill(pid, number)


class Nginx(Foreign):
    name = "nginx"
    check = {"kind": "http", "url": "/", "expect": {"body": {"contains": "welcome"}}}
    says = "GET http://127.0.0.1:{port}/: 200 in "

    def command(self) -> list[str]:
        config = self.folder / "nginx.conf"
        config.write_text(NGINX.format(folder=self.folder, port=self.port))
        return [require("nginx"), "-p", str(self.folder), "-e", "stderr", "-c", str(config)]


class Redis(Foreign):
    name = "redis-server"
    scheme = "tcp"
    check = {"kind": "tcp", "send": "PING\r\n", "expect": "+PONG"}
    says = "answered as expected by 127.0.0.1:{port} in "

    def command(self) -> list[str]:
        return [require("redis-server"), "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]


class Prometheus(Foreign):
    """Its endpoint is not configured: the sidecar finds it."""

    name = "prometheus"
    check = {"kind": "http"}
    says = "GET http://127.0.0.1:{port}/-/ready: 200 in "

    def command(self) -> list[str]:
        config = self.folder / "prometheus.yml"
        config.write_text("{}\n")
        return [
            require("prometheus"),
            f"--config.file={config}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
        ]


class Sidecar:
    """`outrider run` as a process of its own, asked through its API."""

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        file = folder / "outrider.yaml"
        file.write_text(yaml.safe_dump({**config, "api": {"listen": "127.0.0.1:0"}, "drain": "100ms"}))
        self.log = folder / "sidecar.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "sidecar", "run", "--config", str(file)], stderr=log, cwd=ROOT
            )
        self.url = ""

    async def up(self) -> None:
        await until(lambda: self.process.poll() is not None or "outrider runs" in self.log.read_text())
        runs = [event for event in self.events() if event["event"] == "outrider runs"]
        assert runs, self.log.read_text()
        self.url = f"http://{runs[0]['api']}"

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def stop(self) -> None:
        self.process.terminate()
        assert self.process.wait(20) == 0, self.log.read_text()

    def health(self) -> tuple[int, str]:
        """The HTTP status and the word."""
        request = urllib.request.Request(self.url + "/health", headers={"Accept": "application/health+json"})
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                return response.status, json.load(response)["status"]
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)["status"]

    def status(self) -> dict[str, Any]:
        with urllib.request.urlopen(self.url + "/status", timeout=20) as response:
            made: dict[str, Any] = json.load(response)
            return made

    def outputs(self) -> dict[str, str]:
        return {check["name"]: check["output"] for check in self.status()["checks"]}

    def metrics(self) -> dict[str, float]:
        """Every sample by its name and sorted label values: `process_cpu_time_seconds_total user`."""
        with urllib.request.urlopen(self.url + "/metrics", timeout=20) as response:
            text = response.read().decode()
        return {
            " ".join([sample.name, *(value for _, value in sorted(sample.labels.items()))]): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }


async def until(true: Callable[[], bool], seconds: float = 20) -> None:
    """Polls off the loop, which may have a proxy to serve."""
    deadline = time.monotonic() + seconds
    while not await asyncio.to_thread(true):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        await asyncio.sleep(0.05)


@pytest.fixture
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Foreign]:
    kind: type[Foreign] = request.param
    made = kind(tmp_path)
    made.start()
    yield made
    made.stop()


def attach(service: Foreign, folder: Path, port: int | None = None, **check: Any) -> Sidecar:
    return Sidecar(
        folder,
        {
            "service": {"name": service.name},
            "target": {
                "url": f"{service.scheme}://127.0.0.1:{port or service.port}",
                "process": {"port": service.port},
            },
            "probes": {"answers": {**service.check, **check, **QUICK}, "process": {"kind": "process", **QUICK}},
        },
    )


@pytest.mark.parametrize("service", [Nginx, Redis, Prometheus], indirect=True, ids=lambda kind: kind.name)
async def test_up_hung_stopped_and_restarted(service: Foreign, tmp_path: Path) -> None:
    assert service.process is not None
    sidecar = attach(service, tmp_path)
    try:
        await sidecar.up()

        await until(lambda: sidecar.health() == (200, "pass"))
        up = sidecar.status()
        assert sidecar.outputs()["answers"].startswith(service.says.format(port=service.port))
        assert (up["process"]["pid"], up["process"]["restarts"]) == (service.process.pid, 0)
        assert (up["process"]["name"], up["process"]["missing"]) == (service.name, [])
        tree = service.process.pid
        await until(lambda: sidecar.status()["process"]["processes"] == len(Proc().tree(tree)))
        first = sidecar.metrics()
        assert first["outrider_target_up"] == 1
        assert first["process_memory_usage_bytes"] > 1e6
        assert first["process_unix_file_descriptor_count"] > 3
        assert first["process_thread_count"] >= 1
        # May still be zero: the kernel counts in ticks of 10 ms.
        assert {"process_cpu_time_seconds_total user", "process_cpu_time_seconds_total system"} <= set(first)
        assert {"process_disk_io_bytes_total read", "process_disk_io_bytes_total write"} <= set(first)
        assert first["process_paging_faults_total minor"] > 100
        assert first["process_context_switches_total voluntary"] > 0

        service.signal(signal.SIGSTOP)
        await until(lambda: sidecar.health() == (503, "fail"))
        await until(lambda: "is stopped (SIGSTOP or SIGTSTP)" in sidecar.outputs()["process"])
        silent = f"no answer within 1s: {service.name} (pid {service.process.pid}) is stopped (SIGSTOP or SIGTSTP)"
        await until(lambda: sidecar.outputs()["answers"] == silent)
        service.signal(signal.SIGCONT)
        await until(lambda: sidecar.health() == (200, "pass"))

        service.stop()
        refused = f"connection refused by 127.0.0.1:{service.port}"
        await until(lambda: sidecar.outputs()["answers"] == refused)
        await until(lambda: sidecar.outputs()["process"] == f"no process listens on port {service.port}")
        assert sidecar.health() == (503, "fail")
        gone = sidecar.metrics()
        assert gone["outrider_target_up"] == 0
        assert "process_memory_usage_bytes" not in gone

        service.start()
        await until(lambda: sidecar.health() == (200, "pass"))
        again = sidecar.status()["process"]
        assert (again["found"], again["pid"], again["restarts"]) == (True, service.process.pid, 1)
        assert again["started"] > up["process"]["started"]
        second = sidecar.metrics()
        assert second["outrider_target_restarts_total"] == 1
        assert second["outrider_target_up"] == 1
        changes = [(e["before"], e["after"]) for e in sidecar.events() if e.get("check") == "process"]
        assert changes[-4:] == [("pass", "fail"), ("fail", "pass"), ("pass", "fail"), ("fail", "pass")]
    finally:
        sidecar.stop()


@pytest.mark.parametrize("service", [Nginx, Redis, Prometheus], indirect=True, ids=lambda kind: kind.name)
async def test_slow_is_a_warning_and_still_serves(service: Foreign, tmp_path: Path) -> None:
    """Through a proxy that holds answers back, while the process is measured behind it."""
    async with DelayingProxy(service.port) as proxy:
        latency = {"latency": {"warn": "100ms"}}
        check = latency if service.scheme == "tcp" else {"expect": {**service.check.get("expect", {}), **latency}}
        sidecar = attach(service, tmp_path, proxy.port, **check)
        try:
            await sidecar.up()
            await until(lambda: sidecar.health() == (200, "pass"))
            proxy.delay = 0.2
            await until(lambda: sidecar.health() == (200, "warn"))
            assert "expected at most 100ms" in (await asyncio.to_thread(sidecar.outputs))["answers"]
            slow = await asyncio.to_thread(sidecar.metrics)
            assert slow[f"outrider_check_status answers {service.scheme} none fail"] == 1
            assert slow["outrider_target_up"] == 1
            proxy.delay = 0
            await until(lambda: sidecar.health() == (200, "pass"))
        finally:
            sidecar.stop()
