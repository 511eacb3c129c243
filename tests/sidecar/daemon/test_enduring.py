"""A task that is refused something goes on."""

from __future__ import annotations

import asyncio
import errno

from sidecar.daemon.enduring import enduring
from tests.sidecar.daemon.running import Events, Hurried, until


class Refusing(Events):
    """A daemon's log, and a system that refuses a task of it a few times."""

    async def work(self) -> None:
        self.refused += 1
        raise OSError(errno.EMFILE, "Too many open files")

    refused = 0


async def test_what_the_system_refuses_ends_no_task_and_is_said_once() -> None:
    events = Refusing()
    task = asyncio.create_task(enduring("process", events.work, Hurried(), events.log))
    await until(lambda: events.refused > 3)
    assert not task.done()
    task.cancel()
    assert [line["why"] for line in events.named("refused by the system")] == ["[Errno 24] Too many open files"]
