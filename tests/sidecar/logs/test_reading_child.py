"""The end of a command's output: each line is delivered, or it is counted and told that it is not."""

from __future__ import annotations

import asyncio
import random
import socket
import threading

import structlog
from structlog.testing import capture_logs

from sidecar.io.clock import SystemClock
from sidecar.io.resolver import Resolver
from sidecar.logic.launch import HEADER
from sidecar.logic.otlp_http import OK, Reply
from sidecar.logic.redaction import Rules
from sidecar.logic.redaction_config import Config
from sidecar.logs.reading import Logs
from sidecar.logs.sources.child import Copy
from sidecar.model.signals import Batch
from tests.fakes import until

LINE = b"x" * 99 + b"\n"
FRAME = 500
"""Lines in a frame."""


class Upstream:
    """Answers nothing until it is told to."""

    def __init__(self) -> None:
        self.items = 0
        self.open = asyncio.Event()

    def take(self, batch: Batch) -> asyncio.Future[Reply]:
        return asyncio.ensure_future(self._answer(batch))

    async def _answer(self, batch: Batch) -> Reply:
        await self.open.wait()
        self.items += batch.items
        return OK


class Launcher:
    """Sends so many lines as fast as they are taken, and ends."""

    def __init__(self, lines: int) -> None:
        self._to, self.copy = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.copy.setblocking(False)
        self._lines = lines
        self.thread = threading.Thread(target=self._send, daemon=True)
        self.thread.start()

    def _send(self) -> None:
        with self._to:
            for at in range(0, self._lines, FRAME):
                data = LINE * min(FRAME, self._lines - at)
                self._to.send(HEADER.pack(1, 0, 0, at * len(LINE), 1) + data)


class Reading:
    """Of a command that writes so many lines."""

    def __init__(self, lines: int, upstream: Upstream) -> None:
        self.launcher = Launcher(lines)
        clock, log = SystemClock(), structlog.get_logger()
        rules, copy = Rules(Config()), Copy(self.launcher.copy, "run")
        self.logs = Logs([], rules, upstream.take, {}, None, clock, random.Random(1), Resolver(), log, copy=copy)
        self._running = asyncio.create_task(self.logs.run())
        (self.counters,) = self.logs.counters.values()

    async def cancel(self) -> None:
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)

    async def finish(self, timeout: float) -> None:
        await self.logs.finish(timeout)
        self.launcher.copy.close()


async def test_what_is_left_when_there_is_no_more_time_is_counted_and_the_rest_delivered() -> None:
    total, upstream = 40_000, Upstream()
    reading = Reading(total, upstream)
    await until(lambda: reading.counters.lines > 5000)
    await reading.cancel()
    with capture_logs() as said:
        finishing = asyncio.create_task(reading.finish(20))
        await until(lambda: reading.counters.dropped)
        upstream.open.set()
        await finishing
    lost = reading.counters.dropped["launcher"]
    assert upstream.items + lost == total
    assert [(line["event"], line["lost_lines"]) for line in said] == [
        ("no time was left for the end of the output", lost)
    ]


async def test_what_the_upstream_does_not_answer_in_time_is_told() -> None:
    """The last line is a record that could go on."""
    upstream = Upstream()
    reading = Reading(3, upstream)
    await until(lambda: reading.logs.is_read_out)
    await reading.cancel()
    with capture_logs() as said:
        await reading.finish(0.01)
    assert [(line["event"], line["records"]) for line in said] == [("not known to have been delivered", 3)]
    assert not reading.counters.dropped


async def test_nothing_is_said_where_all_is_delivered() -> None:
    upstream = Upstream()
    upstream.open.set()
    reading = Reading(3000, upstream)
    await until(lambda: reading.logs.is_read_out)
    await reading.cancel()
    with capture_logs() as said:
        await reading.finish(20)
    assert (upstream.items, said, reading.counters.dropped) == (3000, [], {})
