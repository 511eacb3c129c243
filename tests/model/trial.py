"""One sequence of actions, played against real files and a real file source, and judged."""

from __future__ import annotations

import tempfile
import traceback
from collections import Counter
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from random import Random

from tests.fakes import FakeClock
from tests.model.actions import Action
from tests.model.child import Child
from tests.model.files import Line
from tests.model.intake import Broken, Intake, Taken
from tests.model.reader import InProcess, Reader
from tests.model.world import LIVE, World


class Trial:
    """`play` raises `Broken` where a promise does not hold. `pattern` is what the source looks for."""

    def __init__(self, root: Path, seed: int, child: bool = False) -> None:
        self.rng = Random(seed)
        pattern = self.rng.choice((LIVE, f"{LIVE}*"))
        self.clock = FakeClock()
        self.intake = Intake(self.rng, self.stays)
        at = root / pattern
        self.reader: Reader = Child(at, self.intake, self.rng) if child else InProcess(at, self.intake)
        self.world = World(
            root,
            self.rng,
            self.clock.now,
            lambda path: path.parent == root and fnmatch(path.name, pattern),
            lambda file: self.reader.alive and self.reader.holds(file),
            lambda file: not self.reader.alive and file in {known.id for known in self.reader.remembered()},
            self.was_read,
        )
        self.may_repeat: Counter[bytes] = Counter()
        self.saved: dict[int, int] = {}

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
            case "partial" | "rotate" | "move" | "create" | "copytruncate" | "delete" | "compress" | "swap":
                getattr(world, name)()
            case "poll":
                await self.poll()
            case "settle":
                self.intake.settle(amount * 1.5)
            case "save":
                await self.save()
            case "kill":
                await self.die()
            case "stop":
                await self.save()
                await self.die()
            case "start":
                await self.start()
            case "down" | "up":
                self.intake.up = name == "up"
            case "pass":
                await self.advance(amount * amount * 10)

    async def advance(self, seconds: float) -> None:
        await self.clock.advance(seconds)
        await self.reader.advance(seconds)

    async def start(self) -> None:
        if not self.reader.alive:
            await self.reader.start()

    async def poll(self) -> bool | None:
        if not self.reader.alive:
            return False
        found = await self.reader.poll()
        self.world.seen()
        return found

    async def save(self) -> None:
        if self.reader.alive:
            await self.reader.save()
            self.saved = self.intake.safe()
            self.world.saved()

    async def die(self) -> None:
        if not self.reader.alive:
            return
        await self.reader.kill()
        certain = {known.uid.encode() for known in self.reader.remembered() if known.fingerprint.length}
        again = self.intake.die(self.saved, certain)
        self.may_repeat.update(again)
        self.saved = {}
        self.world.killed(self.was_settled)

    def stays(self, text: bytes) -> bool:
        line = self.world.lines.get(text)
        return line is not None and not line.volatile and text not in self.world.pieces

    def was_read(self, line: Line) -> bool:
        return line.text in self.intake.fed_now or self.was_settled(line)

    def was_settled(self, line: Line) -> bool:
        return line.text in self.intake.settled

    # The end.

    async def finish(self) -> None:
        """All is well again, and stays so."""
        self.intake.up = True
        self.intake.settle(1.0)
        await self.start()
        self.world.create()
        self.world.complete()
        idle = 0
        for _ in range(1000):
            found = await self.poll()
            self.intake.settle(1.0)
            await self.advance(1.0)
            idle = idle + 1 if found is False else 0
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


async def attempt(seed: int, actions: Sequence[Action], child: bool = False) -> str:
    """What is broken, or nothing. With `child` the source has a process of its own, and kills are real: it is told when they
    came."""
    with tempfile.TemporaryDirectory(prefix="model-") as root:
        trial = Trial(Path(root), seed, child)
        try:
            await trial.play(actions)
        except Broken as broken:
            return f"{broken}{_kills(trial.reader)}"
        except Exception:  # noqa: BLE001 - whatever it is, it is what we look for
            return f"{traceback.format_exc()}{_kills(trial.reader)}"
    return ""


def _kills(reader: Reader) -> str:
    return f"; killed {', then '.join(reader.kills)}" if isinstance(reader, Child) and reader.kills else ""
