"""More files than there are places and descriptors for."""

from __future__ import annotations

import os
from pathlib import Path

from tests.sidecar.logs.sources.following import Follower, write


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


async def test_a_block_of_each_file_is_read_in_turn(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(b"x" * 99 + b"\n" + b"y" * 99 + b"\n" * 1_000_000)
    write(tmp_path / "b.log", "one")
    follower = Follower(tmp_path / "*.log")
    await follower.source.poll()
    assert follower.intake.lines[-1] == b"one"
    assert len(follower.intake.lines) < 270_000
