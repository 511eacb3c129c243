"""`outrider spool`: what waits on disk, is it whole, take it out, throw it away.

`ls`, `verify` and `export` only read, and may be used beside a running sidecar; `purge` needs the spool for itself.
SQLite is imported when one of them runs: every command builds the parser.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from zlib import crc32


def arguments(made: argparse.ArgumentParser) -> None:
    actions = made.add_subparsers(title="actions", metavar="ACTION", required=True)
    for name, work, text in (
        ("ls", ls, "rows by upstream and signal, and what is in quarantine"),
        ("verify", verify, "read everything; exit 1 when a row or the file is corrupt"),
        ("export", export, "write each body to a file: NUMBER-UPSTREAM-SIGNAL.pb, an OTLP export request in protobuf"),
        ("purge", purge, "delete rows, also those in quarantine, with no sidecar running"),
    ):
        action = actions.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        action.add_argument("--path", required=True, metavar="DIR", help="the directory of the spool")
        action.set_defaults(run=_told, work=work)
        if name in ("export", "purge"):
            action.add_argument("--upstream", metavar="NAME", help="only rows for this upstream")
        if name == "export":
            action.add_argument("--to", required=True, metavar="DIR", help="where the files go")


def _told(options: argparse.Namespace) -> int:
    from .io.spool_errors import Corrupt, Full, Unusable, translated
    from .io.spool_file import look

    options.look = look
    try:
        with translated():
            code: int = options.work(options)
        return code
    except (Unusable, Full, OSError) as error:
        told = str(error)
    except Corrupt as error:
        told = f"{options.path}: {error}: a sidecar that starts there carries over what can be read"
    print(f"outrider spool: {told}", file=sys.stderr)
    return 1


def ls(options: argparse.Namespace) -> int:
    db = options.look(options.path)
    rows = db.execute(
        "SELECT upstream, signal, count(*), sum(size), min(written) FROM batch GROUP BY 1, 2 ORDER BY 1, 2"
    )
    waiting = [
        (upstream, signal, _number(number, "request"), _size(size), f"oldest {_time(oldest)}")
        for upstream, signal, number, size, oldest in rows
    ]
    aside = db.execute("SELECT id, upstream, signal, items, size, reason, moved FROM quarantine ORDER BY id")
    quarantined = [
        (f"quarantined {number}", upstream, signal, _number(items, "item"), _size(size), _time(moved), reason)
        for number, upstream, signal, items, size, reason, moved in aside
    ]
    db.close()
    for line in [*_aligned(waiting), *_aligned(quarantined)] or ["nothing waits"]:
        print(line)
    return 0


def verify(options: argparse.Namespace) -> int:
    db = options.look(options.path)
    problems = [str(text) for (text,) in db.execute("PRAGMA quick_check(20)") if text != "ok"]
    rows = 0
    for number, size, crc, body in db.execute("SELECT id, size, crc, body FROM batch ORDER BY id"):
        rows += 1
        if len(body) != size or crc32(body) != crc:
            problems.append(f"row {number} is corrupt")
    db.close()
    for problem in problems:
        print(problem)
    print(f"{_number(rows, 'row')}, {_number(len(problems), 'problem')}")
    return 1 if problems else 0


def export(options: argparse.Namespace) -> int:
    db, to, number = options.look(options.path), Path(options.to), 0
    to.mkdir(parents=True, exist_ok=True)
    for row, upstream, signal, body in db.execute(
        "SELECT id, upstream, signal, body FROM batch WHERE ?1 IS NULL OR upstream = ?1 ORDER BY id",
        (options.upstream,),
    ):
        safe = "".join(c if c.isalnum() or c in ".-" else "_" for c in upstream)
        (to / f"{row:012d}-{safe}-{signal}.pb").write_bytes(body)
        number += 1
    db.close()
    print(f"{_number(number, 'request')} written to {to}")
    return 0


def purge(options: argparse.Namespace) -> int:
    from .io.spool_file import SpoolFile

    db = options.look(options.path)
    names = [
        name for (name,) in db.execute("SELECT upstream FROM batch UNION SELECT upstream FROM quarantine ORDER BY 1")
    ]
    db.close()
    if options.upstream is not None and options.upstream not in names:
        there = f"there are rows for {', '.join(names)}" if names else "it is empty"
        print(f'outrider spool: nothing is for "{options.upstream}"; {there}', file=sys.stderr)
        return 1
    file = SpoolFile(options.path, 1 << 40, full_sync=True, now=time.time)
    try:
        print(f"{_number(file.purge(options.upstream), 'row')} deleted")
    finally:
        file.close()
    return 0


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _number(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _size(size: int) -> str:
    for unit, bytes_in_it in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= bytes_in_it:
            return f"{size / bytes_in_it:.1f} {unit}"
    return f"{size} bytes"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(round(seconds), UTC).isoformat().replace("+00:00", "Z")
