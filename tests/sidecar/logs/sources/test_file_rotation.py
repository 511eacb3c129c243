"""Files that are renamed or deleted are read to their end, and no file is read twice."""

from __future__ import annotations

import gzip
from pathlib import Path

from tests.sidecar.logs.sources.following import Follower, write


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
