"""What tests of sources share: a source that runs, and time that passes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from sidecar.logs.base import Source
from tests.fakes import FakeClock


@asynccontextmanager
async def running(source: Source) -> AsyncIterator[None]:
    """It runs until it is cancelled, and ends by that alone."""
    task = asyncio.create_task(source.run())
    try:
        yield
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def after(clock: FakeClock, condition: Callable[[], object]) -> None:
    """Seconds pass until `condition` is true; in each of them sockets and threads have their turn."""
    async with asyncio.timeout(20):
        while not condition():
            await clock.advance(1)
            for _ in range(10):
                await asyncio.sleep(0.001)
