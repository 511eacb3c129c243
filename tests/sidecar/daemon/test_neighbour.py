"""What the sidecar says of the process beside it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator, Sequence

import pytest

from sidecar.daemon.daemon import Daemon
from sidecar.daemon.neighbour import Neighbour
from sidecar.metrics.process import ProcessMetrics
from sidecar.model.process import Missing, ProcessSample
from tests.fakes import until

from .running import Events, Hurried, running, settings


@pytest.fixture
def service() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as started:
        yield started
        started.kill()


def up(daemon: Daemon) -> list[float]:
    return [
        point.value for metric in daemon.metrics() if metric.name == "outrider.target.up" for point in metric.points
    ]


async def test_a_service_that_is_only_a_zombie_is_not_up_and_that_is_said(service: subprocess.Popen[bytes]) -> None:
    async with running(settings({"OUTRIDER_TARGET_PROCESS_PID": str(service.pid)})) as (daemon, events):
        assert up(daemon) == [1.0]
        service.kill()  # and nobody asks why it ended
        await until(lambda: events.named("process gone"))
        assert up(daemon) == [0.0]
        (gone,) = events.named("process gone")
        assert gone["why"].endswith("is a zombie: it has ended and its parent has not asked why")


async def test_a_process_that_cannot_be_seen_is_neither_up_nor_down() -> None:
    async with running(settings()) as (daemon, _):
        assert up(daemon) == []


class Samples(ProcessMetrics):
    """These, one a look, then the last again and again."""

    def __init__(self, samples: Sequence[ProcessSample]) -> None:
        self._samples = list(samples)
        self.left = len(self._samples)

    def sample(self, now: float) -> ProcessSample:
        self.left = max(0, self.left - 1)
        return self._samples.pop(0) if len(self._samples) > 1 else self._samples[0]


def denied(pid: int, remedy: str = "run the sidecar as uid 33") -> ProcessSample:
    missing = Missing("process.disk.io", f"/proc/{pid}/io: permission denied", remedy)
    return ProcessSample(found=True, why="by name", pid=1, state="sleeping", missing=(missing,))


async def said(*samples: ProcessSample) -> list[str]:
    """The reasons that are logged while the process is seen so, one after the other."""
    events, seen = Events(), Samples([*samples, samples[-1]])
    watching = asyncio.create_task(Neighbour(settings().config, Hurried(), events.log, seen).watch(lambda: None))
    await until(lambda: seen.left == 0)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    return [line["reason"] for line in events.named("cannot be measured")]


async def test_what_cannot_be_measured_is_said_once_whichever_worker_hides_it() -> None:
    """A worker a request, or a restart every few seconds, would fill the log with pids."""
    gone = ProcessSample(found=False, why="no process with name")
    seen = [gone, denied(7), denied(8), gone, denied(9), denied(9, "start it without capabilities"), denied(10)]
    assert await said(*seen) == ["/proc/7/io: permission denied", "/proc/9/io: permission denied"]


async def test_that_the_process_cannot_be_seen_at_all_is_said_each_time_it_begins() -> None:
    blind = ProcessSample(
        found=False, why="why", missing=(Missing("process", "no descriptors left", "raise the limit"),)
    )
    gone = ProcessSample(found=False, why="no process with name")
    assert await said(gone, blind, blind, gone, blind) == ["no descriptors left"] * 2
