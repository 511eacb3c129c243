"""The file source against real files: what is delivered, under which marks, and what a restart knows."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import structlog

from sidecar.io.clock import Clock, SystemClock
from sidecar.io.resolver import Resolver
from sidecar.logs.base import SourceContext
from sidecar.logs.sources.file import Config, FileSource
from sidecar.model.counters import LogCounters
from sidecar.model.logs import OFFSET_BITS, StartAt
from tests.fakes import FakeClock, RecordingIntake, RecordingStream, until


class Follower:
    """A file source that a test drives round by round; `crash` starts another from the last checkpoint."""

    def __init__(
        self,
        *patterns: Path,
        remembered: Mapping[str, object] | None = None,
        clock: Clock | None = None,
        intake: RecordingIntake | None = None,
        **settings: Any,
    ) -> None:
        self.settings = settings
        self.patterns = patterns
        self.clock = clock or FakeClock()
        self.intake = intake or RecordingIntake()
        self.counters = LogCounters()
        self.said: list[dict[str, Any]] = []
        log = structlog.wrap_logger(
            None, processors=[self._hear], wrapper_class=structlog.make_filtering_bound_logger(0)
        )
        self.source = FileSource(
            Config(file=tuple(map(str, patterns)), **settings),
            SourceContext("app", self.intake, self.clock, Resolver(), self.counters, remembered or {}, log),
        )

    def _hear(self, _: object, level: str, event: Any) -> Any:
        self.said.append(dict(event))
        raise structlog.DropEvent

    async def read(self) -> list[bytes]:
        """Everything there is now."""
        while await self.source.poll():
            pass
        return self.intake.lines

    async def after(self, seconds: float) -> list[bytes]:
        assert isinstance(self.clock, FakeClock)
        await self.clock.advance(seconds)
        await self.read()
        return await self.read()

    def saved(self) -> dict[str, object]:
        found: dict[str, object] = json.loads(json.dumps(self.source.checkpoint()))
        return found

    def inodes(self) -> list[int]:
        files: list[dict[str, int]] = self.saved().get("files", [])  # type: ignore[assignment]
        return [file["inode"] for file in files]

    def crash(self) -> Follower:
        return self.restart(self.saved())

    def restart(self, saved: Mapping[str, object]) -> Follower:
        self.source._table.close()
        return Follower(*self.patterns, remembered=saved, clock=self.clock, **self.settings)

    def stream(self, *start: bytes) -> RecordingStream:
        return next(stream for stream in self.intake.streams if stream.lines[: len(start)] == list(start))


def write(path: Path, *lines: str) -> None:
    with path.open("a") as file:
        file.writelines(f"{line}\n" for line in lines)


async def test_lines_come_once_with_the_offset_behind_them_as_mark(tmp_path: Path) -> None:
    write(tmp_path / "app.log", "one", "two")
    follower = Follower(tmp_path / "*.log")
    assert await follower.read() == [b"one", b"two"]
    write(tmp_path / "app.log", "", "three")
    assert await follower.read() == [b"one", b"two", b"", b"three"]
    assert follower.intake.streams[0].marks == [4, 8, 9, 15]
    assert follower.intake.streams[0].attributes == {
        "log.file.name": "app.log",
        "log.file.path": str(tmp_path / "app.log"),
    }
    assert len(follower.intake.streams[0].uid) == 16
    assert follower.counters.streams == 1


async def test_an_unfinished_line_of_a_live_file_waits_for_its_rest(tmp_path: Path) -> None:
    (tmp_path / "app.log").write_bytes(b"one\ntw")
    follower = Follower(tmp_path / "app.log")
    assert await follower.after(100) == [b"one"]
    with (tmp_path / "app.log").open("ab") as file:
        file.write(b"o\n")
    assert await follower.read() == [b"one", b"two"]


async def test_a_renamed_file_is_read_to_its_end_and_its_last_line_needs_no_line_end(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    write(log, "one")
    follower = Follower(log)
    await follower.read()
    write(log, "two")
    log.rename(tmp_path / "app.log.1")
    write(log, "four")
    with (tmp_path / "app.log.1").open("a") as late:
        late.write("three")
    assert await follower.read() == [b"one", b"two", b"four"]
    assert await follower.after(6) == [b"one", b"two", b"three", b"four"]
    assert follower.counters.rotations == 1
    assert [stream.attributes["log.file.name"] for stream in follower.intake.streams] == ["app.log", "app.log"]
    assert follower.stream(b"one").uid != follower.stream(b"four").uid


async def test_a_renamed_file_is_followed_while_its_writer_goes_on_and_let_go_after_that(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    write(log, "one")
    follower = Follower(log)
    await follower.read()
    log.rename(tmp_path / "old")
    for number in range(3):
        await follower.after(500)
        write(tmp_path / "old", str(number))
        await follower.read()
    assert follower.intake.lines == [b"one", b"0", b"1", b"2"]
    assert follower.counters.streams == 1
    await follower.after(610)
    await follower.read()
    assert follower.counters.streams == 0
    assert follower.inodes() == []


async def test_a_renamed_file_that_still_fits_the_pattern_is_not_read_again(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    follower = Follower(tmp_path / "app.log*")
    expected = []
    for number in range(4):
        for old in (3, 2, 1):
            if (tmp_path / f"app.log.{old}").exists():
                (tmp_path / f"app.log.{old}").rename(tmp_path / f"app.log.{old + 1}")
        if log.exists():
            log.rename(tmp_path / "app.log.1")
        write(log, f"a{number}", f"b{number}")
        expected += [f"a{number}".encode(), f"b{number}".encode()]
        await follower.read()
    assert await follower.after(100) == expected
    assert follower.counters.rotations >= 3


async def test_several_rotations_while_reading_is_paused_lose_nothing(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    follower = Follower(log)
    for number in range(5):
        write(log, f"a{number}", f"b{number}")
        await follower.source._look(everything=True)
        log.rename(tmp_path / f"app.log.{number}")
    (tmp_path / "app.log.2").unlink()
    assert sorted(await follower.read()) == sorted(f"{x}{n}".encode() for n in range(5) for x in "ab")
    assert follower.counters.lost_bytes == 0


async def test_a_file_that_was_deleted_is_read_to_its_end_and_its_successor_from_the_beginning(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    write(log, "one")
    follower = Follower(log)
    await follower.read()
    write(log, "two")
    log.unlink()
    assert await follower.read() == [b"one", b"two"]
    write(log, "three")
    assert await follower.read() == [b"one", b"two", b"three"]
    await follower.after(6)
    assert follower.inodes() == [log.stat().st_ino]


async def test_copytruncate_is_read_on_from_the_copy_under_the_same_uid(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    for pattern in ("app.log", "app.log*"):
        write(log, "one", "two")
        follower = Follower(tmp_path / pattern)
        await follower.read()
        write(log, "three", "four")
        shutil.copyfile(log, tmp_path / "app.log.1")
        os.truncate(log, 0)
        write(log, "five")
        await follower.read()
        await follower.after(6)
        assert sorted(follower.intake.lines) == [b"five", b"four", b"one", b"three", b"two"]
        assert follower.stream(b"one").lines == [b"one", b"two", b"three", b"four"]
        assert follower.stream(b"one").marks == [4, 8, 14, 19]
        assert follower.counters.truncations == 1
        assert follower.counters.lost_bytes == 0
        (tmp_path / "app.log.1").unlink()
        log.unlink()


async def test_copytruncate_past_the_old_place_between_two_looks_is_seen(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    write(log, "one", "two")
    follower = Follower(log)
    await follower.read()
    write(log, "three")
    shutil.copyfile(log, tmp_path / "app.log-20261121")
    os.truncate(log, 0)
    write(log, "a much longer line than all before")
    await follower.read()
    assert sorted(await follower.read()) == [b"a much longer line than all before", b"one", b"three", b"two"]


async def test_a_copy_that_is_still_being_written_is_not_read_on_its_own(tmp_path: Path) -> None:
    log, copy = tmp_path / "app.log", tmp_path / "app.log.1"
    write(log, *(f"line {n}" for n in range(100)))
    content = log.read_bytes()
    follower = Follower(tmp_path / "app.log*")
    await follower.read()
    for end in (0, 10, 300, len(content)):
        copy.write_bytes(content[:end])
        await follower.after(3)
        assert len(follower.intake.lines) == 100
    os.truncate(log, 0)
    write(log, "new")
    await follower.read()
    await follower.after(6)
    assert len(follower.intake.lines) == 101
    assert follower.intake.lines[-1] == b"new"


async def test_a_file_that_begins_like_another_is_read_too(tmp_path: Path) -> None:
    banner = "Welcome to the program\n" * 60
    for name in ("app.log", "other.log"):
        (tmp_path / name).write_text(banner)
    follower = Follower(tmp_path / "*.log*")
    assert len(await follower.read()) == 120
    (tmp_path / "app.log.1").write_text(banner)
    assert len(await follower.read()) == 120
    assert len(await follower.after(6)) == 180


async def test_a_truncated_file_without_a_copy_begins_again_as_its_next_generation(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    write(log, "one", "two")
    follower = Follower(log)
    await follower.read()
    write(log, "lost")
    await follower.source._look(everything=True)
    os.truncate(log, 0)
    write(log, "new")
    await follower.read()
    stream = follower.stream(b"one")
    assert stream.lines == [b"one", b"two", b"new"]
    assert stream.marks == [4, 8, 1 << OFFSET_BITS | 4]
    assert stream.flushed == [2]
    assert (follower.counters.truncations, follower.counters.lost_bytes) == (1, 5)
    assert {"path": str(log), "lost_bytes": 5}.items() <= follower.said[-1].items()


async def test_a_file_that_was_not_read_yet_is_found_in_its_copy_by_its_beginning(tmp_path: Path) -> None:
    """Reading is paused: what is known of the file is what a look could see."""
    log = tmp_path / "app.log"
    write(log, "one", "two")
    follower = Follower(log)
    await follower.source._look(everything=True)
    for number in (2, 1):
        shutil.copyfile(log, tmp_path / f"app.log.{number}")
        os.truncate(log, 0)
        write(log, f"then {number}")
        await follower.source._look(everything=True)
    await follower.read()
    assert sorted(follower.intake.lines) == [b"one", b"then 1", b"then 2", b"two"]
    assert follower.counters.lost_bytes == 0


async def test_several_copies_that_were_made_while_nobody_looked_are_all_read(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    write(log, "one")
    follower = Follower(log)
    await follower.read()
    saved = follower.saved()
    for number in (3, 2, 1):
        write(log, f"then {number}")
        shutil.copyfile(log, tmp_path / f"app.log.{number}")
        os.truncate(log, 0)
        os.utime(tmp_path / f"app.log.{number}", (log.stat().st_atime, log.stat().st_mtime + 10 - number))
    os.utime(log, (log.stat().st_atime, log.stat().st_mtime + 10))
    again = follower.restart(saved)
    await again.source._look(everything=True)
    write(log, "and now")
    await again.read()
    assert sorted(await again.read()) == [b"and now", b"then 1", b"then 2", b"then 3"]
    assert again.counters.lost_bytes == 0


async def test_a_file_that_had_the_name_between_two_looks_is_found_also_after_a_kill(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    write(log, "one")
    follower = Follower(log)
    await follower.read()
    log.rename(tmp_path / "app.log.2")
    await follower.after(1)
    await follower.after(700)
    assert follower.inodes() == []
    again = follower.crash()
    write(log, "two")
    log.rename(tmp_path / "app.log.1")
    write(log, "three")
    assert sorted(await again.read()) == [b"three", b"two"]
    assert again.stream(b"two").attributes["log.file.name"] == "app.log"


async def test_a_rotated_file_is_found_also_where_its_successor_has_the_inode_that_is_remembered(
    tmp_path: Path,
) -> None:
    log = tmp_path / "app.log"
    write(log, "one")
    follower = Follower(log)
    await follower.read()
    saved = follower.saved()
    write(tmp_path / "app.log.1", "two")
    log.write_bytes(b"three\n")
    assert sorted(await follower.restart(saved).read()) == [b"three", b"two"]


async def test_the_successor_of_a_deleted_file_is_found_under_the_name_it_was_rotated_to(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "app.log"
    log.parent.mkdir()
    log.touch()
    follower = Follower(log)
    await follower.read()
    log.unlink()
    write(log, "one")
    log.rename(tmp_path / "logs" / "app.log.1")
    assert await follower.read() == [b"one"]
    assert list(follower.source._table.left) == [str(log)]
    shutil.rmtree(log.parent)
    await follower.read()
    assert list(follower.source._table.left) == []


async def test_a_copy_that_was_deleted_before_it_was_read_is_read_on_from_what_is_held_open(tmp_path: Path) -> None:
    log, copy = tmp_path / "app.log", tmp_path / "app.log.1"
    with log.open("wb", buffering=0) as writer:
        writer.write(b"one\n" * 100)
        follower = Follower(tmp_path / "app.log*")
        await follower.read()
        writer.write(b"two\n")
        shutil.copyfile(log, copy)
        os.truncate(log, 0)
        writer.write(b"three\n")
    await follower.source._look(everything=True)
    copy.unlink()
    await follower.read()
    assert sorted((await follower.after(6))[100:]) == [b"three", b"two"]
    assert follower.counters.lost_bytes == 0


async def test_a_file_is_not_let_go_while_its_lines_are_not_settled(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    write(log, "one")
    follower = Follower(log)
    follower.intake.settles = False
    await follower.read()
    inode = log.stat().st_ino
    log.unlink()
    await follower.after(1000)
    await follower.after(1000)
    assert follower.inodes() == [inode]
    follower.intake.streams[0].settle(1)
    await follower.after(1)
    assert follower.inodes() == []


async def test_a_file_that_no_pattern_fits_any_more_is_read_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "app.log").write_bytes(b"one\ntwo")
    follower = Follower(tmp_path / "app.log")
    await follower.read()
    saved = follower.saved()
    follower.patterns = (tmp_path / "other.log",)
    again = follower.restart(saved)
    await again.read()
    assert await again.after(6) == [b"two"]
    await again.after(700)
    assert again.inodes() == []


async def test_a_hole_that_grows_is_a_truncation(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    with log.open("wb", buffering=0) as writer:
        writer.write(b"one\n" * 10)
        follower = Follower(log)
        await follower.read()
        os.truncate(log, 0)
        writer.write(b"half of ")
        await follower.read()
        os.truncate(log, 0)
        writer.write(b"a line\ntwo\n")
    assert (await follower.read())[10:] == [b"a line", b"two"]


async def test_a_last_line_that_was_rewritten_stops_nothing(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_bytes(b"one\nlast")
    follower = Follower(log)
    await follower.read()
    log.rename(tmp_path / "app.log.1")
    await follower.read()
    changed = (tmp_path / "app.log.1").stat()
    (tmp_path / "app.log.1").write_bytes(b"two\nlast")
    os.utime(tmp_path / "app.log.1", ns=(changed.st_atime_ns, changed.st_mtime_ns))
    assert await follower.after(6) == [b"one", b"two"]
    assert await follower.after(6) == [b"one", b"two", b"last"]


async def test_a_truncation_is_counted_by_what_was_known_of_the_file_and_not_by_what_it_has_become(
    tmp_path: Path,
) -> None:
    log = tmp_path / "app.log"
    write(log, "one", "two")
    follower = Follower(log)
    await follower.read()
    os.truncate(log, 0)
    write(log, "much more than there was, all of it new")
    await follower.read()
    assert follower.counters.truncations == 1
    assert follower.counters.lost_bytes == 0


async def test_descriptors_are_few_and_nothing_is_lost_by_that(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    follower = Follower(log)
    follower.source._table.open_files.most = 4
    for number in range(12):
        write(log, str(number))
        await follower.source._look(everything=True)
        assert len(follower.source._table.open_files) <= 4
        log.rename(tmp_path / f"app.log.{number}")
    assert sorted(await follower.read(), key=int) == [str(number).encode() for number in range(12)]


def write_many(directory: Path, count: int) -> None:
    """Files of a line each, one a second older than the one before it."""
    for number in range(count):
        write(directory / f"{number:04}.log", str(number))
        os.utime(directory / f"{number:04}.log", (2_000_000 - number, 2_000_000 - number))


async def test_of_more_files_than_are_followed_the_oldest_are_left_out_and_told_once(tmp_path: Path) -> None:
    write_many(tmp_path, 1003)
    follower = Follower(tmp_path / "*.log")
    assert len(await follower.read()) == 1000
    assert follower.counters.streams == 1000
    assert follower.counters.errors == {"too_many_files": 1}
    assert [(event["first"], event["number"]) for event in follower.said] == [(str(tmp_path / "1000.log"), 3)]
    assert follower.counters.why == "3 files more than 1000 are not read: the oldest"
    for number in range(3):
        (tmp_path / f"{number:04}.log").unlink()
    assert (await follower.after(1))[1000:] == [b"1000", b"1001", b"1002"]
    assert follower.counters.why == ""


async def test_a_new_file_takes_the_place_of_the_oldest_that_rests_and_that_goes_on_later_where_it_was(
    tmp_path: Path,
) -> None:
    write_many(tmp_path, 1000)
    follower = Follower(tmp_path / "*.log")
    await follower.read()
    write(tmp_path / "new.log", "new")
    assert (await follower.after(50))[1000:] == []  # any of them may go on
    assert (await follower.after(20))[1000:] == [b"new"]
    assert str(tmp_path / "0999.log") not in follower.source._table.names
    assert (await follower.after(100))[1001:] == []  # no turns: who is out stays out until it is written to
    follower = follower.crash()
    await follower.read()
    assert await follower.after(70) == []
    write(tmp_path / "0999.log", "more")
    assert await follower.after(1) == [b"more"]
    assert str(tmp_path / "0998.log") not in follower.source._table.names
    assert follower.counters.truncations == 0


async def test_a_file_that_was_not_read_to_its_end_or_settled_makes_no_place(tmp_path: Path) -> None:
    write_many(tmp_path, 1000)
    follower = Follower(tmp_path / "*.log")
    follower.intake.settles = False
    await follower.read()
    follower.intake.settles = True
    for stream in follower.intake.streams:
        stream.settle(0 if stream.lines != [b"990"] else None)
    write(tmp_path / "new.log", "new")
    assert (await follower.after(70))[-1:] == [b"new"]
    assert str(tmp_path / "0990.log") not in follower.source._table.names


async def test_a_file_that_was_set_aside_and_written_anew_is_read_from_its_beginning(tmp_path: Path) -> None:
    write_many(tmp_path, 1000)
    follower = Follower(tmp_path / "*.log")
    await follower.read()
    write(tmp_path / "new.log", "new")
    await follower.after(70)
    (tmp_path / "0999.log").write_text("other\nlines\n")
    assert (await follower.after(70))[1001:] == [b"other", b"lines"]


async def test_lag_is_what_is_not_settled_and_since_when(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    write(log, "one", "two")
    follower = Follower(log)
    follower.intake.settles = False
    await follower.after(3)
    assert (follower.counters.lag_bytes, follower.counters.lag_seconds) == (8, 0)
    await follower.after(7)
    assert (follower.counters.lag_bytes, follower.counters.lag_seconds) == (8, 7)
    follower.intake.streams[0].settle(1)
    await follower.after(1)
    assert (follower.counters.lag_bytes, follower.counters.lag_seconds) == (4, 8)
    follower.intake.streams[0].settle(2)
    await follower.after(1)
    assert (follower.counters.lag_bytes, follower.counters.lag_seconds) == (0, 0)


async def test_many_short_lines_are_fed_in_slices(tmp_path: Path) -> None:
    (tmp_path / "app.log").write_bytes(b"\n" * 5000)
    follower = Follower(tmp_path / "app.log")
    sizes = []

    class Stream(RecordingStream):
        async def feed(self, lines: Any, marks: Any, times: Any = None, iostream: str = "") -> None:
            sizes.append(len(lines))

    follower.intake.stream = lambda *given: Stream(follower.intake, *given)  # type: ignore[method-assign]
    await follower.read()
    assert sizes == [2000, 2000, 1000]


async def test_that_nothing_fits_is_said(tmp_path: Path) -> None:
    follower = Follower(tmp_path / "*.log")
    await follower.read()
    assert [event["event"] for event in follower.said] == ["no file fits the patterns yet"]


async def test_a_writer_that_goes_on_at_its_old_place_leaves_no_nul_bytes(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    with log.open("wb", buffering=0) as writer:
        writer.write(b"one\n" * 100_000)
        follower = Follower(log)
        assert len(await follower.read()) == 100_000
        os.truncate(log, 0)
        writer.write(b"two\n")
    assert (await follower.read())[-1] == b"two"
    assert len(follower.intake.lines) == 100_001
    assert follower.intake.streams[0].marks[-1] == 1 << OFFSET_BITS | 400_004


async def test_a_symlink_is_followed_to_what_it_means_now(tmp_path: Path) -> None:
    write(tmp_path / "monday", "one")
    link = tmp_path / "current.log"
    link.symlink_to("monday")
    follower = Follower(link)
    await follower.read()
    write(tmp_path / "monday", "two")
    write(tmp_path / "tuesday", "three")
    (tmp_path / "new").symlink_to("tuesday")
    (tmp_path / "new").rename(link)
    assert await follower.read() == [b"one", b"two", b"three"]
    assert follower.stream(b"three").attributes == {
        "log.file.name": "current.log",
        "log.file.path": str(link),
        "log.file.name_resolved": "tuesday",
        "log.file.path_resolved": str(tmp_path / "tuesday"),
    }


async def test_a_file_with_two_names_is_read_once(tmp_path: Path) -> None:
    write(tmp_path / "a.log", "one")
    os.link(tmp_path / "a.log", tmp_path / "b.log")
    (tmp_path / "c.log").symlink_to("a.log")
    follower = Follower(tmp_path / "*.log", tmp_path / "a*")
    assert await follower.read() == [b"one"]


async def test_a_rotated_file_that_was_packed_is_not_read_again(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    write(log, "one")
    follower = Follower(tmp_path / "app.log*")
    await follower.read()
    write(log, "two")
    log.rename(tmp_path / "app.log.1")
    await follower.read()
    (tmp_path / "app.log.1.gz").write_bytes(gzip.compress((tmp_path / "app.log.1").read_bytes()))
    (tmp_path / "app.log.1").unlink()
    await follower.read()
    assert await follower.after(10) == [b"one", b"two"]
    assert [event["path"] for event in follower.said] == [str(tmp_path / "app.log.1.gz")]


async def test_what_is_excluded_or_too_early_is_not_read(tmp_path: Path) -> None:
    write(tmp_path / "app.log", "old")
    write(tmp_path / "debug.log", "no")
    (tmp_path / "half.log").write_text("old\nhal")
    follower = Follower(tmp_path / "*.log", exclude=("debug*",), start_at=StartAt.END)
    assert await follower.read() == []
    write(tmp_path / "app.log", "new")
    write(tmp_path / "half.log", "f")
    write(tmp_path / "later.log", "from the beginning")
    assert await follower.read() == [b"new", b"half", b"from the beginning"]


async def test_crlf_bom_nul_and_invalid_bytes(tmp_path: Path) -> None:
    (tmp_path / "app.log").write_bytes(b"\xef\xbb\xbfone\r\ntw\0o\n\xff\xfe\n\r\n")
    follower = Follower(tmp_path / "app.log")
    assert await follower.read() == [b"one", b"tw\0o", b"\xff\xfe", b""]
    assert follower.intake.streams[0].marks == [8, 13, 16, 18]


async def test_a_line_over_the_cap_is_cut_and_the_file_followed(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_bytes(b"a\n" + b"x" * (10 << 20) + b"\nb\n" + b"y" * 300_000)
    follower = Follower(log)
    assert await follower.read() == [b"a", b"x" * (256 << 10), b"b"]
    with log.open("ab") as file:
        file.write(b"y\r\nc\n")
    assert (await follower.read())[3:] == [b"y" * (256 << 10), b"c"]
    assert follower.counters.cut_lines == 2
    assert follower.intake.streams[0].marks[1] == 2 + (10 << 20) + 1


async def test_short_caps_cut_within_a_block(tmp_path: Path) -> None:
    write(tmp_path / "app.log", "x" * 100, "y" * 64, "z" * 65)
    follower = Follower(tmp_path / "app.log", max_line=64)
    assert await follower.read() == [b"x" * 64, b"y" * 64, b"z" * 64]
    assert (follower.counters.cut_lines, follower.counters.cut_bytes) == (2, 37)


async def test_a_crash_repeats_only_what_was_not_settled(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    write(log, "one", "two", "three")
    follower = Follower(log)
    await follower.read()
    follower.intake.streams[0].settle(1)
    again = follower.crash()
    write(log, "four")
    assert await again.read() == [b"two", b"three", b"four"]
    assert again.intake.streams[0].uid == follower.intake.streams[0].uid
    assert again.intake.streams[0].marks == [8, 14, 19]
    assert again.intake.streams[0].start == 4
    assert await again.crash().read() == []


async def test_a_file_that_was_renamed_while_nobody_looked_is_found_by_its_inode(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    write(log, "one", "two")
    follower = Follower(log)
    await follower.read()
    follower.intake.streams[0].settle(1)
    saved = follower.saved()
    write(log, "three")
    log.rename(tmp_path / "renamed-by-somebody")
    write(log, "four")
    again = follower.restart(saved)
    assert await again.read() == [b"two", b"three", b"four"]
    assert again.stream(b"two").uid == follower.stream(b"one").uid
    assert again.stream(b"two").attributes["log.file.name"] == "app.log"
    assert again.counters.lost_bytes == 0


async def test_a_file_that_was_copied_and_truncated_while_nobody_looked_is_read_on_from_the_copy(
    tmp_path: Path,
) -> None:
    log = tmp_path / "app.log"
    write(log, "one", "two")
    follower = Follower(log)
    await follower.read()
    follower.intake.streams[0].settle(1)
    saved = follower.saved()
    write(log, "three")
    shutil.copyfile(log, tmp_path / "app.log.1")
    os.truncate(log, 0)
    write(log, "four and more than there was before")
    again = follower.restart(saved)
    await again.read()
    assert sorted(again.intake.lines) == [b"four and more than there was before", b"three", b"two"]
    assert again.stream(b"two").uid == follower.stream(b"one").uid
    assert again.counters.lost_bytes == 0
    # And once more, before any of that is settled.
    once_more = again.restart(saved)
    assert sorted(await once_more.read()) == [b"four and more than there was before", b"three", b"two"]


async def test_what_vanished_unread_is_counted_and_named(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    write(log, "one", "two")
    follower = Follower(log)
    await follower.read()
    follower.intake.streams[0].settle(1)
    again = follower.crash()
    log.unlink()
    write(tmp_path / "keeps-the-inode-from-being-reused", "x")
    write(log, "three")
    assert (await again.read())[-1:] == [b"three"]
    assert again.counters.lost_bytes == 4
    assert {
        "event": "a file of logs that had this name has vanished while nobody followed it",
        "path": str(log),
        "lost_bytes": 4,
    }.items() <= again.said[0].items()


async def test_an_inode_given_to_another_file_is_not_taken_for_the_old_one(tmp_path: Path) -> None:
    log, other = tmp_path / "app.log", tmp_path / "else.log"
    write(log, "one", "two")
    follower = Follower(tmp_path / "*.log")
    await follower.read()
    saved = follower.saved()
    log.rename(other)
    other.write_text("another\nfile\nand longer\n")
    again = follower.restart(saved)
    assert await again.read() == [b"another", b"file", b"and longer"]
    assert again.intake.streams[0].attributes["log.file.name"] == "else.log"
    assert again.intake.streams[0].uid != follower.intake.streams[0].uid


async def test_a_truncation_is_not_remembered_as_read(tmp_path: Path) -> None:
    """The lines of the old generation are not settled when the checkpoint is made: it must not skip the new ones."""
    log = tmp_path / "app.log"
    write(log, "one", "two")
    follower = Follower(log)
    await follower.read()
    follower.intake.streams[0].settle(1)
    os.truncate(log, 0)
    write(log, "new", "newer")
    await follower.read()
    await follower.after(0)
    assert follower.counters.lag_bytes == 10
    again = follower.crash()
    assert await again.read() == [b"new", b"newer"]
    assert again.intake.streams[0].marks == [1 << OFFSET_BITS | 4, 1 << OFFSET_BITS | 10]


async def test_one_file_that_cannot_be_read_does_not_stop_the_others(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.log")
    (tmp_path / "directory.log").mkdir()
    (tmp_path / "nothing.log").symlink_to("nowhere")
    write(tmp_path / "app.log", "one")
    follower = Follower(tmp_path / "*.log")
    assert await follower.read() == [b"one"]
    assert await follower.after(10) == [b"one"]
    assert [(event["path"], event["reason"]) for event in follower.said] == [
        (str(tmp_path / "pipe.log"), "a pipe (`fifo` reads those), not a regular file"),
    ]
    assert follower.counters.errors == {"not_regular": 1}
    assert follower.counters.why == f"{tmp_path}/pipe.log: a pipe (`fifo` reads those), not a regular file"


async def test_a_link_of_somebody_else_to_what_is_not_theirs_is_not_followed(tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("only root can give files away")
    logs, secret = tmp_path / "logs", tmp_path / "shadow"
    logs.mkdir()
    write(secret, "secret")
    for name in ("theirs.log", "app.log.1", "taken.log"):
        (logs / name).symlink_to(secret)
        os.lchown(logs / name, 4711, 4711)
    write(logs / "app.log", "one")
    follower = Follower(logs / "*.log")
    assert await follower.read() == [b"one"]
    reason = "a link of user 4711 to a file of user 0 is not followed"
    assert [event["reason"] for event in follower.said] == [reason] * 2
    assert follower.counters.errors == {"untrusted_link": 2}
    assert follower.counters.why == f"{logs}/taken.log: {reason}, and 1 more"
    (logs / "app.log").unlink()  # now its rotated ones are looked for, and its name has another file
    (logs / "app.log").symlink_to(secret)
    os.lchown(logs / "app.log", 4711, 4711)
    assert await follower.after(10) == [b"one"]
    assert follower.counters.errors == {"untrusted_link": 3}
    assert await follower.crash().after(10) == []
    os.chown(secret, 4711, 4711)
    assert await follower.after(1) == [b"one", b"secret"]


async def test_a_directory_is_told_where_it_was_named(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    follower = Follower(tmp_path / "*", tmp_path / "app")
    await follower.read()
    assert follower.counters.why == f"{tmp_path}/app: a directory, not a regular file"


async def test_what_keeps_a_source_from_reading_is_told_while_it_does(tmp_path: Path) -> None:
    follower = Follower(tmp_path / "app/*.log", tmp_path / "other.log")
    await follower.read()
    assert follower.counters.why == f"no file fits {tmp_path}/app/*.log, {tmp_path}/other.log"
    write(tmp_path / "other.log", "one")
    await follower.after(1)
    assert follower.counters.why == ""
    (tmp_path / "app").symlink_to("app")
    await follower.after(1)
    await follower.after(1)
    assert follower.counters.why == f"{tmp_path}/app: Too many levels of symbolic links"
    assert follower.counters.errors == {"ELOOP": 1}
    (tmp_path / "app").unlink()
    assert await follower.after(1) == [b"one"]
    assert follower.counters.why == ""


async def test_a_block_of_each_file_is_read_in_turn(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(b"x" * 99 + b"\n" + b"y" * 99 + b"\n" * 1_000_000)
    write(tmp_path / "b.log", "one")
    follower = Follower(tmp_path / "*.log")
    await follower.source.poll()
    assert follower.intake.lines[-1] == b"one"
    assert len(follower.intake.lines) < 270_000


async def test_paused_reading_does_not_stop_looking(tmp_path: Path) -> None:
    """With `feed` waiting rotations go on and the files vanish, and nothing is lost."""
    log = tmp_path / "app.log"
    follower = Follower(log, clock=SystemClock())
    follower.intake.open.clear()
    running = asyncio.create_task(follower.source.run())
    for number in range(3):
        write(log, f"a{number}")
        await until(lambda: log.stat().st_ino in follower.inodes())
        log.rename(tmp_path / "gone")
    (tmp_path / "gone").unlink()
    follower.intake.open.set()
    await until(lambda: len(follower.intake.lines) == 3)
    assert sorted(follower.intake.lines) == [b"a0", b"a1", b"a2"]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
