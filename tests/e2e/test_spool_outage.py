"""A real sidecar through outages: the disk stays at its cap, memory where it was, metrics in order, nothing
acknowledged lost, and waiting costs nothing.

OUTRIDER_OUTAGE_CYCLES sets how many outages there are.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from sidecar.lane.backlog import BACKLOG
from sidecar.lane.flights import LARGEST
from tests.e2e.spooling import CAP, Sidecar, point, sidecar, traces
from tests.fakes import RecordingUpstream

CYCLES = int(os.environ.get("OUTRIDER_OUTAGE_CYCLES", "3"))
SIZE = 100_000
WAITING = 3.0


class Recovery:
    """When the upstream was sent traces out of the backlog, and how much."""

    def __init__(self, upstream: RecordingUpstream) -> None:
        self.sent: list[tuple[float, int]] = []
        upstream.answer = self.answer

    def answer(self, path: str, body: bytes) -> None:
        if path.endswith("traces"):
            self.sent.append((time.monotonic(), len(body)))

    def rate(self) -> float:
        """Bytes a second between the first and the last, but for one flight, which a rate cannot hold back."""
        seconds = self.sent[-1][0] - self.sent[0][0]
        return (sum(size for _, size in self.sent[:-1]) - LARGEST) / seconds


async def outage(target: Sidecar, number: int, acknowledged: set[str], points: list[int]) -> int:
    """Three times the cap; returns the most that was on disk."""
    statuses, most = set(), 0
    for _ in range(3 * CAP // SIZE):
        number += 1
        if await target.post("metrics", point(number)) == 200:
            points.append(number)
        status = await target.post("traces", traces(f"{number}", SIZE))
        statuses.add(status)
        if status == 200:
            acknowledged.add(f"{number}")
        most = max(most, target.disk())
    assert statuses == {200, 429}
    return most


@pytest.mark.timeout(60 + 25 * CYCLES)
async def test_cycles_of_three_times_the_cap_leave_disk_and_memory_where_they_were(tmp_path: Path) -> None:
    memory, busy, rates, acknowledged, points, most = [], [], list[float](), set[str](), list[int](), 0
    async with RecordingUpstream() as upstream, sidecar(tmp_path, upstream) as target:
        for cycle in range(CYCLES):
            target.down()
            most = max(most, await outage(target, cycle * 1000, acknowledged, points))
            (relay,) = (await target.status())["relay"]
            assert relay["state"] == "full"
            assert relay["items"]["refused"] > 0
            sent, used, began = len(upstream.requests), target.cpu(), time.monotonic()
            await asyncio.sleep(WAITING)
            requests, waited = len(upstream.requests) - sent, time.monotonic() - began
            busy.append((target.cpu() - used) / waited)
            assert requests <= 2 + waited  # once a second, as the upstream asked
            recovery = Recovery(upstream)
            await target.emptied()
            rates.append(recovery.rate())
            assert rates[-1] <= BACKLOG
            memory.append(target.memory())
            most = max(most, target.disk())
        assert target.process.poll() is None
    print(f"resident MB {memory}; share of a core while waiting {busy}; most on disk {most}; backlog bytes/s {rates}")
    assert target.arrived() >= acknowledged
    assert [p.as_int for _, p in upstream.points if not p.attributes and p.as_int] == points
    assert most <= CAP
    assert max(busy) < 0.2, busy
    assert abs(memory[-1] - memory[0]) < 5, memory
    assert max(memory) < 90, memory
