"""What the sidecar says of the process beside it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from sidecar.daemon.daemon import Daemon
from tests.fakes import until

from .running import running, settings


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
