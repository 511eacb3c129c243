"""One sequence of actions, played against real files and a real file source, and judged."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import traceback
from collections import Counter
from collections.abc import MutableMapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from random import Random
from typing import Any

import structlog

from sidecar.io.resolver import Resolver
from sidecar.logs.base import SourceContext
from sidecar.logs.sources.file import Config, FileSource
from sidecar.model.counters import LogCounters
from tests.fakes import FakeClock
from tests.model.actions import Action, sequence
from tests.model.intake import Broken, Intake, Taken
from tests.model.world import LIVE, Identity, Line, World


class Trial:
    """`play` raises `Broken` where a promise does not hold."""

    def __init__(self, root: Path, seed: int) -> None:
        self.rng = Random(seed)
        self.pattern = self.rng.choice((LIVE, f"{LIVE}*"))
        self.intake = Intake(self.rng)
        self.clock = FakeClock()
        self.counters = LogCounters()
        self.world = World(root, self.rng, self.clock.now, self.watched, self.holds, self.finds)
        self.world.was_read = self.was_read
        self.settled: Counter[bytes] = Counter()
        self.may_repeat: Counter[bytes] = Counter()
        self.source: FileSource | None = None
        self.polling: asyncio.Task[bool] | None = None
        self.checkpoint = "{}"
        self.saved: dict[int, int] = {}
        self.root = root
        self.events: list[dict[str, Any]] = []
        """What the source logged."""

    async def play(self, actions: Sequence[Action]) -> None:
        try:
            for name, amount in actions:
                await self.act(name, amount)
            await self.finish()
            self.judge()
        finally:
            await self.die()
            self.world.close()

    async def act(self, name: str, amount: float) -> None:
        world = self.world
        count = 1 + int(amount * amount * 12)
        match name:
            case "write":
                world.write(count)
            case "late":
                world.late(count)
            case "write_linked":
                world.write_linked(count)
            case "copytruncate":
                world.copytruncate(numbered=amount < 0.5)
            case "partial" | "rotate" | "move" | "create" | "delete" | "compress" | "swap":
                getattr(world, name)()
            case "poll":
                await self.poll()
            case "settle":
                self.intake.settle(amount * 1.5)
            case "save":
                self.save()
            case "kill":
                await self.die()
            case "stop":
                await self.stop()
            case "start":
                self.start()
            case "down" | "up":
                self.intake.up = name == "up"
            case "pass":
                await self.clock.advance(amount * amount * 10)

    # The source.

    def start(self) -> None:
        if self.source is not None:
            return
        remembered = json.loads(self.checkpoint)
        context = SourceContext(
            name="model",
            intake=self.intake,
            clock=self.clock,
            resolver=Resolver(),
            counters=self.counters,
            remembered=json.loads(self.checkpoint),
            log=structlog.wrap_logger(None, processors=[self.told]),
        )
        config = Config(file=(str(self.root / self.pattern), str(self.root / "link.log")))
        self.source = FileSource(config, context)

    def told(self, logger: object, method: str, event: MutableMapping[str, Any]) -> str:
        self.events.append(dict(event))
        raise structlog.DropEvent

    async def poll(self) -> bool:
        """One round, or as much of one as is possible until the cap. Whether there was something to read."""
        if self.source is None:
            return False
        if self.polling is None:
            self.polling = asyncio.create_task(self.source.poll())
        blocked = asyncio.create_task(self.intake.blocked.wait())
        await asyncio.wait((self.polling, blocked), return_when=asyncio.FIRST_COMPLETED)
        blocked.cancel()
        if not self.polling.done():
            return True
        task, self.polling = self.polling, None
        found = task.result()
        self.world.seen()
        return found

    def save(self) -> None:
        if self.source is not None:
            self.checkpoint = json.dumps(self.source.checkpoint())
            self.saved = self.intake.safe()
            self.world.saved()

    async def stop(self) -> None:
        self.save()
        await self.die()

    async def die(self) -> None:
        """What a SIGKILL leaves behind: files, and what was saved."""
        if self.polling is not None:
            self.polling.cancel()
            await asyncio.wait((self.polling,))
            self.polling = None
        if self.source is None:
            return
        self.source = None
        for handle in self.open_files():
            os.close(handle)
        again = self.intake.die(self.saved, lambda uid: uid.decode() in self.checkpoint)
        self.may_repeat.update(again)
        self.saved = {}
        self.world.killed(self.was_settled)

    def open_files(self) -> set[int]:
        """The source's own descriptors below `root`."""
        ours = {file.handle for file in self.world.files}
        found = set()
        for name in os.listdir("/proc/self/fd"):
            try:
                target = os.readlink(f"/proc/self/fd/{name}")
            except OSError:
                continue  # of the listing itself
            if int(name) not in ours and target.startswith(f"{self.root}/"):
                found.add(int(name))
        return found

    # What the world asks.

    def watched(self, path: Path) -> bool:
        return path.parent == self.root and fnmatch(path.name, self.pattern)

    def holds(self, identity: Identity) -> bool:
        if self.source is None:
            return False
        for handle in self.open_files():
            status = os.fstat(handle)
            if (status.st_dev, status.st_ino) == identity:
                return True
        return False

    def finds(self, identity: Identity) -> bool:
        remembered = json.loads(self.checkpoint).get("files", [])
        return self.source is None and any((file["device"], file["inode"]) == identity for file in remembered)

    def was_read(self, line: Line) -> bool:
        return line.text in self.intake.fed_now or self.was_settled(line)

    def was_settled(self, line: Line) -> bool:
        return line.text in self.intake.settled

    # The end.

    async def finish(self) -> None:
        """All is well again, and stays so."""
        self.intake.up = True
        self.intake.settle(1.0)
        self.start()
        self.world.complete()
        idle = 0
        for _ in range(1000):
            found = await self.poll()
            self.intake.settle(1.0)
            await self.clock.advance(1.0)
            idle = 0 if found else idle + 1
            if idle > 10:
                return
        raise Broken("the source finds something to read for ever")

    def judge(self) -> None:
        came = Counter(taken.text for taken in self.intake.delivered)
        for text, times in came.items():
            if text in self.world.pieces:
                continue
            if text not in self.world.lines:
                raise Broken(f"never written: {text[:40]!r}")
            if times > 1 + self.may_repeat[text]:
                raise Broken(f"came {times} times, allowed are {1 + self.may_repeat[text]}: {text[:40]!r}")
        for file in self.world.files:
            for line in (*file.past, *file.lines):
                if line.must and line.text not in came:
                    raise Broken(f"lost: {line.text[:40]!r}")
        for life in self.intake.lives:
            self.judge_order(life)

    def judge_order(self, life: list[Taken]) -> None:
        last: dict[bytes, int] = {}
        for taken in life:
            if taken.text in self.world.pieces:
                continue
            line = self.world.lines[taken.text]
            if line.number <= last.get(taken.uid, -1):
                raise Broken(f"out of order: {taken.text[:40]!r} after line {last[taken.uid]}")
            last[taken.uid] = line.number


async def attempt(seed: int, actions: Sequence[Action] | None = None) -> str:
    """What is broken, or nothing."""
    rng = Random(seed)
    actions = sequence(rng) if actions is None else actions
    with tempfile.TemporaryDirectory(prefix="model-") as root:
        try:
            await Trial(Path(root), seed).play(actions)
        except Broken as broken:
            return str(broken)
        except Exception:  # noqa: BLE001 - whatever it is, it is what we look for
            return traceback.format_exc()
    return ""
