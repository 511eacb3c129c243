"""All sources of logs with their pipelines and their memory, as the daemon runs them.

What is settled is remembered at most `REMEMBER` seconds late: so much may arrive twice after a crash, and nothing is lost.
Without a spool there is nowhere to remember it, and a restart begins anew.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence

import msgspec
import structlog

from ..io.checkpoints import Checkpoints
from ..io.clock import Clock
from ..io.resolver import Resolver
from ..logic.log_watch import LogWatch
from ..logic.otlp_logs import Frame
from ..logic.redaction import Rules
from ..logic.status import log_source
from ..model.counters import LogCounters
from ..model.status import LogsStatus
from ..version import VERSION
from .base import Source, SourceContext
from .config import Entry
from .delivery import Delivery, Take
from .formats import format_named
from .pipeline import Pipeline
from .sources import SOURCES, WRAPPED
from .sources.child import ChildSource, Copy

REMEMBER = 1.0
SWEEP = 0.25

Logger = structlog.typing.FilteringBoundLogger


class Followed(msgspec.Struct, frozen=True):
    """A source with its pipeline."""

    name: str
    kind: str
    source: Source
    pipeline: Pipeline
    counters: LogCounters


class Logs:
    """`run` until it is cancelled, then `finish`."""

    def __init__(
        self,
        entries: Sequence[Entry],
        rules: Rules,
        take: Take | None,
        resource: Mapping[str, str],
        directory: str | None,
        clock: Clock,
        rng: random.Random,
        resolver: Resolver,
        log: Logger,
        watches: Sequence[LogWatch] = (),
        copy: Copy | None = None,
    ) -> None:
        """`directory` is where checkpoints are kept; `take` is None where nothing leaves. `copy` is what the command writes that
        our launcher has started."""
        self.delivery = Delivery(take, Frame(resource, "outrider.logs", VERSION), clock, rng)
        self.checkpoints = Checkpoints(directory, log) if directory is not None and entries else None
        remembered = self.checkpoints.load() if self.checkpoints is not None else {}
        self._clock = clock
        self._copy = copy
        if copy is None and any(entry.child for entry in entries):
            log.warning("there is no child to read", remedy="start it as: outrider run -- COMMAND")
            entries = [entry for entry in entries if not entry.child]
        elif copy is not None and not any(entry.child for entry in entries):
            entries = [*entries, Entry(child=True)]
        self.followed = [
            self._follow(entry, rules, clock, resolver, log, remembered.get(entry.label, {}), watches)
            for entry in entries
        ]

    def _follow(
        self,
        entry: Entry,
        rules: Rules,
        clock: Clock,
        resolver: Resolver,
        log: Logger,
        remembered: Mapping[str, object],
        watches: Sequence[LogWatch],
    ) -> Followed:
        counters = LogCounters()
        watching = [watch for watch in watches if watch.source in ("", entry.label)]
        for watch in watching:
            watch.sources.append(counters)
        pipeline = Pipeline(
            self.delivery,
            clock,
            counters,
            rules,
            lambda: format_named(entry.format, entry.attributes),
            entry.multiline,
            entry.max_line if entry.kind in WRAPPED else None,
            [watch.note for watch in watching],
            entry.noise(counters),
        )
        context = SourceContext(entry.label, pipeline, clock, resolver, counters, remembered, log)
        source: Source
        if self._copy is not None and entry.child:
            source = ChildSource(entry.max_line, context, self._copy)
        else:
            source = SOURCES[entry.kind](entry.settings, context)
        return Followed(entry.label, entry.kind, source, pipeline, counters)

    @property
    def child(self) -> ChildSource | None:
        """What reads the command's output, where there is a command."""
        return next((one.source for one in self.followed if isinstance(one.source, ChildSource)), None)

    @property
    def counters(self) -> dict[str, LogCounters]:
        return {one.name: one.counters for one in self.followed}

    def status(self) -> LogsStatus | None:
        """None where no logs are configured."""
        if not self.followed:
            return None
        return LogsStatus(
            why=self.delivery.why,
            checkpoints=str(self.checkpoints.path) if self.checkpoints is not None else None,
            sources=tuple(log_source(one.name, one.kind, one.counters) for one in self.followed),
        )

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for one in self.followed:
                tasks.create_task(one.source.run(), name=f"logs {one.name}")
            tasks.create_task(self._sweep(), name="logs, what rests")
            tasks.create_task(self._remember(), name="logs, checkpoints")

    async def finish(self, timeout: float) -> None:
        """Reading has ended: what is unfinished is taken as it is, and what is delivered within `timeout` seconds is
        remembered. The rest is read again after the next start."""
        try:
            async with asyncio.timeout(timeout):
                for one in self.followed:
                    await one.pipeline.flush()
                await self.delivery.flush()
        except TimeoutError:
            pass  # told by /status and the checkpoint
        await self.delivery.close()
        await self._save()

    async def _sweep(self) -> None:
        while True:
            await self._clock.sleep(SWEEP)
            for one in self.followed:
                await one.pipeline.sweep()

    async def _remember(self) -> None:
        while True:
            await self._clock.sleep(REMEMBER)
            await self._save()

    async def _save(self) -> None:
        if self.checkpoints is not None:
            await self.checkpoints.save({one.name: one.source.checkpoint() for one in self.followed})
