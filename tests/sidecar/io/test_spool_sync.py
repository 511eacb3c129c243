"""What `spool.fsync` promises, seen from outside: when does the kernel put the log on the disk?"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sidecar.io.spool_file import NAME, SpoolFile
from tests.e2e.processes import ROOT
from tests.real import require

COMMITS = 5
PROGRAM = """
import asyncio, sys, time
from sidecar.io.spool import Config, Fsync, Spool
from sidecar.model.signals import Batch, Signal

async def main(path, fsync):
    spool = Spool(Config(path=path, fsync=Fsync(fsync)), time.time)
    await spool.open(["a"])
    for n in range(5):
        assert spool.reserve("a", 4)
        print(n, flush=True)
        assert await spool.write(spool.next_id(), "a", Batch(Signal.TRACES, b"body", 1))
        print("acknowledged", flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


def synced(path: Path, fsync: str) -> int:
    """How many of the five writes are synced before they are acknowledged."""
    trace = path.with_suffix(".trace")
    strace = [require("strace"), "-f", "-y", "-e", "trace=fsync,fdatasync,write", "-o", str(trace)]
    done = subprocess.run([*strace, sys.executable, "-c", PROGRAM, str(path), fsync], cwd=ROOT, capture_output=True)
    assert done.returncode == 0, done.stderr
    count, waiting = 0, False
    for line in trace.read_text().splitlines():
        if '"acknowledged\\n"' in line:
            waiting = False
        elif "write(1<" in line:
            waiting = True
        elif waiting and "sync(" in line and f"{NAME}-wal>" in line:
            count, waiting = count + 1, False
    return count


def test_with_full_every_write_is_on_the_disk_before_it_is_acknowledged_and_with_normal_only_where_a_log_begins(
    tmp_path: Path,
) -> None:
    assert synced(tmp_path / "full", "full") == COMMITS
    assert synced(tmp_path / "normal", "normal") <= 1


@pytest.mark.parametrize(("full", "level"), [(True, 2), (False, 1)])
def test_sqlite_is_told_so(tmp_path: Path, full: bool, level: int) -> None:
    file = SpoolFile(str(tmp_path), 8 << 20, full_sync=full, now=lambda: 0.0)
    assert file._db.execute("PRAGMA synchronous").fetchone() == (level,)
    file.close()
