"""What was measured, in `bench/results.json` with every run, and as tables between two marks in `bench/RESULTS.md`; what is
written by hand around the marks stays. A cell that is measured anew replaces what it had, the others stay."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

from .run import CORES, LOAD_CORE, SUBJECT_CORE, Run

JSON = Path(__file__).with_name("results.json")
MARKDOWN = Path(__file__).with_name("RESULTS.md")
ENOUGH = 3
"""Runs, in a cell without an outage, for a median that means something."""
QUIET = 2.5
"""Load average up to which the machine was ours: subject, load and sink make two."""
BEGIN, END = "<!-- written by python -m bench relay -->", "<!-- until here -->"


class Measured(msgspec.Struct):
    """A cell's runs, by subject."""

    taken: str
    """When it began, in UTC."""
    commit: str
    busy: float
    """The machine's load average then: above one or two, others were at work."""
    seconds: float
    """Of load in each run."""
    subjects: dict[str, list[Run]] = {}
    failed: list[str] = []
    """What could not be measured."""


class Results(msgspec.Struct):
    machine: str
    cells: dict[str, Measured] = {}


def machine() -> str:
    return (
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}, {len(CORES)} cores; "
        f"subject on core {SUBJECT_CORE}, load and sink on {LOAD_CORE}"
    )


def begin(seconds: float) -> Measured:
    taken = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
    return Measured(taken, _commit(), round(os.getloadavg()[0], 1), seconds)


def _commit() -> str:
    def git(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["git", *words], cwd=JSON.parent.parent, capture_output=True, text=True, check=False)

    changed = git("diff", "--quiet", "HEAD", "--", "sidecar").returncode != 0
    return git("rev-parse", "--short", "HEAD").stdout.strip() + (" with changes" if changed else "")


def known() -> Results:
    """What was published last."""
    if not JSON.exists():
        return Results(machine())
    return msgspec.json.decode(JSON.read_bytes(), type=Results)


def save(results: Results) -> None:
    JSON.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")


def publish(results: Results, tables: Iterable[str], file: Path = MARKDOWN) -> None:
    """Replace the relay's tables. Raises `ValueError` when the marks are not there."""
    between(BEGIN, END, [*_head(results), *tables], file)


def between(begin: str, end: str, lines: Iterable[str], file: Path = MARKDOWN) -> None:
    """Replace what stands between two marks. Raises `ValueError` when they are not there."""
    text = file.read_text()
    before, mark, rest = text.partition(begin)
    _, ended, after = rest.partition(end)
    if not (mark and ended):
        raise ValueError(f"{file} lacks the marks {begin} and {end}")
    file.write_text("\n".join([before + begin, "", *lines, "", end]) + after)


def _head(results: Results) -> Iterable[str]:
    yield f"{results.machine}."
    turns: dict[tuple[str, str, int], list[str]] = {}
    for name, cell in results.cells.items():
        runs = max((len(runs) for runs in cell.subjects.values()), default=0)
        length = "before, in and after the outage" if name.endswith("outage") else f"of {cell.seconds:g} s"
        turns.setdefault((cell.commit, length, runs), []).append(name)
    for (commit, length, runs), names in turns.items():
        cells = [results.cells[name] for name in names]
        first, last = min(c.taken for c in cells), max(c.taken for c in cells)
        busy = max(c.busy for c in cells)
        few = runs < ENOUGH and not all(name.endswith("outage") for name in names)
        yield (
            f"{'Preliminary: ' if few or busy > QUIET else ''}{', '.join(f'`{name}`' for name in names)} at {commit}, {first} to "
            f"{last} UTC: {runs} run{'' if runs == 1 else 's'} {length} of each subject, interleaved; the machine's load "
            f"average was at most {busy:g}."
        )
    for name, cell in results.cells.items():
        yield from (f"\nNot measured, {name}: {said.splitlines()[0]}" for said in cell.failed)
