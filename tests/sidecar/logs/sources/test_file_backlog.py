"""Rotated files that pile up unread: each costs as much as if there were no other, and past a bound they wait where they are."""

from __future__ import annotations

import os
from pathlib import Path

from sidecar.logs.followed_file import FollowedFile
from sidecar.logs.open_files import OpenFiles
from tests.sidecar.logs.sources.following import Follower, write


class Counting(OpenFiles):
    """How often a file was asked for, also of those that were open."""

    asked = 0

    def open(self, file: FollowedFile) -> bool:
        self.asked += 1
        return super().open(file)


def rotated(log: Path, numbers: range) -> list[bytes]:
    """Of a line each, the first the oldest; and what the lines are."""
    for number in numbers:
        write(log, f"{number}")
        os.utime(log, (number, number))
        log.rename(log.with_name(f"app.log.{number}"))
    return [b"%d" % number for number in numbers]


async def test_a_thousand_rotated_files_are_read_after_a_restart_and_each_is_opened_a_few_times(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    write(log, "0")
    os.utime(log, (0, 0))
    follower = Follower(log)
    await follower.source._look(everything=True)
    expected = [b"0", *rotated(log, range(1, 1001))]
    write(log, "1001")
    follower.intake.open.clear()
    await follower.source._look(everything=True)
    assert len(follower.inodes()) == 1001
    again = follower.crash()
    again.source._table.open_files = opened = Counting()
    assert sorted(await again.read()) == sorted([*expected, b"1001"])
    assert opened.asked < 10_000
    assert again.counters.lost_bytes == 0


async def paused(log: Path, most: int) -> Follower:
    """It follows a file that is read, and so many without a name at most; no more is read."""
    write(log, "0")
    os.utime(log, (0, 0))
    follower = Follower(log)
    follower.source._missed.most = most
    assert await follower.read() == [b"0"]
    return follower


async def test_of_more_rotated_files_than_are_followed_the_oldest_are_read_first_and_the_others_after_them(
    tmp_path: Path,
) -> None:
    log = tmp_path / "app.log"
    follower = await paused(log, 4)
    expected = [b"0", *rotated(log, range(1, 20))]
    write(log, "20")
    await follower.source._look(everything=True)
    assert follower.counters.streams == 5
    assert len(follower.inodes()) == 5
    assert follower.counters.errors == {"too_many_files": 1}
    assert [(event["first"], event["number"]) for event in follower.said] == [(f"{log}.5", 15)]
    assert follower.counters.why == "15 rotated files more than 4 wait to be read: the newest"
    assert follower.counters.lag_bytes == sum(path.stat().st_size for path in tmp_path.iterdir()) - 2
    assert set(await follower.read()) == {b"0", b"1", b"2", b"3", b"4", b"20"}
    for _ in range(20):
        await follower.after(6)
        assert follower.counters.streams <= 6
    assert sorted(follower.intake.lines) == sorted([*expected, b"20"])
    assert follower.counters.errors == {"too_many_files": 1}
    assert follower.counters.why == ""
    assert await follower.crash().after(10) == []


async def test_a_file_that_is_rotated_when_there_is_no_place_waits_too_and_is_found_after_a_kill(
    tmp_path: Path,
) -> None:
    """Reading is paused all the while, and each is looked at before it is renamed."""
    log = tmp_path / "app.log"
    follower = await paused(log, 4)
    for number in range(1, 20):
        log.rename(log.with_name(f"app.log.{number}"))
        write(log, f"{number}")
        os.utime(log, (number, number))
        await follower.source._look(everything=True)
        assert len(follower.inodes()) <= 6
    assert len(follower.source._table.open_files) <= 6
    again = follower.crash()
    again.source._missed.most = 4
    for _ in range(20):
        await again.after(6)
    assert sorted(again.intake.lines) == sorted(b"%d" % number for number in range(1, 20))
    assert again.counters.lost_bytes == 0


async def test_a_file_that_was_read_keeps_its_place_while_older_ones_wait(tmp_path: Path) -> None:
    """It is newer than they are: without a place it would be one of those that nobody has read."""
    log = tmp_path / "app.log"
    follower = await paused(log, 2)
    rotated(log, range(1, 9))
    write(log, "9")
    os.utime(log, (9, 9))
    await follower.read()
    inode = log.stat().st_ino
    log.rename(log.with_name("app.log.9"))
    for _ in range(2):
        await follower.after(6)
        assert follower.source._missed.waiting
        assert inode in follower.inodes()
    for _ in range(20):
        await follower.after(6)
    assert sorted(follower.intake.lines) == [b"%d" % number for number in range(10)]


async def test_a_copy_of_one_of_many_files_that_are_gone_is_found(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    follower = await paused(log, 1000)
    rotated(log, range(1, 101))
    write(log, "101")
    await follower.source._look(everything=True)
    for number in range(201, 301):
        log.with_name(f"app.log.{number}").write_bytes(b"%d\n" % number)
    log.with_name("app.log.900").write_bytes(b"5\n")
    for number in range(1, 101):
        log.with_name(f"app.log.{number}").unlink()
    again = follower.crash()
    assert sorted(await again.read()) == [
        b"101",
        b"5",
    ]  # the others are nobody's copy, and older than what has the name
    assert again.counters.lost_bytes == sum(len(f"{number}\n") for number in range(1, 101) if number != 5)


async def test_files_that_were_renamed_to_anything_are_bounded_too_and_what_is_given_up_is_counted(
    tmp_path: Path,
) -> None:
    log = tmp_path / "app.log"
    follower = await paused(log, 2)
    for number in range(1, 10):
        log.rename(tmp_path / f"anything-{number}-else")
        write(log, f"{number}")
        os.utime(log, (number, number))
        await follower.source._look(everything=True)
        assert follower.counters.streams <= 6
    assert follower.counters.lost_bytes == 2 * 5
    for _ in range(3):
        await follower.after(6)
    assert sorted(follower.intake.lines) == [b"0", b"1", b"2", b"3", b"9"]
    assert follower.counters.streams <= 3  # who was read makes place, without being waited for


async def test_a_rotated_file_that_was_read_and_left_is_not_read_again_when_a_pattern_means_it(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    follower = await paused(log, 2)
    rotated(log, range(1, 9))
    write(log, "9")
    for _ in range(9):
        await follower.after(6)
    assert len(follower.intake.lines) == 10
    follower.patterns = (tmp_path / "app.log*",)
    again = follower.crash()
    assert await again.read() == []
    write(tmp_path / "app.log.3", "more")
    assert await again.read() == [b"more"]
