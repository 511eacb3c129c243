"""A sidecar in this process, on real sockets, and what it says."""

from __future__ import annotations

import asyncio
import io
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import structlog

from sidecar.api import Surface, application, open_surface
from sidecar.config import Loaded, load
from sidecar.daemon.daemon import Daemon, build
from sidecar.io.clock import SystemClock
from sidecar.io.log import configure


class Hurried(SystemClock):
    """Real time, but nobody sleeps longer than a twentieth of a second."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.05))


def settings(environ: dict[str, str] | None = None) -> Loaded:
    listen = dict.fromkeys(("OUTRIDER_API_LISTEN", "OUTRIDER_OTLP_GRPC", "OUTRIDER_OTLP_HTTP"), "127.0.0.1:0")
    return load({}, {"HOSTNAME": "pod-1", "OUTRIDER_DRAIN": "200ms", **listen, **(environ or {})}, None)


async def surface(daemon: Daemon) -> Surface:
    return await open_surface(application(daemon), daemon.config.api.listen, daemon.clock)


class Events:
    """What the daemon has logged."""

    def __init__(self) -> None:
        self.stream = io.StringIO()
        self.log: structlog.typing.FilteringBoundLogger = configure("info", self.stream)

    def named(self, event: str) -> list[dict[str, Any]]:
        return [line for line in map(json.loads, self.stream.getvalue().splitlines()) if line["event"] == event]


@asynccontextmanager
async def running(loaded: Loaded) -> AsyncIterator[tuple[Daemon, Events]]:
    events = Events()
    daemon = build(loaded, events.log, Hurried(), random.Random(1))
    task = asyncio.create_task(daemon.run(surface))
    try:
        yield daemon, events
    finally:
        daemon.stop(patient=False)
        await asyncio.wait_for(task, 20)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.02)
