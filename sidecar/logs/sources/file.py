"""Files by pattern, followed by polling, through whatever rotates them.

- *Renamed*: the descriptor stays open, and the file is read to its end. It is found again by (device, inode) in its directory,
  also after a restart and where its new name does not fit the pattern.
- *Copied and truncated*: the copy is found by what stands before the place that was read to, and read on from there as if the
  file had been renamed. Without a copy the file begins again as its next generation.
- *Deleted*: read to its end through the descriptor, then let go.

Two tasks share the files. One looks, and never waits for the pipeline, so that a rotation is seen while reading is paused for
hours; the other reads, a block of each file in turn.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping

import msgspec

from ...io.find_files import find, newest_first
from ...logic.globs import path_matches
from ...logic.lines import Lines
from ...model.logs import StartAt
from ..base import SourceContext
from ..file_memory import Memory, recall, remember
from ..file_restore import look_there, restore
from ..file_table import BUSY, LINGER, MOST_NAMES, QUIET, Describe, FileTable
from ..followed_file import FollowedFile, Rewritten
from ..left_names import Rotated, look_for_rotated
from ..missed_files import MOST_ENTRIES, MissedFiles
from ..settings import Files

BUSY_LOOK = 0.2
IDLE_LOOK = 0.8
"""Seconds between two looks; new files are found at this pace, too."""
MOST_LINES = 2000
"""Fed at once: they may be as short as nothing."""
SLICE = 16
"""Files that are looked at or read in one go: in some ms."""


def describe(path: str) -> dict[str, str]:
    """https://opentelemetry.io/docs/specs/semconv/registry/attributes/log/"""
    shown = _text(path)
    found = {"log.file.name": os.path.basename(shown), "log.file.path": shown}
    resolved = _text(os.path.realpath(path))
    if resolved != shown:
        found |= {"log.file.name_resolved": os.path.basename(resolved), "log.file.path_resolved": resolved}
    return found


def _text(path: str) -> str:
    return os.fsencode(path).decode("utf-8", "replace")


class FileSource:
    """Bounded: a block, or a line of `max_line`, in memory at a time, and about 3 KiB a file; 1,000 names, 1,000 files that have
    lost theirs, 256 descriptors.

    `describe` says what stands on each record of a path's stream.
    """

    def __init__(self, config: Files, context: SourceContext, describe: Describe = describe) -> None:
        self.config = config
        self._context = context
        self._counters = context.counters
        self._log = context.log.bind(source=context.name)
        self._table = FileTable(describe, context.counters, self._log)
        self._missed = MissedFiles(self._table, self._is_excluded, context.counters, self._log)
        self._restored = False
        self._next_full_look = 0.0
        self._endless: set[str] = set()
        self._refused: set[str] = set()
        """Directories that may not be read."""
        self._looked = asyncio.Event()

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._watch(), name=f"look at {self._context.name}")
                tasks.create_task(self._follow(), name=f"read {self._context.name}")
        finally:
            self._table.close()

    async def poll(self) -> bool:
        """One round: look at everything, read at most a block of each file. True if anything was read."""
        await self._look(everything=True)
        return await self._read_round()

    def checkpoint(self) -> Mapping[str, object]:
        if not self._restored:
            return self._context.remembered
        table = self._table
        files = (file for file in table.files.values() if not file.compressed)
        return remember(files, table.left, table.was_let_go, table.set_aside)

    def _is_excluded(self, path: str) -> bool:
        return any(path_matches(pattern, path) for pattern in self.config.exclude)

    # Looking.

    async def _watch(self) -> None:
        clock = self._context.clock
        while True:
            now = clock.monotonic()
            everything = now >= self._next_full_look
            if everything:
                self._next_full_look = now + IDLE_LOOK
            await self._look(everything)
            self._looked.set()
            busy = any(now - file.grown_at < BUSY for file in self._table.files.values())
            await clock.sleep(min(BUSY_LOOK if busy else IDLE_LOOK, self._next_full_look - now))

    async def _look(self, everything: bool) -> None:
        now = self._context.clock.monotonic()
        new = await self._find() if everything else []
        if not self._restored:
            await self._start(new, now)
        else:
            await _sliced(self._table.look(now, everything))
            if everything:
                await self._meet(new, now)
        if everything:
            await self._find_missed(now)
            files = self._table.files.values()
            self._table.complaints.looked(
                {*new, *self._table.names, *self._refused, *(file.path for file in files)}, now
            )
            self._measure(now)

    async def _find_missed(self, now: float) -> None:
        left, known = dict(self._table.left), frozenset(self._table.files)
        found: list[Rotated] = []
        await _sliced(look_for_rotated(left, MOST_ENTRIES, found))
        await _sliced(self._missed.enter(found, left, known, now))

    async def _find(self) -> list[str]:
        """The names that are not known yet; the newest first, where there are too many."""
        found = await asyncio.to_thread(find, self.config.file, self.config.exclude)
        complaints = self._table.complaints
        for path, error in found.refused.items():
            complaints.say(path, error)
        for path in self._refused - found.refused.keys():
            complaints.fine(path)
        self._refused = set(found.refused)
        for pattern in set(found.endless) - self._endless:
            self._counters.errors["too_many_names"] = self._counters.errors.get("too_many_names", 0) + 1
            self._log.error("a pattern leads to too many names: not all of them are looked at", pattern=pattern)
        self._endless |= set(found.endless)
        names = self._table.names
        new = [path for path in found.paths if path not in names]
        return await asyncio.to_thread(newest_first, new) if len(names) + len(new) > MOST_NAMES else new

    async def _meet(self, new: list[str], now: float) -> None:
        for step, path in enumerate(new):
            if not self._table.meet(path, now):
                self._table.crowd_out(new[step:])
                return
            if not step % SLICE:
                await asyncio.sleep(0)
        self._table.crowd_out([])

    async def _start(self, matched: list[str], now: float) -> None:
        table, remembered = self._table, self._context.remembered
        try:
            known = recall(remembered)
        except (ValueError, msgspec.ValidationError) as error:
            self._log.error(
                "what was remembered of files makes no sense: they are read from the beginning", error=str(error)
            )
            known = Memory([])
        if not matched and not self._refused:
            self._log.info("no file fits the patterns yet", patterns=self.config.file)
        there = await asyncio.to_thread(look_there, known, matched)
        await _sliced(restore(table, known, there, now))
        await self._meet(matched, now)
        for step, file in enumerate(list(table.files.values()), 1):
            if not step % SLICE:
                await asyncio.sleep(0)
            file.rotated |= not file.names
            if not remembered and self.config.start_at is StartAt.END:
                self._pass_over(file)
        self._restored = True

    def _pass_over(self, file: FollowedFile) -> None:
        try:
            if self._table.open_files.open(file) and not file.is_compressed():
                file.skip_to_end()
        except OSError as error:
            self._table.complaints.say(file.path, error)

    def _measure(self, now: float) -> None:
        lag_bytes, lag_seconds = 0, 0.0
        for file in self._table.files.values():
            if file.compressed:
                continue
            lag_bytes += file.unsettled_bytes
            lag_seconds = max(lag_seconds, file.lag(now))
        counters = self._counters
        counters.streams = len(self._table.files)
        counters.lag_bytes, counters.lag_seconds = lag_bytes + self._missed.waiting_bytes, lag_seconds
        counters.why = self._table.complaints.why
        if not counters.why and self._table.crowded_out:
            counters.why = f"{self._table.crowded_out} files more than {MOST_NAMES} are not read: the oldest"
        if not counters.why and self._missed.waiting:
            counters.why = (
                f"{self._missed.waiting} rotated files more than {self._missed.most} wait to be read: the newest"
            )
        if not counters.why and not self._table.files:
            counters.why = f"no file fits {', '.join(self.config.file)}"

    # Reading.

    async def _follow(self) -> None:
        while True:
            await self._looked.wait()
            self._looked.clear()
            while await self._read_round():
                pass

    async def _read_round(self) -> bool:
        table, some = self._table, False
        while table.gone:
            if stream := table.gone.pop().stream:
                await stream.flush()
        for step, file in enumerate(sorted(table.files.values(), key=lambda file: not file.rotated), 1):
            if not step % SLICE:
                await asyncio.sleep(0)
            if table.files.get(file.id) is file and (file.wants or file.rotated):
                some |= await self._read_or_complain(file)
        await asyncio.sleep(0)
        return some

    async def _read_or_complain(self, file: FollowedFile) -> bool:
        table = self._table
        try:
            try:
                return await (self._read(file) if file.wants else self._finish(file))
            except Rewritten:
                table.truncated(file, file.look(), self._context.clock.monotonic())
                return True
        except FileNotFoundError:
            if not file.names:
                table.vanished(file)
        except OSError as error:
            table.complaints.say(file.path, error)
        return False

    async def _read(self, file: FollowedFile) -> bool:
        if not self._table.open_files.open(file):
            return False
        self._table.complaints.fine(file.path)
        if file.expected or file.doubted:
            file.verify()
        stood, examined = file.offset, file.examined
        if not file.begun:
            self._begin(file)
            if not file.begun:
                return file.offset > stood
        lines = file.read(self.config.max_line)
        if lines.marks:
            await self._feed(file, lines)
        elif file.examined == examined:
            self._look_into(file)
        return file.examined > examined

    def _begin(self, file: FollowedFile) -> None:
        if not file.offset:
            if file.is_compressed():
                if not file.compressed:
                    self._log.info("a compressed file is not read", path=file.path)
                file.compressed = True
                file.examined = file.seen.size
                return
            if self._table.may_be_copy(file, self._context.clock.monotonic()):
                return
        file.begin()

    def _look_into(self, file: FollowedFile) -> None:
        """It has shrunk since the last look."""
        seen = file.look()
        if seen.size < file.offset:
            raise Rewritten
        file.saw(seen, self._context.clock.monotonic())

    async def _feed(self, file: FollowedFile, lines: Lines) -> None:
        self._counters.cut_lines += lines.cut
        self._counters.cut_bytes += lines.cut_bytes
        if file.stream is None:
            file.stream = self._context.intake.stream(file.uid.encode(), file.attributes, file.read_to)
        if file.flush_due:
            file.flush_due = False
            await file.stream.flush()
        for at in range(0, len(lines.marks), MOST_LINES):
            marks = lines.marks[at : at + MOST_LINES]
            await file.stream.feed(lines.lines[at : at + MOST_LINES], marks)
            file.read_to = max(file.read_to, marks[-1])
            await asyncio.sleep(0)

    async def _finish(self, file: FollowedFile) -> bool:
        """A rotated file that is read to its last line end: its last line, some seconds after it has grown, and then the file
        itself, when nothing asks for it, are let go; at once where others wait for its place."""
        now, table = self._context.clock.monotonic(), self._table
        if now - file.grown_at < QUIET:
            return False
        if not file.ended:
            return await self._end(file, now)
        if file.names:
            table.open_files.close(file)
        elif (not file.seen.links or now - file.grown_at >= LINGER or self._missed.needs_place_of(file)) and (
            file.stream is None or file.settled == file.read_to
        ):
            table.let_go(file)
        return False

    async def _end(self, file: FollowedFile, now: float) -> bool:
        if not self._table.open_files.open(file):
            return False
        seen = file.look()
        if (seen.size, seen.changed) != (file.seen.size, file.seen.changed):
            file.saw(seen, now)
            return False
        file.ended = True
        left = file.begun and file.seen.size > file.offset
        if left:
            await self._feed(file, file.rest(self.config.max_line))
        if file.stream is not None:
            await file.stream.flush()
        return left


async def _sliced(steps: Iterable[None]) -> None:
    """Others have their turn between them."""
    for step, _ in enumerate(steps, 1):
        if not step % SLICE:
            await asyncio.sleep(0)
