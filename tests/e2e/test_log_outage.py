"""Logs through an outage of hours, with time scaled: rotations every few milliseconds, a `kill -9` in the midst, a full spool.

What may come twice is read from the checkpoint that the killed process left behind, so that nothing here depends on how fast the
machine is.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from sidecar.model.logs import OFFSET_BITS
from tests.e2e.spooling import MIB, Sidecar, eventually, sidecar
from tests.fakes import RecordingUpstream

ROTATION = 0.008
"""Seconds between two."""


class Place(NamedTuple):
    inode: int
    end: int


class App:
    """Writes lines, each unlike any other, and rotates by name as logrotate's `dateext` does: nothing is deleted."""

    def __init__(self, directory: Path) -> None:
        self.log = directory / "app.log"
        self.lines: dict[str, Place] = {}
        self._random = random.Random(7)
        self._rotations = 0
        directory.mkdir()
        self.log.touch()

    def write(self, count: int, size: int) -> None:
        with self.log.open("a") as file:
            for _ in range(count):
                line = f"line {len(self.lines):06d} {self._random.randbytes(size // 2).hex()}"
                file.write(f"{line}\n")
                self.lines[line] = Place(0, file.tell())
            inode = os.fstat(file.fileno()).st_ino
        for line in list(self.lines)[-count:]:
            self.lines[line] = Place(inode, self.lines[line].end)

    def rotate(self) -> Path:
        self._rotations += 1
        rotated = self.log.rename(self.log.with_name(f"app.log-2026{self._rotations:04d}"))
        self.log.touch()
        return rotated

    async def go_on(self, rotations: int, lines: int = 20, size: int = 200) -> None:
        for _ in range(rotations):
            self.write(lines, size)
            await asyncio.sleep(ROTATION / 2)
            self.rotate()
            await asyncio.sleep(ROTATION / 2)


class Memory:
    """What a killed process remembers: by inode, up to where everything is settled, and the paths of those of which nothing is.

    A path is that under which the file was met: a file that is held open is not looked for when it is renamed.
    """

    def __init__(self, spool: Path) -> None:
        files: list[dict[str, Any]] = json.loads((spool / "logs.json").read_text())["sources"]["app"]["files"]
        self.settled = {file["inode"]: file["mark"] & ((1 << OFFSET_BITS) - 1) for file in files}
        self.unread = {
            file["inode"]: file["path"] for file in files if not self.settled[file["inode"]] and file["size"]
        }

    def has(self, place: Place) -> bool:
        settled: int = self.settled.get(place.inode, 0)
        return place.end <= settled


def remembered(spool: Path) -> Memory | None:
    try:
        return Memory(spool)
    except (FileNotFoundError, KeyError):
        return None


def settings(app: App) -> str:
    return f"logs: [{{file: {app.log}, name: app, format: plain}}]\n"


def arrived(upstream: RecordingUpstream) -> Counter[str]:
    return Counter(record.body.string_value for _, record in upstream.records)


async def test_rotations_in_an_outage_with_a_kill_lose_nothing_and_repeat_what_was_not_remembered(
    tmp_path: Path,
) -> None:
    app = App(tmp_path / "logs")
    async with RecordingUpstream() as upstream:
        async with sidecar(tmp_path, upstream, settings=settings(app)) as target:
            target.down()
            await eventually(partial(holds, target, app.log.stat().st_ino))  # what was rotated away before is history
            await app.go_on(40)
            await eventually(lambda: (memory := remembered(target.spool)) and any(memory.settled.values()))
            await app.go_on(40)
            target.process.kill()
            target.process.wait()
            memory = Memory(target.spool)
        await app.go_on(20)
        async with sidecar(tmp_path, upstream, settings=settings(app)) as target:
            await app.go_on(20)
            target.up()
            await app.go_on(20)
            await eventually(lambda: app.lines.keys() <= arrived(upstream).keys())
            await target.emptied()
            assert target.memory() < 90
            (status,) = (await target.status())["logs"]["sources"]
    counts = arrived(upstream)
    again = {line for line, times in counts.items() if times > 1}
    assert counts.keys() == app.lines.keys()
    assert max(counts.values()) <= 2
    assert [line for line in again if memory.has(app.lines[line])] == []
    assert status["lost_bytes"] == 0
    places: dict[str, set[str]] = {}
    for _, record in upstream.records:
        uid = next(a.value.string_value for a in record.attributes if a.key == "log.record.uid")
        places.setdefault(record.body.string_value, set()).add(uid)
    assert [line for line in again if app.lines[line].inode in memory.settled and len(places[line]) > 1] == []


async def test_at_the_cap_files_are_the_buffer_and_what_is_deleted_unread_is_counted_and_named(tmp_path: Path) -> None:
    app = App(tmp_path / "logs")
    async with RecordingUpstream() as upstream:
        async with sidecar(tmp_path, upstream, settings=settings(app)) as target:
            target.down()
            rotated = await fill(app, target)
            (status,) = (await target.status())["logs"]["sources"]
            assert status["lag_bytes"] > MIB
            assert target.disk() <= 8 * MIB + MIB
            assert target.memory() < 90
            held = rotated.pop()  # deleted while the process has it open: still read
            await eventually(partial(holds, target, held.stat().st_ino))
            target.process.kill()
            target.process.wait()
            memory = Memory(target.spool)
        # The last one: of the first, something may have been settled since the checkpoint.
        victim = next(path for path in reversed(rotated) if path.stat().st_ino in memory.unread)
        inode, size = victim.stat().st_ino, victim.stat().st_size
        victim.unlink()
        lost = {line for line, place in app.lines.items() if place.inode == inode}
        async with sidecar(tmp_path, upstream, settings=settings(app)) as target:
            await eventually(partial(holds, target, held.stat().st_ino))
            held.unlink()
            target.up()
            await eventually(lambda: app.lines.keys() - lost <= arrived(upstream).keys())
            await target.emptied()
            assert await target.metric("outrider_logs_lost_bytes_total") == size
    counts = arrived(upstream)
    assert counts.keys() == app.lines.keys() - lost
    assert [line for line, times in counts.items() if times > 1 and memory.has(app.lines[line])] == []
    said = [json.loads(line) for line in (tmp_path / "sidecar.log").read_text().splitlines()]
    assert [(line["path"], line["lost_bytes"]) for line in said if "lost_bytes" in line] == [
        (memory.unread[inode], size)
    ]


async def fill(app: App, target: Sidecar) -> list[Path]:
    """Write and rotate until the spool is full and reading pauses, and then until some rotated files are remembered as unread."""
    await eventually(partial(holds, target, app.log.stat().st_ino))  # what was rotated away before is history
    rotated: list[Path] = []
    for _ in range(300):
        app.write(100, 4000)
        rotated.append(app.rotate())
        await asyncio.sleep(0.05)
        if (await target.status())["relay"][0]["state"] == "full":
            break
    for _ in range(6):
        app.write(100, 4000)
        inode = app.log.stat().st_ino
        await eventually(partial(holds, target, inode))
        rotated.append(app.rotate())
    inodes = {path.stat().st_ino for path in rotated}
    await eventually(lambda: (memory := remembered(target.spool)) and len(memory.unread.keys() & inodes) > 3)
    return rotated


def holds(target: Sidecar, inode: int) -> bool:
    """Has the process that file open?"""
    for descriptor in Path(f"/proc/{target.process.pid}/fd").iterdir():
        try:
            if descriptor.stat().st_ino == inode:
                return True
        except OSError:
            continue  # closed meanwhile
    return False
