"""The output of neighbouring containers, by Docker's or Podman's API over its Unix socket.

Once a second the source looks which containers there are, and sees to it that the output of each that runs is followed, and that
of each that has ended was read to its end. Stdout and stderr are a stream each, which outlives restarts of the container: the
engine is asked from the last settled line on, and what was read before is left out. A container that is made anew, under the
same name or with the same label, is another one.

The engine reads its own files for us, so a source that has to wait makes no container wait. What the engine has rotated away in
the meantime is gone; nothing tells how much that was.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping

import msgspec

from ...io.docker_api import Container, DockerApi, Listed, Refused
from ...model.logs import StartAt
from ..base import SourceContext
from ..followed_container import LONGEST, FollowedContainer, Memory
from ..settings import Docker

PERIOD = 1.0
"""Seconds between looks."""

MOST = 64
"""Containers that are read at a time."""
CLOSER = 10
"""At each of so many looks every container is asked for."""


class DockerSource:
    def __init__(self, config: Docker, context: SourceContext, environ: Mapping[str, str] = os.environ) -> None:
        self._config = config
        self._context = context
        self._api = DockerApi(config.socket, environ)
        self._followed: dict[str, FollowedContainer] = {}
        self._remembered = self._recall()
        self._skips = config.start_at is StartAt.END and not context.remembered
        """What there is at the first look is left out."""
        self._looks = 0
        self._crowded = False

    async def run(self) -> None:
        clock = self._context.clock
        failures = 0
        async with asyncio.TaskGroup() as group:
            while True:
                try:
                    found = await self._look()
                except OSError as error:
                    failures += 1
                    self._trouble(error)
                    await clock.sleep(min(LONGEST, PERIOD * 2.0 ** min(failures - 1, 5)))
                    continue
                failures = 0
                self._tend(found, group)
                self._say(found)
                await clock.sleep(PERIOD)

    def checkpoint(self) -> Mapping[str, object]:
        """Also tells the counters how far behind the source is."""
        oldest = min((oldest for each in self._followed.values() if (oldest := each.oldest)), default=None)
        lag = 0.0 if oldest is None else self._context.clock.now() - oldest / 1e9
        self._context.counters.lag_seconds = max(0.0, lag)
        memories = self._remembered | {each.id: each.memory for each in self._followed.values()}
        return {"containers": {name: memory.show() for name, memory in memories.items()}}

    def _recall(self) -> dict[str, Memory]:
        try:
            containers = msgspec.convert(self._context.remembered.get("containers", {}), dict[str, object])
            return {name: Memory.read(shown) for name, shown in containers.items()}
        except ValueError as error:  # msgspec's errors are ValueErrors
            self._context.log.warning("what was remembered is not usable", source=self._context.name, why=str(error))
            return {}

    async def _look(self) -> list[Container]:
        if "=" not in self._config.container:
            found = await self._api.inspect(self._config.container)
            return [found] if found else []
        ours = socket.gethostname()  # in a container the beginning of its id, unless it is told otherwise
        listed = [each for each in await self._api.labelled(self._config.container) if not each.id.startswith(ours)]
        if len(listed) > MOST and not self._crowded:
            self._context.log.warning("too many containers", source=self._context.name, found=len(listed), read=MOST)
        self._crowded = len(listed) > MOST
        self._looks += 1
        inspected = [await self._looked_at(each) for each in listed[:MOST]]
        return [each for each in inspected if each]

    async def _looked_at(self, listed: Listed) -> Container | None:
        """Of one that goes on running not each time: of many it would cost the engine too much."""
        followed = self._followed.get(listed.id)
        if followed and followed.is_read and listed.state == "running" and self._looks % CLOSER:
            return followed.container
        return await self._api.inspect(listed.id)

    def _tend(self, found: list[Container], group: asyncio.TaskGroup) -> None:
        """Let there be a task for every container of which there is something to read, and none for others."""
        now = self._context.clock.monotonic()
        for container in found:
            followed = self._followed.get(container.id)
            if followed is None:
                followed = self._followed[container.id] = self._begin(container)
            followed.seen(container, now)
            if followed.is_due(now):
                followed.begin(group.create_task(self._read(followed)))
        self._remembered.clear()  # of those that are gone
        self._skips = False
        for followed in list(self._followed.values()):
            if followed.has_gone(now):
                del self._followed[followed.id]
            elif followed.task is not None and followed.is_stuck(now):
                followed.task.cancel()
        self._context.counters.streams = len(found)

    def _begin(self, container: Container) -> FollowedContainer:
        memory = self._remembered.get(container.id)
        if memory is None:
            memory = Memory.at(int(self._context.clock.now() * 1e9) if self._skips else 0)
        return FollowedContainer(container, memory, self._config.max_line, self._context)

    async def _read(self, followed: FollowedContainer) -> None:
        """One reading, whatever becomes of it."""
        try:
            await followed.read(self._api)
            if followed.foreign:
                self._trouble(OSError(followed.foreign.decode(errors="replace")), container=followed.name)
        except (OSError, ValueError) as error:
            followed.failed(self._context.clock.monotonic())
            self._trouble(error, container=followed.name)

    def _trouble(self, error: OSError | ValueError, **where: str) -> None:
        word = error.word if isinstance(error, Refused) else "broken"
        errors = self._context.counters.errors
        errors[word] = errors.get(word, 0) + 1
        self._warn(str(error), **where)

    def _say(self, found: list[Container]) -> None:
        """Each change once."""
        if not found:
            self._warn(f"there is no container {self._config.container}")
        elif self._context.counters.why and not any(each.failures for each in self._followed.values()):
            self._context.counters.why = ""
            self._context.log.info("containers are read", source=self._context.name)

    def _warn(self, why: str, **where: str) -> None:
        if why != self._context.counters.why:
            self._context.counters.why = why
            self._context.log.warning("containers cannot be read", source=self._context.name, **where, why=why)
