"""Links that somebody else puts where a file was: they lead to nothing that only we may read, also where the inode is the same.

A file that is deleted gives its inode to the next one, perhaps a secret. Here the file itself becomes the secret, which looks the
same from outside and needs no luck.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.sidecar.logs.sources.following import Follower, write

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")

THEM = 4711


def theirs(path: Path) -> None:
    os.lchown(path, THEM, THEM)


def keep_secret(log: Path, secret: Path) -> None:
    """The inode of the log is that of a secret now."""
    log.rename(secret)
    os.chown(secret, 0, 0)
    secret.chmod(0o600)
    with secret.open("a") as file:
        file.write("secret\n")


async def crowded(directory: Path) -> Follower:
    """It follows a.log, which is theirs and not held open any more, and b.log to g.log."""
    directory.mkdir()
    write(directory / "a.log", "a")
    theirs(directory / "a.log")
    follower = Follower(directory / "*.log")
    follower.source._table.open_files.most = 4
    await follower.read()
    for name in "bcdefg":
        write(directory / f"{name}.log", name)
    await follower.read()
    assert str(directory / "a.log") not in map(os.path.realpath, Path("/proc/self/fd").iterdir())
    return follower


@pytest.mark.parametrize("rewritten", [False, True])
async def test_a_link_to_a_file_with_the_inode_that_the_name_had_is_not_followed(
    tmp_path: Path, rewritten: bool
) -> None:
    log, secret = tmp_path / "logs" / "a.log", tmp_path / "secret"
    follower = await crowded(log.parent)
    keep_secret(log, secret)
    if rewritten:
        secret.write_text("secret\n")
    log.symlink_to(secret)
    theirs(log)
    assert sorted(await follower.after(20)) == [b"a", b"b", b"c", b"d", b"e", b"f", b"g"]
    assert follower.counters.errors == {"untrusted_link": 1}
    assert follower.counters.why == f"{log}: a link of user 4711 to a file of user 0 is not followed"
    assert await follower.crash().after(20) == []


async def test_a_directory_that_is_a_link_now_leads_to_no_file_that_was_closed(tmp_path: Path) -> None:
    """The name itself is no link."""
    logs, private = tmp_path / "logs", tmp_path / "private"
    private.mkdir(mode=0o700)
    follower = await crowded(logs)
    keep_secret(logs / "a.log", private / "a.log")
    logs.rename(tmp_path / "before")
    logs.symlink_to(private)
    theirs(logs)
    assert sorted(await follower.after(20)) == [b"a", b"b", b"c", b"d", b"e", b"f", b"g"]
    assert follower.counters.errors == {"untrusted_link": 1}
    assert await follower.crash().after(20) == []


async def test_rotated_files_are_not_looked_for_behind_a_directory_that_is_a_link_now(tmp_path: Path) -> None:
    logs, private = tmp_path / "logs", tmp_path / "private"
    private.mkdir(mode=0o700)
    follower = await crowded(logs)
    (logs / "a.log").unlink()
    await follower.read()
    logs.rename(tmp_path / "before")
    logs.symlink_to(private)
    theirs(logs)
    write(private / "a.log.1", "secret")
    assert b"secret" not in await follower.after(20)
    assert b"secret" not in await follower.crash().after(20)
    assert follower.counters.lost_bytes == 0


async def test_what_is_remembered_is_not_found_behind_a_link_of_somebody_else(tmp_path: Path) -> None:
    """Nor in the moment after it was looked at."""
    logs, private = tmp_path / "logs", tmp_path / "private"
    private.mkdir(mode=0o700)
    follower = await crowded(logs)
    keep_secret(logs / "a.log", private / "a.log.1")
    logs.rename(tmp_path / "before")
    logs.symlink_to(private)
    theirs(logs)
    assert await follower.crash().after(20) == []


async def test_a_file_that_was_closed_is_read_on_where_its_link_is_its_owners(tmp_path: Path) -> None:
    log, elsewhere = tmp_path / "logs" / "a.log", tmp_path / "elsewhere"
    follower = await crowded(log.parent)
    log.rename(elsewhere)
    log.symlink_to(elsewhere)
    theirs(log)
    write(elsewhere, "more")
    assert b"more" in await follower.after(1)
    assert follower.counters.errors == {}
