"""Random sequences of what an engine, a container and we ourselves may do: in the end every line has come, and none twice but
those that were not settled when we were killed.

A failure prints its seed. More sequences: `OUTRIDER_SEQUENCES=2000 pytest tests/sidecar/logs/sources/test_api_sequences.py`.
"""

from __future__ import annotations

import asyncio
import os
import random
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import pytest

from sidecar.logs.base import Source, SourceContext
from sidecar.logs.settings import Docker, Kubernetes
from sidecar.logs.sources.docker import DockerSource
from sidecar.logs.sources.kubernetes import KubernetesSource
from tests.certificates import Authority
from tests.fakes import (
    FakeClock,
    FakeContainer,
    FakeDocker,
    FakeKubelet,
    FakeKubernetes,
    RecordingIntake,
    RecordingStream,
    source_context,
)

SEQUENCES = int(os.environ.get("OUTRIDER_SEQUENCES", "10"))
STEPS = 25
SECOND = 1_000_000_000
T = 1704164645 * SECOND


class Server(Protocol):
    """What writes and misbehaves."""

    written: dict[str, list[bytes]]
    """By output."""
    gone: int
    """Lines that the server does not have any more."""

    def act(self, rng: random.Random, heard: int) -> None:
        """`heard` is the number of lines that have come."""

    def heal(self) -> None:
        """Let what goes wrong come to an end."""


class Run:
    """Our side: a source that is killed now and then, and goes on from its last checkpoint."""

    def __init__(self, make: Callable[[SourceContext], Source], rng: random.Random, outputs: list[str]) -> None:
        self._make = make
        self._rng = rng
        self._outputs = outputs
        self._clock = FakeClock(T / SECOND + 3600)
        self._settled: dict[str, list[bytes]] = {output: [] for output in outputs}
        self._start({})

    def _start(self, remembered: Mapping[str, object]) -> None:
        self._intake = RecordingIntake()
        self._source = self._make(source_context(self._intake, self._clock, remembered))
        self._task = asyncio.create_task(self._source.run())

    def _streams(self) -> Mapping[str, RecordingStream]:
        return dict(zip(self._outputs, self._intake.streams, strict=False))

    def heard(self) -> dict[str, list[bytes]]:
        now = self._streams()
        return {
            output: settled + (now[output].lines if output in now else []) for output, settled in self._settled.items()
        }

    def count(self) -> int:
        return sum(map(len, self.heard().values()))

    async def wait(self, seconds: float = 1) -> None:
        await self._clock.advance(seconds)
        for _ in range(3):
            await asyncio.sleep(0.0005)
        assert not self._task.done()

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def kill(self, gone: int) -> None:
        for output, stream in self._streams().items():
            settled = self._rng.randrange(max(0, gone - len(self._settled[output])), len(stream.lines) + 1)
            stream.settle(settled)
            self._settled[output] += stream.lines[:settled]
        remembered = self._source.checkpoint()
        await self.stop()
        self._start(remembered)


class Engine:
    def __init__(self, docker: FakeDocker, container: FakeContainer) -> None:
        self.docker, self.container = docker, container
        self.written: dict[str, list[bytes]] = {"stdout": [], "stderr": []}
        self.gone = 0
        self._time = T
        self._starts = 0

    def act(self, rng: random.Random, heard: int) -> None:
        match rng.choice(["write", "write", "write", "break", "stop", "deaf", "refuse"]):
            case "write" if self.container.running:
                for _ in range(rng.randrange(1, 20)):
                    self._write(rng)
            case "break":
                self.docker.break_off()
            case "stop":
                if self.container.running:
                    self.container.stop()
                else:
                    self._start()
            case "deaf":
                self.docker.deaf = not self.docker.deaf
            case "refuse":
                self.docker.status = 0 if self.docker.status else 500

    def _write(self, rng: random.Random) -> None:
        self._time += rng.choice([0, 0, 1, SECOND // 3, SECOND, 5 * SECOND])
        fallen = rng.choice([0, 0, 0, 1, SECOND // 2])
        output = rng.choice(["stdout", "stderr"])
        line = f"{len(self.written[output])} {output}"
        pieces = [line + "-" * piece for piece in range(rng.choice([1, 1, 1, 3]))]
        for piece in pieces:
            self.container.write(piece + ("\n" if piece is pieces[-1] else ""), self._time - fallen, output)
        self.written[output].append("".join(pieces).encode())

    def _start(self) -> None:
        self._starts += 1
        self.container.start(f"2024-01-02T04:00:{self._starts:02d}Z")

    def heal(self) -> None:
        self.docker.deaf, self.docker.status = False, 0
        self.docker.break_off()


class Cluster:
    def __init__(self, server: FakeKubernetes, app: FakeKubelet) -> None:
        self.server, self.app = server, app
        self.written: dict[str, list[bytes]] = {"": []}
        self.gone = 0
        self._time = T
        self._before = 0
        """Lines that were written before the container was started last."""

    def act(self, rng: random.Random, heard: int) -> None:
        match rng.choice(["write", "write", "write", "end", "break", "restart", "forbid"]):
            case "write":
                for _ in range(rng.randrange(1, 20)):
                    self._time += rng.choice([0, 0, 1, SECOND // 3, SECOND, 5 * SECOND])
                    fallen = rng.choice([0, 0, 0, 1, SECOND // 2])
                    self.app.write(f"{len(self.written[''])}", self._time - fallen)
                    self.written[""].append(b"%d" % len(self.written[""]))
            case "end":
                self.server.end()
            case "break":
                self.server.break_off()
            case "restart" if heard >= self._before:  # the API has one container before this one, no more
                self.app.restart()
                self._time += SECOND  # it takes a while
                self.gone, self._before = self._before, len(self.written[""])
            case "forbid":
                self.server.allowed = not self.server.allowed

    def heal(self) -> None:
        self.server.allowed = True
        self.server.end()


async def play(server: Server, run: Run, rng: random.Random) -> None:
    for _ in range(STEPS):
        server.act(rng, run.count())
        if rng.random() < 0.1:
            await run.kill(server.gone)
        if rng.random() < 0.6:
            await run.wait(rng.choice([0.1, 1, 10]))
    server.heal()
    for _ in range(200):
        await run.wait()
        if run.count() >= sum(map(len, server.written.values())):
            break
    await run.wait()
    await run.stop()
    assert run.heard() == server.written


@pytest.mark.parametrize("seed", range(SEQUENCES))
async def test_an_engine(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    async with FakeDocker(tmp_path / "engine.sock") as docker:
        docker.containers.append(FakeContainer("web"))
        config = Docker(container="web", socket=str(docker.socket))
        run = Run(lambda context: DockerSource(config, context, {}), rng, ["stdout", "stderr"])
        await play(Engine(docker, docker.containers[0]), run, rng)


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> tuple[Authority, ssl.SSLContext]:
    made = Authority(tmp_path_factory.mktemp("ca"))
    return made, made.server()


@pytest.mark.parametrize("seed", range(SEQUENCES))
async def test_an_api_server(tmp_path: Path, issuer: tuple[Authority, ssl.SSLContext], seed: int) -> None:
    rng = random.Random(seed)
    (tmp_path / "token").write_text("token-1")
    (tmp_path / "namespace").write_text("shop")
    (tmp_path / "ca.crt").write_bytes(issuer[0].ca.read_bytes())
    async with FakeKubernetes(issuer[1], "/api/v1/namespaces/shop/pods/web-0/log") as server:
        app = server.containers["app"] = FakeKubelet()
        environ = {
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(server.port),
            "POD_NAME": "web-0",
        }
        run = Run(lambda context: KubernetesSource(Kubernetes(), context, environ, tmp_path), rng, [""])
        await play(Cluster(server, app), run, rng)
