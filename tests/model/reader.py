"""The file source as the model drives it: round by round, and killed without a word."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, Protocol

import structlog

from sidecar.io.resolver import Resolver
from sidecar.logs.base import Intake as IntakeSeam
from sidecar.logs.base import SourceContext
from sidecar.logs.file_memory import Remembered, recall
from sidecar.logs.settings import Files
from sidecar.logs.sources.file import FileSource
from sidecar.model.counters import LogCounters
from tests.fakes import FakeClock
from tests.model.files import Identity
from tests.model.intake import Intake


class Reader(Protocol):
    """One that can be started again after it was killed. All but `start` need a life."""

    @property
    def alive(self) -> bool: ...

    async def start(self) -> None: ...

    async def poll(self) -> bool | None:
        """One round: whether there was something to read. None: all was looked at, and reading goes on at the next poll, when
        there is room."""

    async def save(self) -> None: ...

    async def advance(self, seconds: float) -> None:
        """Its clock, also while there is no life."""

    async def kill(self) -> None:
        """What SIGKILL leaves behind: files, and what was saved."""

    def remembered(self) -> list[Remembered]:
        """The files in what was saved last."""

    def holds(self, identity: Identity) -> bool:
        """Has it that file open?"""


def source_of(pattern: Path, intake: IntakeSeam, clock: FakeClock, remembered: dict[str, object]) -> FileSource:
    def drop(logger: object, method: str, event: MutableMapping[str, Any]) -> str:
        raise structlog.DropEvent

    context = SourceContext(
        name="model",
        intake=intake,
        clock=clock,
        resolver=Resolver(),
        counters=LogCounters(),
        remembered=remembered,
        log=structlog.wrap_logger(None, processors=[drop]),
    )
    return FileSource(Files(file=(str(pattern), str(pattern.with_name("link.log")))), context)


def opened(pid: int | str, root: Path) -> dict[int, Identity]:
    """The descriptors that a process has below `root`."""
    found = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        link = f"/proc/{pid}/fd/{name}"
        try:
            if os.readlink(link).startswith(f"{root}/"):
                status = os.stat(link)
                found[int(name)] = status.st_dev, status.st_ino
        except OSError:
            continue  # closed meanwhile, as that of the listing itself
    return found


class InProcess:
    """In this process: its life ends with its descriptors closed behind its back."""

    def __init__(self, pattern: Path, intake: Intake) -> None:
        self._pattern, self._intake = pattern, intake
        self._clock = FakeClock()
        self._saved = "{}"
        self._source: FileSource | None = None
        self._polling: asyncio.Task[bool] | None = None

    @property
    def alive(self) -> bool:
        return self._source is not None

    async def start(self) -> None:
        self._source = source_of(self._pattern, self._intake, self._clock, json.loads(self._saved))

    async def poll(self) -> bool | None:
        assert self._source is not None
        if self._polling is None:
            self._polling = asyncio.create_task(self._source.poll())
        else:
            await self._source._look(everything=True)  # as `run` does: reading may wait for hours, looking never
        blocked = asyncio.create_task(self._intake.blocked.wait())
        await asyncio.wait((self._polling, blocked), return_when=asyncio.FIRST_COMPLETED)
        blocked.cancel()
        if not self._polling.done():
            return None
        task, self._polling = self._polling, None
        return task.result()

    async def save(self) -> None:
        assert self._source is not None
        self._saved = json.dumps(self._source.checkpoint())

    async def advance(self, seconds: float) -> None:
        await self._clock.advance(seconds)

    async def kill(self) -> None:
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.wait((self._polling,))
            self._polling = None
        self._source = None
        for handle in self._opened():
            os.close(handle)

    def remembered(self) -> list[Remembered]:
        saved = json.loads(self._saved)
        return recall(saved).files if saved else []

    def holds(self, identity: Identity) -> bool:
        return identity in self._opened().values()

    def _opened(self) -> dict[int, Identity]:
        """Without those of the writers, which do not read."""
        return {
            handle: identity
            for handle, identity in opened("self", self._pattern.parent).items()
            if fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
        }
