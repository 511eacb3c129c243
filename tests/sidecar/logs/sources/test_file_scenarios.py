"""What other tails were reported to lose, repeat or stop at, one by one: the file source must not.

The random model in `tests/model` finds combinations; these are the known ones, each by its name.
"""

from __future__ import annotations

import asyncio
import gzip
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import structlog

from sidecar.io.checkpoints import Checkpoints
from tests.fakes import FakeClock, until
from tests.sidecar.logs.sources.following import Follower, write
from tests.sidecar.logs.sources.support import running


def numbered(*numbers: int) -> list[bytes]:
    return [b"%d" % number for number in numbers]


def rotate(log: Path, keep: int = 3) -> None:
    """By cyclic names: app.log becomes app.log.1, which becomes app.log.2, and so on; the last one goes."""
    for number in range(keep - 1, -1, -1):
        name = log.with_name(f"{log.name}.{number}") if number else log
        if name.exists():
            name.rename(log.with_name(f"{log.name}.{number + 1}"))


@pytest.mark.parametrize("pattern", ["app.log", "app.log*"])
async def test_rapid_rotations_between_two_looks(tmp_path: Path, pattern: str) -> None:
    log = tmp_path / "app.log"
    write(log, "0")
    follower = Follower(tmp_path / pattern)
    await follower.read()
    for number in range(1, 4):
        write(log, f"{number}")
        rotate(log)
    write(log, "4")
    await follower.read()
    assert sorted(await follower.after(10)) == numbered(0, 1, 2, 3, 4)
    assert follower.counters.lost_bytes == 0


@pytest.mark.parametrize("pattern", ["app.log", "app.log*"])
async def test_rotations_while_the_agent_restarts(tmp_path: Path, pattern: str) -> None:
    log = tmp_path / "app.log"
    write(log, "0", "1")
    follower = Follower(tmp_path / pattern)
    await follower.read()
    saved = follower.saved()
    for number in range(2, 5):
        write(log, f"{number}")
        rotate(log)
    write(log, "5")
    again = follower.restart(saved)
    await again.read()
    assert sorted(await again.after(10)) == numbered(2, 3, 4, 5)


async def test_cyclic_names_are_not_read_again_after_a_restart(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    follower = Follower(tmp_path / "app.log*")
    came = []
    for number in range(6):
        write(log, f"{number}")
        came += await follower.read()
        rotate(log)
        follower = follower.crash()
    came += await follower.read()
    assert came == numbered(0, 1, 2, 3, 4, 5)


async def test_copytruncate_with_a_writer_that_goes_on_at_its_old_place(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    follower = Follower(log)
    with log.open("wb", buffering=0) as writer:  # without O_APPEND
        for number in range(3):
            writer.write(b"%d\n" % number)
            await follower.read()
            shutil.copyfile(log, tmp_path / f"copy-{number}")
            os.truncate(log, 0)
        writer.write(b"3\n")
    assert await follower.read() == numbered(0, 1, 2, 3)
    assert follower.counters.truncations == 3


@pytest.mark.parametrize("after", ["9\n", "a line that is longer than all that stood there\n"])
async def test_copytruncate_during_downtime(tmp_path: Path, after: str) -> None:
    log = tmp_path / "app.log"
    write(log, "0", "1", "2")
    follower = Follower(log)
    await follower.read()
    saved = follower.saved()
    os.truncate(log, 0)
    log.write_text(after)
    again = follower.restart(saved)
    assert await again.read() == [after.strip().encode()]
    assert again.counters.truncations == 1


async def test_a_truncation_is_not_found_again_at_every_restart(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    write(log, "a long line", "another")
    follower = Follower(log)
    await follower.read()
    log.write_text("new\n")
    assert await follower.read() == [b"a long line", b"another", b"new"]
    for number in range(3):
        follower = follower.crash()
        assert await follower.read() == []
        assert follower.counters.truncations == 0
        write(log, f"{number}")
        assert await follower.read() == numbered(number)


async def test_half_a_line_across_a_restart(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_bytes(b"one\nhalf of ")
    follower = Follower(log)
    assert await follower.read() == [b"one"]
    again = follower.crash()
    assert await again.read() == []
    with log.open("ab") as file:
        file.write(b"a line\n")
    assert await again.read() == [b"half of a line"]


async def test_half_a_line_at_a_rotation_that_its_writer_completes(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    follower = Follower(log)
    with log.open("ab", buffering=0) as writer:
        writer.write(b"one\nhalf of ")
        await follower.read()
        rotate(log)
        write(log, "three")
        await follower.read()
        writer.write(b"a line\n")
        assert sorted(await follower.read()) == [b"half of a line", b"one", b"three"]


async def test_a_rotation_by_gzip_leaves_no_half_line_and_repeats_nothing(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    write(log, "0", "1")
    follower = Follower(tmp_path / "app.log*")
    await follower.read()
    long = random.Random(1).randbytes(2000).hex().encode()
    with log.open("ab") as writer:
        writer.write(b"2\n%s\nhalf" % long)
    rotate(log)
    packed = gzip.compress((tmp_path / "app.log.1").read_bytes())
    assert packed.count(b"\n") > 2  # it would be lines
    (tmp_path / "app.log.1.gz").write_bytes(packed[: len(packed) // 2])
    write(log, "4")
    await follower.read()
    (tmp_path / "app.log.1.gz").write_bytes(packed)
    (tmp_path / "app.log.1").unlink()
    await follower.read()
    assert sorted(await follower.after(10)) == sorted([*numbered(0, 1, 2, 4), long, b"half"])
    assert await follower.crash().after(10) == []


async def test_a_symlink_that_is_swapped_while_the_agent_is_away(tmp_path: Path) -> None:
    link, new = tmp_path / "current.log", tmp_path / "next"
    write(tmp_path / "1.txt", "0", "1")
    link.symlink_to("1.txt")
    follower = Follower(link)
    await follower.read()
    saved = follower.saved()
    write(tmp_path / "1.txt", "2")
    write(tmp_path / "2.txt", "3")
    new.symlink_to("2.txt")
    new.rename(link)
    again = follower.restart(saved)
    assert sorted(await again.read()) == numbered(2, 3)


@pytest.mark.parametrize("away", [False, True])
async def test_deleted_and_created_again_with_the_same_inode(tmp_path: Path, away: bool) -> None:
    """Also where the new file is as long as the old one, or longer."""
    log = tmp_path / "app.log"
    write(log, "0", "1")
    follower = Follower(log)
    await follower.read()
    if away:
        saved, before = follower.saved(), log.stat().st_ino
        again = follower.restart(saved)
        for _ in range(100):
            log.unlink()
            write(log, "2", "3", "4")
            if log.stat().st_ino == before:
                break
        follower = again
    else:
        log.unlink()
        write(log, "2", "3", "4")
    assert (await follower.read())[-3:] == numbered(2, 3, 4)
    assert follower.counters.lost_bytes == 0


async def test_a_day_is_not_skipped_because_the_next_one_has_the_inode_of_the_last_that_was_read(
    tmp_path: Path,
) -> None:
    """Two rotations with compression while the agent is away: the first file is packed, and the third gets its inode and name."""
    log = tmp_path / "app.log"
    write(log, "0", "1")
    follower = Follower(log)
    await follower.read()
    saved = follower.saved()
    (tmp_path / "app.log.2.gz").write_bytes(gzip.compress(log.read_bytes()))
    write(tmp_path / "app.log.1", "2", "3")
    log.write_text("4\n5\n6\n")
    again = follower.restart(saved)
    await again.read()
    assert sorted(await again.after(10)) == numbered(2, 3, 4, 5, 6)


async def test_a_checkpoint_of_a_file_that_is_long_gone_skips_nothing_of_others(tmp_path: Path) -> None:
    """Every inode of the directory stands in the checkpoint, with an offset far behind the end of what is there now."""
    old = [tmp_path / f"old-{number}.log" for number in range(20)]
    for path in old:
        write(path, *(f"{number} of a file that goes" for number in range(50)))
    follower = Follower(tmp_path / "*.log")
    await follower.read()
    saved = follower.saved()
    follower.source._table.close()
    for path in old:
        path.unlink()
    expected = []
    for number in range(40):
        write(tmp_path / f"new-{number}.log", f"{number}", *["x" * 99] * (number % 30))
        expected.append(b"%d" % number)
    came = await follower.restart(saved).read()
    assert sorted(line for line in came if not line.startswith(b"x")) == sorted(expected)
    assert len(came) == sum(1 + number % 30 for number in range(40))


async def test_a_file_of_another_name_is_not_read_though_it_has_the_inode_of_one_that_was(tmp_path: Path) -> None:
    """One of which nothing was read yet: there is no content to tell it by."""
    log, secret = tmp_path / "app.log", tmp_path / "secret.pem"
    log.touch()
    follower = Follower(log)
    await follower.read()
    saved = follower.saved()
    follower.source._table.close()
    log.rename(secret)
    secret.write_text("private\n")
    write(log, "0")
    assert await follower.restart(saved).read() == numbered(0)


async def test_an_inode_that_is_given_to_another_file_while_nobody_holds_it_is_let_go(tmp_path: Path) -> None:
    """A rotated file that is still asked for is closed when it rests; then it is deleted, and what comes next gets its inode."""
    log, rotated, secret = tmp_path / "app.log", tmp_path / "app.log.1", tmp_path / "secret.pem"
    for content in ("", "0\n"):
        rotated.write_text(content)
        log.touch()
        follower = Follower(tmp_path / "app.log*")
        await follower.read()
        rotated.rename(tmp_path / "app.log.2")
        for _ in range(3):
            await follower.after(10)
        assert str(tmp_path / "app.log.2") not in map(os.path.realpath, Path("/proc/self/fd").iterdir())
        (tmp_path / "app.log.2").rename(secret)
        secret.write_text("private\nkey\n")
        assert await follower.after(10) == content.encode().splitlines()
        assert await follower.after(100) == content.encode().splitlines()


@pytest.mark.parametrize("broken", [b"", b"{", b"[]", b'{"version": 9, "sources": {}}', b"\xff" * 100])
async def test_a_checkpoint_file_that_is_broken_is_put_aside_and_reading_begins_anew(
    tmp_path: Path, broken: bytes
) -> None:
    (tmp_path / "logs.json").write_bytes(broken)
    checkpoints = Checkpoints(str(tmp_path), structlog.wrap_logger(None, processors=[_drop]))
    write(tmp_path / "app.log", "0")
    follower = Follower(tmp_path / "app.log", remembered=checkpoints.load().get("app", {}))
    assert await follower.read() == numbered(0)
    assert checkpoints.errors == {"unreadable": 1}
    assert (tmp_path / "logs.unreadable").read_bytes() == broken
    assert await checkpoints.save({"app": follower.saved()})
    remembered = Checkpoints(str(tmp_path), structlog.get_logger()).load()["app"]
    assert await follower.restart(remembered).read() == []


@pytest.mark.parametrize(
    "remembered",
    [
        {"files": 1},
        {"files": [{}]},
        {"files": [{"uid": 1}]},
    ],
)
async def test_a_checkpoint_that_makes_no_sense_stops_nothing(tmp_path: Path, remembered: dict[str, object]) -> None:
    write(tmp_path / "app.log", "0")
    follower = Follower(tmp_path / "app.log", remembered=remembered)
    assert await follower.read() == numbered(0)
    assert follower.said[0]["event"] == "what was remembered of files makes no sense: they are read from the beginning"


@pytest.mark.parametrize("eighths", [0, 3, 5, *range(80, 88)])
async def test_new_files_are_found_within_a_second(tmp_path: Path, eighths: int) -> None:
    """Fifty at once, so long after another file was written to: in ten seconds the looks become rarer."""
    clock = FakeClock()
    follower = Follower(tmp_path / "**" / "*.log", clock=clock)

    async def passes(eighths: int) -> None:
        for _ in range(eighths):
            await clock.advance(0.125)
            await until(lambda: clock._sleepers)  # a look is over, also what it has threads for

    async with running(follower.source):
        await until(lambda: clock._sleepers)
        await passes(8)
        write(tmp_path / "old.log", "0")
        await passes(eighths)
        for number in range(50):
            (tmp_path / f"{number}").mkdir()
            write(tmp_path / f"{number}" / "app.log", f"{number}")
        await passes(8)
        await until(lambda: len(follower.intake.lines) == 51)
    assert sorted(follower.intake.lines) == sorted(numbered(0, *range(50)))


@pytest.mark.parametrize(("pattern", "most"), [("app.log", 300), ("app.log*", 1000)])
async def test_a_thousand_rotations_in_an_outage_of_hours_with_two_kills(
    tmp_path: Path, pattern: str, most: int
) -> None:
    """Whoever is fed waits until it is over, and nothing that was read before that is settled. `most` files without a name are
    followed at a time."""
    log, clock = tmp_path / "app.log", FakeClock()
    write(log, "before")
    follower = Follower(tmp_path / pattern, clock=clock)
    follower.source._missed.most = most
    assert await follower.read() == [b"before"]
    follower.intake.open.clear()
    reading = asyncio.create_task(follower.source._read_round())
    expected: list[bytes] = []
    for number in range(1000):
        lines = [f"{number} {line}" for line in range(4)]
        write(log, *lines)
        expected += map(str.encode, lines)
        if number % 16 == 15:  # most have the name between two looks
            await follower.source._look(everything=True)
        if reading.done():
            reading = asyncio.create_task(follower.source._read_round())
        if number in (499, 999):
            reading.cancel()
            await asyncio.wait((reading,))
            follower = follower.crash()
            follower.source._missed.most = most
            follower.intake.open.clear()
        log.rename(tmp_path / f"app.log.{number + 1}")
        clock.time += 10
    reading.cancel()
    assert sorted(await drained(follower)) == sorted(expected)
    assert follower.counters.lost_bytes == 0
    assert await drained(follower.crash()) == []


async def drained(follower: Follower) -> list[bytes]:
    follower.intake.open.set()
    await follower.after(6)
    while follower.source._missed.waiting:
        await follower.after(6)
    return await follower.after(6)


UNPRIVILEGED = """
import asyncio, os, sys
from pathlib import Path
from tests.sidecar.logs.sources.following import Follower

async def main():
    await Follower(Path(sys.executable)).source.poll()  # whatever is imported late may be where only root looks
    os.setgid(65534)
    os.setuid(65534)
    follower = Follower(Path(sys.argv[1]))
    while sys.stdin.readline():
        print([line.decode() for line in await follower.read()], follower.counters.errors, flush=True)

asyncio.run(main())
"""


def test_a_file_that_may_be_read_again_is_read_from_where_it_was(tmp_path: Path) -> None:
    """As another user, because root may read everything."""
    if os.geteuid():
        pytest.skip("only root can become another user")
    shared = Path("/tmp") / f"outrider-{os.getpid()}-permission"  # pytest's own directory lets nobody else in
    shared.mkdir()
    shared.chmod(0o755)
    log = shared / "app.log"
    command = [sys.executable, "-c", UNPRIVILEGED, str(log)]
    try:
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:

            def ask() -> str:
                assert reader.stdin is not None
                assert reader.stdout is not None
                reader.stdin.write("\n")
                reader.stdin.flush()
                return reader.stdout.readline().strip()

            write(log, "0")
            log.chmod(0o600)
            assert ask() == "[] {'EACCES': 1}"
            write(log, "1")
            assert ask() == "[] {'EACCES': 1}"
            log.chmod(0o644)
            assert ask() == "['0', '1'] {'EACCES': 1}"
            # The rotated file is open by now; the new one may not be read at first.
            rotate(log)
            write(log, "3")
            log.chmod(0o600)
            write(log.with_name("app.log.1"), "2")
            assert ask() == "['0', '1', '2'] {'EACCES': 2}"
            log.chmod(0o644)
            assert ask() == "['0', '1', '2', '3'] {'EACCES': 2}"
            assert reader.stdin is not None
            reader.stdin.close()
    finally:
        shutil.rmtree(shared)


def _drop(logger: object, method: str, event: object) -> str:
    raise structlog.DropEvent
