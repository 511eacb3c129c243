"""What was measured, in `bench/results.json` with every run, and as tables between two marks in `bench/RESULTS.md`; what is
written by hand around the marks stays."""

from __future__ import annotations

import platform
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

from .run import CORES, LOAD_CORE, SUBJECT_CORE, Run

JSON = Path(__file__).with_name("results.json")
MARKDOWN = Path(__file__).with_name("RESULTS.md")
BEGIN, END = "<!-- written by python -m bench relay -->", "<!-- until here -->"


class Results(msgspec.Struct):
    """Grows while it is measured; `failed` says what could not be, by cell and subject."""

    taken: str
    """When, in UTC."""
    commit: str
    machine: str
    seconds: float
    runs: int
    cells: dict[str, dict[str, list[Run]]] = {}
    failed: list[str] = []


def begin(seconds: float, runs: int) -> Results:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=JSON.parent, capture_output=True, text=True, check=False
    ).stdout.strip()
    machine = (
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}, {len(CORES)} cores; "
        f"subject on core {SUBJECT_CORE}, load and sink on {LOAD_CORE}"
    )
    return Results(time.strftime("%Y-%m-%d %H:%M", time.gmtime()), commit, machine, seconds, runs)


def save(results: Results) -> None:
    JSON.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")


def publish(results: Results, tables: Iterable[str]) -> None:
    """Replace what stands between the marks. Raises `ValueError` when they are not there."""
    text = MARKDOWN.read_text()
    before, mark, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (mark and end):
        raise ValueError(f"{MARKDOWN} lacks the marks {BEGIN} and {END}")
    head = (
        f"Medians of {results.runs} interleaved runs of {results.seconds:g} s (in brackets the range), taken "
        f"{results.taken} UTC at {results.commit}. {results.machine}."
    )
    MARKDOWN.write_text("\n".join([before + BEGIN, "", head, *tables, "", END]) + after)
