"""The file source against real files: what is delivered, under which marks and attributes, and what is said of trouble."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from sidecar.io.clock import SystemClock
from sidecar.model.logs import StartAt
from tests.fakes import RecordingStream, until
from tests.sidecar.logs.sources.following import Follower, write


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


async def test_a_file_that_is_read_is_no_reason_any_more(tmp_path: Path) -> None:
    write(tmp_path / "app.log", "one")
    follower = Follower(tmp_path / "app.log")
    await follower.source._look(everything=True)
    table = follower.source._table
    table.complaints.say(str(tmp_path / "app.log"), PermissionError(13, "Permission denied"))
    assert table.complaints.why == f"{tmp_path}/app.log: Permission denied"
    assert await follower.source._read_round()
    assert table.complaints.why == ""


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
