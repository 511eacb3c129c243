"""The spool's thread, run in the test's own."""

from __future__ import annotations

import asyncio
import queue
from pathlib import Path

import pytest

from sidecar.io.spool_file import SpoolFile
from sidecar.io.spool_operations import News, Operation, Result, Write
from sidecar.io.spool_thread import LINGER, SMALL, SpoolThread
from sidecar.model.signals import Batch, Signal
from sidecar.model.spool import Row


@pytest.mark.parametrize(("size", "waits", "turns"), [(SMALL - 1, [LINGER], 1), (SMALL, [], 2)])
async def test_a_small_row_waits_for_another_to_be_committed_with_it(
    tmp_path: Path, size: int, waits: list[float], turns: int
) -> None:
    operations: queue.SimpleQueue[Operation] = queue.SimpleQueue()
    waited: list[float] = []
    committed: list[int] = []

    def write(number: int) -> Operation:
        row = Row(number, "a", Batch(Signal.TRACES, b"x" * size, 1), 1.0)
        return Write(row, asyncio.get_running_loop().create_future())

    def wait(seconds: float) -> None:
        waited.append(seconds)
        operations.put(write(2))
        operations.put(None)

    def report(results: list[Result], news: News) -> bool:
        committed.append(sum(done is True for _, done in results))
        if not waits:  # nothing was waited for: the next comes now
            operations.put(None if len(committed) == 2 else write(2))
        return True

    operations.put(write(1))
    SpoolThread(
        lambda: SpoolFile(str(tmp_path), 8 << 20, full_sync=False, now=lambda: 1.0), operations, report, wait
    ).run()
    assert waited == waits
    assert committed[:turns] == [2 // turns] * turns
