"""A task that the system may refuse something (descriptors, memory), and that does not end of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog

from ..io.clock import Clock

PAUSE = 1.0


async def enduring(
    name: str, work: Callable[[], Awaitable[None]], clock: Clock, log: structlog.typing.FilteringBoundLogger
) -> None:
    """`work`, again and again. What it is refused is said once a reason."""
    said = set()
    while True:
        try:
            await work()
        except OSError as error:
            if error.errno not in said:
                log.warning("refused by the system", task=name, why=str(error))
            said.add(error.errno)
            await clock.sleep(PAUSE)
