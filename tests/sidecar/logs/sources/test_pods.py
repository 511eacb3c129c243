"""The pods source against a folder in which a test does what the kubelet does."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sidecar.logic.schema import load
from sidecar.logic.unwrap import Unwrapper
from sidecar.logs.settings import Pods
from sidecar.logs.sources.pods import PodsSource
from sidecar.model.counters import LogCounters
from tests.fakes import FakeClock, RecordingIntake, source_context
from tests.sidecar.logs.sources.support import after, running

UID = "b1e7a5d2-0000-4000-8000-000000000001"


class Node:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.intake = RecordingIntake()
        self.clock = FakeClock()

    def container(self, namespace: str, pod: str, container: str) -> Path:
        folder = self.root / f"{namespace}_{pod}_{UID}" / container
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @asynccontextmanager
    async def running(
        self, remembered: Mapping[str, object] | None = None, **settings: Any
    ) -> AsyncIterator[PodsSource]:
        context = source_context(self.intake, self.clock, remembered)
        source = PodsSource(Pods(path=str(self.root), **settings), context)
        async with running(source):
            yield source

    async def after(self, condition: Callable[[], object]) -> None:
        await after(self.clock, condition)

    def texts(self) -> list[bytes]:
        """Of all streams, unwrapped."""
        return [
            line
            for stream in self.intake.streams
            for run in Unwrapper("cri", 1000, LogCounters()).feed(stream.lines, stream.marks)
            for line in run.lines
        ]


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path / "pods")


def write(path: Path, *texts: str) -> None:
    with path.open("a") as out:
        out.writelines(f"2024-01-02T03:04:05.000000001Z stdout F {text}\n" for text in texts)


async def test_the_path_says_whose_lines_they_are(node: Node) -> None:
    write(node.container("shop", "web-0", "app") / "0.log", "one")
    async with node.running():
        await node.after(lambda: node.texts() == [b"one"])
    path = node.root / f"shop_web-0_{UID}/app/0.log"
    assert node.intake.streams[0].attributes == {
        "log.file.name": "0.log",
        "log.file.path": str(path),
        "k8s.namespace.name": "shop",
        "k8s.pod.name": "web-0",
        "k8s.pod.uid": UID,
        "k8s.container.name": "app",
    }


async def test_only_what_is_asked_for_is_read(node: Node) -> None:
    for names in (
        ("shop", "web-0", "app"),
        ("shop", "web-0", "outrider"),
        ("shop", "cache-0", "app"),
        ("x", "web-0", "app"),
    ):
        write(node.container(*names) / "0.log", "/".join(names))
    async with node.running(namespace="shop", pod="web-*", container="app"):
        await node.after(lambda: node.texts() == [b"shop/web-0/app"])
        write(node.container("shop", "web-1", "app") / "0.log", "later")
        await node.after(lambda: node.texts() == [b"shop/web-0/app", b"later"])


async def test_rotations_lose_nothing_and_packed_files_are_not_read(node: Node) -> None:
    folder = node.container("shop", "web-0", "app")
    write(folder / "0.log", "one")
    async with node.running():
        await node.after(lambda: node.texts() == [b"one"])
        write(folder / "0.log", "two")
        (folder / "0.log").rename(folder / "0.log.20240102-030405")
        write(folder / "0.log", "three")
        await node.after(lambda: len(node.texts()) == 3)
        packed = folder / "0.log.20240102-030405.gz"
        packed.write_bytes(gzip.compress((folder / "0.log.20240102-030405").read_bytes()))
        (folder / "0.log.20240102-030405").unlink()
        (folder / "0.log").rename(folder / "0.log.20240102-040506")
        write(folder / "0.log", "four")
        await node.after(lambda: len(node.texts()) == 4)
    assert sorted(node.texts()) == [b"four", b"one", b"three", b"two"]


async def test_what_was_rotated_while_nobody_read_is_read_after_it(node: Node) -> None:
    folder = node.container("shop", "web-0", "app")
    write(folder / "0.log", "one")
    async with node.running() as source:
        await node.after(lambda: node.texts() == [b"one"])
        remembered = source.checkpoint()
    write(folder / "0.log", "two")
    (folder / "0.log").rename(folder / "0.log.20240102-030405")
    write(folder / "0.log", "three")
    (folder / "0.log").rename(folder / "0.log.20240102-040506")
    write(folder / "0.log", "four")
    node.intake = RecordingIntake()
    async with node.running(remembered):
        await node.after(lambda: len(node.texts()) == 3)
    assert sorted(node.texts()) == [b"four", b"three", b"two"]


async def test_a_container_that_is_started_again_has_a_stream_of_its_own(node: Node) -> None:
    folder = node.container("shop", "web-0", "app")
    write(folder / "0.log", "panic")
    async with node.running():
        await node.after(lambda: node.texts() == [b"panic"])
        write(folder / "1.log", "starting")
        await node.after(lambda: node.texts() == [b"panic", b"starting"])
    assert len({stream.uid for stream in node.intake.streams}) == 2


async def test_symlinks_to_docker_s_own_files_are_followed(node: Node, tmp_path: Path) -> None:
    real = tmp_path / "containers" / "abc-json.log"
    real.parent.mkdir()
    real.write_text('{"log":"one\\n","stream":"stdout","time":"2024-01-02T03:04:05Z"}\n')
    (node.container("shop", "web-0", "app") / "0.log").symlink_to(real)
    async with node.running():
        await node.after(lambda: len(node.intake.lines) == 1)
    assert node.intake.streams[0].attributes["k8s.pod.name"] == "web-0"


def test_settings_that_cannot_work_are_named() -> None:
    _, problems = load(Pods, {"namespace": "a_b", "pod": "", "container": "x/y", "path": "pods"}, {}, "file")
    assert [problem.path for problem in problems] == ["namespace", "pod", "container", "path"]
    assert load(Pods, {}, {}, "file")[1] == []
