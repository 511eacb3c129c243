"""All sources of logs with their pipelines and their memory, as the daemon runs them.

What is settled is remembered at most `REMEMBER` seconds late: so much may arrive twice after a crash, and nothing is lost.
Without a spool there is nowhere to remember it, and a restart begins anew.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import msgspec
import structlog

from ..io import memory
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
from .adoption import adopt
from .base import Source, SourceContext
from .config import Entry
from .delivery import Delivery, Take
from .followed_source import FollowedSource
from .formats import format_named
from .pipeline import Pipeline, Watcher
from .sources import SOURCES, WRAPPED
from .sources.child import ChildSource, Copy

FIRST = 0.1
"""Seconds until the first checkpoint, or so many more until there is something to remember: who is killed in its first second
knows the files again, wherever they are by then."""
REMEMBER = 1.0
RARELY = 10
"""Of so many looks one is at what has changed without a line: a file's name."""
SWEEP = 0.25

Logger = structlog.typing.FilteringBoundLogger


class Logs:
    """`run` until it is cancelled, then `finish`; or `close` alone, at once."""

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
        self.child: ChildSource | None = None
        """What reads the command's output, where there is a command."""
        self._remembered = self.checkpoints.load() if self.checkpoints is not None else {}
        self._left = [self._remembered[name] for name in self._remembered.keys() - {entry.label for entry in entries}]
        self._clock = clock
        self._resolver = resolver
        self._log = log
        if copy is None and any(entry.child for entry in entries):
            log.warning("there is no child to read", remedy="start it as: outrider run -- COMMAND")
            entries = [entry for entry in entries if not entry.child]
        elif copy is not None and not any(entry.child for entry in entries):
            entries = [*entries, Entry(child=True)]
        self.followed = [self._follow(entry, rules, watches, copy) for entry in entries]
        for watch in watches:
            watch.sources = [one.sight for one in self.followed if watch.means(one.name)]
        self._closed = False

    def _follow(self, entry: Entry, rules: Rules, watches: Sequence[LogWatch], copy: Copy | None) -> FollowedSource:
        counters, clock = LogCounters(), self._clock
        watchers: list[Watcher] = [watch.note for watch in watches if watch.means(entry.label)]
        pipeline = Pipeline(
            self.delivery,
            clock,
            counters,
            rules,
            lambda: format_named(entry.format, entry.attributes),
            entry.multiline,
            entry.max_line if entry.kind in WRAPPED else None,
            watchers,
            entry.noise(counters),
        )
        context = SourceContext(entry.label, pipeline, clock, self._resolver, counters, {}, self._log)
        make = self._maker(entry, context, copy)
        remembered = self._remembered.get(entry.label) or self._adopted(entry)
        followed = FollowedSource(entry.label, entry.kind, make, pipeline, counters, remembered, clock, self._log)
        if watchers:
            watchers.append(followed.note)
        return followed

    def _maker(
        self, entry: Entry, context: SourceContext, copy: Copy | None
    ) -> Callable[[Mapping[str, object]], Source]:
        if entry.child and copy is not None:
            child = self.child = ChildSource(entry.max_line, context, copy)
            return lambda _: child  # what it has in hand cannot be read again
        settings = entry.settings
        if entry.file and self.checkpoints is not None:
            settings = msgspec.structs.replace(settings, exclude=(*settings.exclude, *self.checkpoints.ours))
        return lambda remembered: SOURCES[entry.kind](settings, replace(context, remembered=remembered))

    def _adopted(self, entry: Entry) -> Mapping[str, object]:
        match entry.kind:
            case "file":
                return adopt(entry.settings, self._left)
            case "pods":
                return adopt(entry.settings.files(), self._left)
        return {}

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
            sources=tuple(log_source(one.name, one.kind, one.why, one.counters) for one in self.followed),
        )

    async def run(self) -> None:
        if self.followed:
            memory.keep_room()
        async with asyncio.TaskGroup() as tasks:
            for one in self.followed:
                tasks.create_task(one.run(), name=f"logs {one.name}")
            tasks.create_task(self._sweep(), name="logs, what rests")
            tasks.create_task(self._remember(), name="logs, checkpoints")

    @property
    def is_read_out(self) -> bool:
        """Has the command's output been read to its end and handed on? Also where there is no command."""
        return self.child is None or self.child.ended.is_set()

    async def finish(self, timeout: float) -> None:
        """Reading has ended: what is unfinished is taken as it is, and what is delivered within `timeout` seconds is
        remembered. The rest is read again after the next start, but for a command's output: that is counted as lost."""
        if self.child is not None and (lost := await self.child.give_up(timeout)):
            self._log.warning(
                "no time was left for the end of the output", lost_lines=lost, remedy="give a longer drain"
            )
        try:
            async with asyncio.timeout(timeout):
                for one in self.followed:
                    await one.flush()
                await self.delivery.flush()
        except TimeoutError:
            pass  # told by /status and the checkpoint
        await self.close()

    async def close(self) -> None:
        """Reading has ended, or never begun. Nothing more is delivered; what was is remembered."""
        if not self._closed:
            self._closed = True
            if self.checkpoints is None and (records := self.delivery.unsettled):
                records += sum(one.pipeline.unfinished for one in self.followed)
                remedy = "give spool.path, or a longer drain"
                self._log.warning("not known to have been delivered", records=records, remedy=remedy)
            await self.delivery.close()
            await self._save()
            if self.checkpoints is not None:
                await self.checkpoints.close()

    async def _sweep(self) -> None:
        """Wakes up for what was fed alone."""
        while True:
            await self.delivery.fed.wait()
            self.delivery.fed.clear()
            while any(one.pipeline.waits for one in self.followed):
                await self._clock.sleep(SWEEP)
                for one in self.followed:
                    await one.sweep()

    async def _remember(self) -> None:
        for _ in range(RARELY):
            await self._clock.sleep(FIRST)
            if all(one.checkpoint() for one in self.followed):
                break
        await self._save()
        saved = 0
        while True:
            for _ in range(RARELY):
                await self._clock.sleep(REMEMBER)
                if self.delivery.changes != saved or not self.delivery.is_idle:
                    break
            saved = self.delivery.changes
            await self._save()

    async def _save(self) -> None:
        remembered = {one.name: one.checkpoint() for one in self.followed}  # also tells how far behind they are
        if self.checkpoints is not None:
            await self.checkpoints.save(remembered)
