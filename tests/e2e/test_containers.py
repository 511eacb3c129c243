"""The image runs as it is meant to: in podman, beside the demo API, without any privilege.

`.ci/containers` prepares podman and a base image where no registry is reached. Names carry this process's id, and
everything is removed by name.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
import yaml

from tests.e2e.test_docs import block

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "deploy/compose/compose.yaml"
BASE = os.environ.get("OUTRIDER_BASE_IMAGE", "localhost/base")
NAME = f"outrider-test-{os.getpid()}"
HARDENED = ["--cap-drop", "ALL", "--read-only", "--security-opt", "no-new-privileges"]

Found = TypeVar("Found")

pytestmark = pytest.mark.timeout(300)


def podman(*args: str, timeout: float = 120) -> str:
    done = subprocess.run(["podman", *args], capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, f"podman {shlex.join(args)}: {done.stderr}"
    return done.stdout.strip()


def missing() -> str | None:
    if shutil.which("podman") is None:
        return "podman is not installed; as root: bash .ci/containers"
    if subprocess.run(["podman", "image", "exists", BASE], capture_output=True).returncode:
        return f"there is no image {BASE}; as root: bash .ci/containers"
    return None


@pytest.fixture(scope="module", autouse=True)
def images() -> None:
    """Both images, built from this checkout."""
    if reason := missing():
        pytest.skip(reason)
    build = subprocess.run(["bash", ".ci/image"], cwd=ROOT, env=building(), capture_output=True, text=True)
    assert build.returncode == 0, build.stdout + build.stderr


def building() -> dict[str, str]:
    return {**os.environ, "PYTHON": sys.executable, "OUTRIDER_BASE_IMAGE": BASE}


def get(url: str) -> Any:
    """The JSON or text at `url`; an empty one where nothing (good) answers yet."""
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            body = answer.read()
    except (OSError, urllib.error.HTTPError):
        return {}
    return json.loads(body) if body[:1] in (b"{", b"[") else body.decode()


def dropped(collector: str) -> int:
    """How many metrics the collector was sent: it keeps none."""
    return int(get(collector).get("telemetry", {}).get("metrics_dropped", 0))


def until(look: Callable[[], Found | None], within: float, otherwise: Callable[[], object]) -> Found:
    """What `look` finds at last; fails with what `otherwise` knows when it is too late."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.3)
    raise AssertionError(f"not within {within} s: {otherwise()}")


@pytest.fixture
def network() -> Iterator[str]:
    name = f"{NAME}-net"
    podman("network", "create", name)
    yield name
    podman("network", "rm", "--force", name)


@pytest.fixture
def collector(network: str) -> Iterator[str]:
    """The URL of a collector container that the network knows as `collector`."""
    name = f"{NAME}-collector"
    where = ["--network", network, "--network-alias", "collector", "--publish", "127.0.0.1::4320"]
    podman("run", "--detach", "--name", name, *where, *HARDENED, "localhost/outrider", "collector")
    yield f"http://{podman('port', name, '4320')}"
    podman("rm", "--force", "--time", "2", name)


class Pod:
    """The demo API with a sidecar beside it, in one PID and network namespace."""

    def __init__(self, network: str, *, app_uid: int, sidecar_uid: int) -> None:
        self.name = f"{NAME}-pod"
        ports = ["--publish", "127.0.0.1::8080", "--publish", "127.0.0.1::4319"]
        podman("pod", "create", "--name", self.name, "--network", network, "--share", "net,ipc,uts,pid", *ports)
        api = ["OTEL_SERVICE_NAME=fastjson-api", "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318"]
        # The service's own metrics wait: those that the collector counts are the sidecar's.
        api += ["OTEL_BSP_SCHEDULE_DELAY=500", "OTEL_METRIC_EXPORT_INTERVAL=3600000"]
        self._run("api", app_uid, api, "localhost/outrider-demo")
        sidecar = ["OTEL_SERVICE_NAME=fastjson-api", "OUTRIDER_TARGET_URL=http://127.0.0.1:8080"]
        sidecar += ["OUTRIDER_COLLECTOR_URL=http://collector:4320", "OUTRIDER_METRICS_INTERVAL=1s"]
        self._run("sidecar", sidecar_uid, sidecar, "localhost/outrider")
        infra = podman("pod", "inspect", "--format", "{{.InfraContainerID}}", self.name)
        self.api = f"http://{podman('port', infra, '8080')}"
        self.sidecar = f"http://{podman('port', infra, '4319')}"

    def _run(self, name: str, uid: int, environment: list[str], image: str) -> None:
        variables = [part for one in environment for part in ("--env", one)]
        user = ["--user", f"{uid}:{uid}"]
        podman(
            "run", "--detach", "--pod", self.name, "--name", f"{self.name}-{name}", *user, *HARDENED, *variables, image
        )

    def logs(self) -> str:
        both = [podman("logs", f"{self.name}-{name}") for name in ("api", "sidecar")]
        return "\n".join(both) + json.dumps(get(f"{self.sidecar}/status"), indent=1)

    def remove(self) -> None:
        podman("pod", "rm", "--force", "--time", "2", self.name)


@pytest.fixture
def pod(network: str, request: pytest.FixtureRequest) -> Iterator[Pod]:
    made = Pod(network, **request.param)
    yield made
    made.remove()


def process(pod: Pod) -> dict[str, Any] | None:
    """What the sidecar says of the process, when it has found it and measured twice."""
    status = get(f"{pod.sidecar}/status")
    if not status or not status["process"]["found"]:
        return None
    measured = {series["name"] for series in status["process"]["metrics"]}
    return status["process"] if "process.cpu.utilization" in measured else None


@pytest.mark.parametrize("pod", [{"app_uid": 1234, "sidecar_uid": 1234}], indirect=True)
def test_health_process_metrics_and_traces_reach_a_collector(collector: str, pod: Pod) -> None:
    """One uid for both, no capability, a read-only root."""

    def healthy() -> dict[str, Any] | None:
        services = get(f"{collector}/v1/services")
        found = [s for s in services.get("services", []) if s["service"] == "fastjson-api"]
        return found[0] if found and found[0]["status"] == "pass" else None

    service = until(healthy, 60, pod.logs)
    assert service["instances"] == {"pass": 1, "warn": 0, "fail": 0, "unknown": 0}

    seen = until(lambda: process(pod), 60, pod.logs)
    assert "demo.fastjson_api" in seen["command_line"]
    assert seen["missing"] == []
    values = {series["name"]: series["value"] for series in seen["metrics"]}
    assert values["process.memory.usage"] > 10e6
    assert values["process.thread.count"] >= 1
    assert {"process.disk.io", "process.cpu.time", "process.unix.file_descriptor.count"} <= values.keys()
    assert "process_memory_usage_bytes{" in get(f"{pod.sidecar}/metrics") or "process_memory_usage_bytes " in get(
        f"{pod.sidecar}/metrics"
    )
    until(lambda: dropped(collector), 60, pod.logs)

    def traced() -> Any:
        get(f"{pod.api}/items/7")
        return get(f"{collector}/v1/traces?service=fastjson-api").get("traces")

    assert until(traced, 60, pod.logs)[0]["service"] == "fastjson-api"

    podman("healthcheck", "run", f"{pod.name}-sidecar")
    podman("stop", "--time", "10", f"{pod.name}-sidecar")
    assert podman("inspect", "--format", "{{.State.ExitCode}}", f"{pod.name}-sidecar") == "0"


@pytest.mark.parametrize("pod", [{"app_uid": 1234, "sidecar_uid": 4321}], indirect=True)
def test_under_another_uid_what_cannot_be_read_is_named(collector: str, pod: Pod) -> None:
    seen = until(lambda: process(pod), 60, pod.logs)
    assert "demo.fastjson_api" in seen["command_line"]
    values = {series["name"] for series in seen["metrics"]}
    assert {"process.memory.usage", "process.cpu.time", "process.thread.count"} <= values
    assert "process.disk.io" not in values
    named = {one["field"]: one for one in seen["missing"]}
    assert "process.disk.io" in named
    for one in named.values():
        assert "permission denied" in one["reason"].lower()
        assert "1234" in one["remedy"], "the uid that would help"
    until(lambda: get(f"{pod.sidecar}/health"), 60, pod.logs)


class Stack:
    """The locally built services of compose.yaml, started by podman-compose."""

    def __init__(self, folder: Path) -> None:
        self.services = {
            name: service
            for name, service in yaml.safe_load(COMPOSE.read_text())["services"].items()
            if "build" in service
        }
        self.folder = folder

    def up(self) -> None:
        asked = ["bash", ".ci/image", "--print-build-args"]
        arguments = subprocess.run(asked, cwd=ROOT, env=building(), capture_output=True, text=True, check=True).stdout
        passed = shlex.join(["--format", "docker", *arguments.split()])
        # One of each image; the others share them.
        self._compose("--podman-build-args", passed, "build", "collector", "traffic")
        self._compose("up", "--detach", *self.services)

    def down(self) -> None:
        # What shares the PID namespace of another goes before it.
        for group in ([s for s in self.services if s.endswith("-sidecar")], list(self.services)):
            podman("rm", "--force", "--volumes", "--time", "2", "--ignore", *map(self.container, group))
        podman("volume", "rm", "--force", f"{NAME}_shop")
        podman("network", "rm", "--force", f"{NAME}_default")

    def container(self, service: str) -> str:
        return f"{NAME}_{service}_1"

    def logs(self) -> str:
        return "\n".join(f"== {name}\n{podman('logs', self.container(name))[-2000:]}" for name in self.services)

    def _compose(self, *args: str) -> None:
        base = ["podman-compose", "--podman-path", str(self._podman()), "-p", NAME, "-f", str(COMPOSE)]
        done = subprocess.run([*base, *args], capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stdout + done.stderr

    def _podman(self) -> Path:
        """podman, with what podman-compose 1.0.3 drops from the file: `pid: service:NAME`."""
        shared = [
            f"  run\\ --name={self.container(name)}\\ *) "
            f'shift; set -- run --pid=container:{self.container(service["pid"].removeprefix("service:"))} "$@" ;;'
            for name, service in self.services.items()
            if "pid" in service
        ]
        shim = self.folder / "podman"
        shim.write_text(
            "\n".join(["#!/bin/sh", 'case "$*" in', *shared, "esac", f'exec {shutil.which("podman")} "$@"', ""])
        )
        shim.chmod(0o755)
        return shim


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    if shutil.which("podman-compose") is None:
        reason = "podman-compose is not installed; as root: bash .ci/containers"
        pytest.skip(reason)
    made = Stack(tmp_path)
    try:
        made.up()
        yield made
    finally:
        made.down()


def test_compose_starts_the_demo_and_the_published_port_answers(stack: Stack) -> None:
    collector = "http://127.0.0.1:4320"

    def all_pass() -> dict[str, Any] | None:
        found = get(f"{collector}/v1/services").get("services", [])
        counted = {one["service"]: one["instances"] for one in found if one["status"] == "pass"}
        ready = counted.get("fastjson-api", {}).get("pass") == 2 and counted.get("cache-server", {}).get("pass") == 1
        return counted if ready else None

    until(all_pass, 60, stack.logs)
    until(lambda: get(f"{collector}/v1/traces?service=fastjson-api").get("traces"), 60, stack.logs)
    until(lambda: dropped(collector), 60, stack.logs)
    for port, module in ((4319, "demo.fastjson_api"), (4329, "demo.fastjson_api"), (4339, "demo.cache_server")):
        found = get(f"http://127.0.0.1:{port}/status")["process"]
        assert module in found["command_line"]
        assert found["missing"] == []

    # A shared PID namespace ends with its first process: the sidecar goes with the cache, and its silence is no verdict.
    podman("stop", "--time", "2", stack.container("cache-server"))

    def noticed() -> dict[str, Any] | None:
        found = {one["service"]: one for one in get(f"{collector}/v1/services").get("services", [])}
        return found if [one["status"] for one in found.values()] == ["unknown", "warn"] else None

    found = until(noticed, 60, lambda: json.dumps(get(f"{collector}/v1/services"), indent=1))
    assert found["cache-server"]["flags"] == ["stale"]
    assert "cache: " in found["fastjson-api"]["reasons"][0]


def test_readmes_container_lines_attach_to_a_service_that_runs() -> None:
    """As they stand, but for the client's name, the container's, and the build (the images here are that build)."""
    service = f"{NAME}-foreign"
    build, *lines = block("README.md", "container").strip().splitlines()
    assert build == "docker build -f deploy/Containerfile -t outrider ."
    script = "\n".join(lines).replace("docker ", "podman ").replace("my-service", service)
    script = re.sub(r"\boutrider$", "localhost/outrider", script, count=1, flags=re.MULTILINE)
    podman("run", "--detach", "--name", service, "--user", "1000", BASE, "python3", "-m", "http.server", "8080")
    try:
        done = subprocess.run(["bash", "-eu", "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "verdict: pass" in done.stdout
        assert "(listens on port 8080)" in done.stdout
        assert "not measured" not in done.stdout
    finally:
        for name in (f"{service}-outrider", service):  # who shares a namespace goes first
            podman("rm", "--force", "--ignore", "--time", "2", name)
