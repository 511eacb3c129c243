"""`outrider spool`, run as a person runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sidecar.io.spool_file import NAME, SpoolFile
from sidecar.model.signals import Batch, Signal
from sidecar.model.spool import Row
from tests.e2e.processes import ROOT, outrider


def filled(path: Path) -> SpoolFile:
    file = SpoolFile(str(path), 8 << 20, full_sync=False, now=lambda: 86400.0)
    rows = [Row(n, up, Batch(Signal.TRACES, b"%d" % n * 1024, 2), 60.0 * n) for n, up in ((1, "gw:1"), (2, "old"))]
    file.apply(rows, (), ())
    poison = Row(3, "gw:1", Batch(Signal.LOGS, b"x" * 1024, 1), 0.0)
    file.apply((), (), [(poison, "HTTP 400: no")])
    return file


def spool(*args: str) -> tuple[int, str]:
    done = subprocess.run(outrider("spool", *args), cwd=ROOT, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_ls_verify_and_export_work_beside_a_running_sidecar_and_purge_does_not(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    file = filled(path)
    assert spool("ls", "--path", str(path)) == (
        0,
        (
            "gw:1  traces  1 request  1.0 KiB  oldest 1970-01-01T00:01:00Z\n"
            "old   traces  1 request  1.0 KiB  oldest 1970-01-01T00:02:00Z\n"
            "quarantined 3  gw:1  logs  1 item  1.0 KiB  1970-01-02T00:00:00Z  HTTP 400: no\n"
        ),
    )
    assert spool("verify", "--path", str(path)) == (0, "2 rows, 0 problems\n")
    code, out = spool("export", "--path", str(path), "--to", str(tmp_path / "out"), "--upstream", "gw:1")
    assert (code, out) == (0, f"1 request written to {tmp_path / 'out'}\n")
    assert (tmp_path / "out" / "000000000001-gw_1-traces.pb").read_bytes() == b"1" * 1024
    assert spool("purge", "--path", str(path)) == (
        1,
        f"outrider spool: {path} is in use by another process: stop that first\n",
    )
    file.close()
    assert spool("purge", "--path", str(path), "--upstream", "old") == (0, "1 row deleted\n")
    assert spool("purge", "--path", str(path)) == (0, "2 rows deleted\n")
    assert spool("ls", "--path", str(path)) == (0, "nothing waits\n")


def test_purge_for_an_upstream_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    filled(tmp_path).close()
    purge = ("purge", "--path", str(tmp_path))
    told = 'outrider spool: nothing is for "nosuch"; there are rows for gw:1, old\n'
    assert spool(*purge, "--upstream", "nosuch") == (1, told)
    assert spool(*purge) == (0, "3 rows deleted\n")
    assert spool(*purge, "--upstream", "old") == (1, 'outrider spool: nothing is for "old"; it is empty\n')


def test_verify_finds_a_body_that_has_changed(tmp_path: Path) -> None:
    filled(tmp_path).close()
    raw = (tmp_path / NAME).read_bytes()
    (tmp_path / NAME).write_bytes(raw.replace(b"1" * 1024, b"1" * 1023 + b"2"))
    assert spool("verify", "--path", str(tmp_path)) == (1, "row 1 is corrupt\n2 rows, 1 problem\n")


def test_of_a_broken_file_each_command_says_that_it_is_broken_and_who_mends_it(tmp_path: Path) -> None:
    file = SpoolFile(str(tmp_path), 8 << 20, full_sync=False, now=lambda: 86400.0)
    file.apply([Row(n, "gw:1", Batch(Signal.TRACES, b"x" * 3000, 2), 60.0) for n in range(1, 300)], (), ())
    file.close()
    with (tmp_path / NAME).open("r+b") as raw:
        raw.seek(20 * 4096)
        raw.write(b"\xff" * 5 * 4096)
    mended = "a sidecar that starts there carries over what can be read"
    told = f"outrider spool: {tmp_path}: database disk image is malformed: {mended}\n"
    assert spool("verify", "--path", str(tmp_path)) == (1, told)
    assert spool("export", "--path", str(tmp_path), "--to", str(tmp_path / "out")) == (1, told)
    assert spool("purge", "--path", str(tmp_path)) == (1, told)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    assert spool("ls", "--path", str(tmp_path)) == (1, f"outrider spool: {tmp_path / NAME}: no such file\n")


def test_without_a_spool_sqlite_is_not_imported() -> None:
    code = (
        "import sys, sidecar.cli, sidecar.daemon.daemon, sidecar.api; sidecar.cli.parser();"
        "print([m for m in sys.modules if m in ('sqlite3', '_sqlite3', 'sidecar.io.spool_file')])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
