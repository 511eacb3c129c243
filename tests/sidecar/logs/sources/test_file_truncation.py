"""Files that are truncated, with and without a copy of what was in them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from sidecar.model.logs import OFFSET_BITS
from tests.sidecar.logs.sources.following import Follower, write


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
