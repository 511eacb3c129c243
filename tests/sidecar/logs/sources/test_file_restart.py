"""What a restart knows of the files that changed while nobody looked."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from sidecar.model.logs import OFFSET_BITS
from tests.sidecar.logs.sources.following import Follower, write


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
    with log.open():  # so that its inode is given to nobody else
        log.unlink()
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
