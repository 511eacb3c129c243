"""The logs of a neighbour container in podman, by the engine's API and by a shared volume: every line once, although the
container is restarted in the midst, and the sidecar too.

What podman itself tells of the container, and what stands in the volume, is what has to arrive. Records with the same
`log.record.uid` are one: the relay sends a batch again whose answer it has not seen before it was stopped.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from tests.e2e.processes import outrider, running
from tests.e2e.spooling import eventually
from tests.e2e.test_containers import BASE, missing, podman
from tests.fakes import RecordingUpstream

NAME = f"outrider-test-logs-{os.getpid()}"
SERVICE = """
import sys, time
boot, n = time.time_ns(), 0
log = open("/logs/app.log", "a")
while True:
    print(f"out {boot} {n}", flush=True)
    print(f"file {boot} {n}", file=log, flush=True)
    if n % 3 == 0:
        print(f"err {boot} {n}", file=sys.stderr, flush=True)
    if n % 50 == 10:
        print(f"long {boot} {n} " + 30_000 * "x", flush=True)
    n += 1
    time.sleep(0.003)
"""

pytestmark = pytest.mark.timeout(120)


class Story(NamedTuple):
    """Lines by output, as podman and the volume tell them and as they arrived, and what stood on each record."""

    written: dict[str, list[str]]
    arrived: dict[str, list[str]]
    attributes: dict[str, set[tuple[tuple[str, str], ...]]]
    container: str


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    if reason := missing():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("logs")
    volume, engine = folder / "volume", folder / "podman.sock"
    volume.mkdir()
    podman("run", "--detach", "--name", NAME, "--volume", f"{volume}:/logs", BASE, "python3", "-c", SERVICE)
    try:
        with running(["podman", "system", "service", "--time", "0", f"unix://{engine}"], folder / "engine.log"):
            yield asyncio.run(_told(folder, engine, volume / "app.log"))
    finally:
        podman("rm", "--force", "--ignore", "--time", "0", NAME)


async def _told(folder: Path, engine: Path, log: Path) -> Story:
    config = folder / "outrider.yaml"
    sources = [{"docker": {"container": NAME, "socket": str(engine)}}, {"file": str(log)}]
    config.write_text(yaml.safe_dump({"logs": sources}))
    await eventually(engine.exists)
    async with RecordingUpstream() as upstream:
        environ = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": upstream.url,
            "OUTRIDER_SPOOL_PATH": str(folder / "spool"),
            "OUTRIDER_API_LISTEN": "127.0.0.1:0",
            "OUTRIDER_OTLP_HTTP": "off",
            "OUTRIDER_OTLP_GRPC": "off",
            "OUTRIDER_METRICS_INTERVAL": "1h",
            "OUTRIDER_DRAIN": "1s",
        }
        sidecar = running(outrider("run", "--config", str(config)), folder / "sidecar.log", environ)
        with sidecar as process:
            await _more(upstream)
            await asyncio.to_thread(podman, "restart", "--time", "0", NAME)
            await _more(upstream)
            process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(process.wait, 20)
        await asyncio.sleep(0.2)  # what the container writes meanwhile is read later
        with running(outrider("run", "--config", str(config)), folder / "sidecar.log", environ):
            await _more(upstream)
            await asyncio.to_thread(podman, "stop", "--time", "0", NAME)
            written = _written(log)
            expected = sum(map(len, written.values()))
            await eventually(lambda: len(_uids(upstream)) >= expected)
        return _heard(upstream, written)


def _heard(upstream: RecordingUpstream, written: dict[str, list[str]]) -> Story:
    arrived: dict[str, list[str]] = {output: [] for output in written}
    attributes: dict[str, set[tuple[tuple[str, str], ...]]] = {output: set() for output in written}
    known: dict[str, str] = {}
    for _, record in upstream.records:
        told = {pair.key: pair.value.string_value for pair in record.attributes}
        output, uid, line = told.get("log.iostream", "file"), told.pop("log.record.uid"), record.body.string_value
        if uid not in known:
            arrived[output].append(line)
        assert known.setdefault(uid, line) == line
        attributes[output].add(tuple(sorted(told.items())))
    return Story(written, arrived, attributes, podman("inspect", "--format", "{{.Id}}", NAME))


async def _more(upstream: RecordingUpstream) -> None:
    """Wait for lines of each output that were written from now on."""
    start = len(upstream.records)

    def seen() -> bool:
        first = {record.body.string_value.split()[0] for _, record in upstream.records[start:]}
        return first == {"out", "err", "file", "long"}

    await eventually(seen)


def _uids(upstream: RecordingUpstream) -> set[str]:
    return {
        pair.value.string_value
        for _, record in upstream.records
        for pair in record.attributes
        if pair.key == "log.record.uid"
    }


def _written(log: Path) -> dict[str, list[str]]:
    told = subprocess.run(["podman", "logs", NAME], capture_output=True, text=True, check=True)
    return {
        "stdout": told.stdout.splitlines(),
        "stderr": told.stderr.splitlines(),
        "file": log.read_text().splitlines(),
    }


def boots(lines: Sequence[str]) -> int:
    return len({line.split()[1] for line in lines})


@pytest.mark.parametrize("output", ["stdout", "stderr"])
def test_every_line_arrives_once_by_the_engines_api(story: Story, output: str) -> None:
    assert boots(story.written[output]) == 2
    assert story.arrived[output] == story.written[output]


def test_every_line_arrives_once_by_a_shared_volume(story: Story) -> None:
    assert boots(story.written["file"]) == 2
    assert story.arrived["file"] == story.written["file"]


def test_records_bear_the_containers_names(story: Story) -> None:
    (attributes,) = story.attributes["stderr"]
    assert dict(attributes) == {
        "log.iostream": "stderr",
        "container.id": story.container,
        "container.name": NAME,
        "container.image.name": BASE,
    }
