"""`python -m bench relay`: Outrider's relay beside the OpenTelemetry Collector and nginx, in interleaved runs."""

from __future__ import annotations

import argparse
import fnmatch
import sys
import time
from pathlib import Path

import msgspec

from . import profile, results, tables
from .cells import Cell, matrix
from .run import BEFORE, RECOVER, WARM, measure, stay_on_the_load_core
from .subjects import SUBJECTS, Subject, outrider

SECONDS = 3.0
RUNS = 3
AROUND = 1.5
"""Seconds that a run takes beside its load: start, drain, end."""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", action="append", metavar="CELL", help="cells by name; * and ? are wildcards")
    parser.add_argument("--subject", action="append", metavar="NAME", help="subjects by name, with wildcards")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of load in each run")
    parser.add_argument("--runs", type=int, default=RUNS, help="of each subject in each cell; an outage has one")
    parser.add_argument("--outage", type=float, help="seconds that the upstream is gone, instead of 60")
    parser.add_argument("--upstream", choices=("http", "grpc"), help="send by one protocol only")
    parser.add_argument(
        "--beside", type=Path, metavar="CHECKOUT", help="another checkout of Outrider, as one more subject"
    )
    parser.add_argument(
        "--profile", action="store_true", help="where Outrider's time goes in these cells, and nothing else"
    )
    parser.add_argument("--publish", action="store_true", help="write bench/results.json and bench/RESULTS.md")
    parser.add_argument("--list", action="store_true", help="the plan only")


def main(options: argparse.Namespace) -> int:
    cells = [
        _with_outage(cell, options.outage) for cell in matrix(options.upstream) if _chosen(cell.name, options.only)
    ]
    subjects = [subject for subject in SUBJECTS if _chosen(subject.name, options.subject)]
    if options.beside:
        beside = options.beside.resolve()
        subjects.append(outrider(f"outrider of {beside.name}", beside))
    if not cells or not subjects:
        print("no such cell or subject; --list shows them", file=sys.stderr)
        return 2
    if options.publish and (options.upstream or options.outage):
        print("--publish is for the cells as they are: without --upstream and --outage", file=sys.stderr)
        return 2
    stay_on_the_load_core()
    if options.profile:
        for cell in cells:
            print(profile.profile(cell, options.seconds))
        return 0
    _plan(cells, subjects, options.seconds, options.runs)
    return 0 if options.list else _measure(cells, subjects, options)


def _chosen(name: str, wanted: list[str] | None) -> bool:
    return not wanted or any(fnmatch.fnmatchcase(name, pattern) for pattern in wanted)


def _with_outage(cell: Cell, seconds: float | None) -> Cell:
    return msgspec.structs.replace(cell, outage=seconds) if cell.outage and seconds else cell


def _turns(cell: Cell, runs: int) -> int:
    return 1 if cell.outage else runs


def _plan(cells: list[Cell], subjects: list[Subject], seconds: float, runs: int) -> None:
    whole = 0.0
    for cell in cells:
        chosen = [subject.name for subject in subjects if subject.takes(cell)]
        each = WARM + AROUND + (BEFORE + cell.outage + RECOVER if cell.outage else seconds)
        took = each * len(chosen) * _turns(cell, runs)
        whole += took
        print(f"{cell.name:26} {took:4.0f} s  {', '.join(chosen)}")
    print(f"about {whole / 60:.1f} minutes", flush=True)


def _measure(cells: list[Cell], subjects: list[Subject], options: argparse.Namespace) -> int:
    found: dict[str, results.Measured] = {}
    began = time.monotonic()
    for cell in cells:
        made = found[cell.name] = results.begin(options.seconds)
        for _ in range(_turns(cell, options.runs)):
            for subject in subjects:
                if subject.takes(cell):
                    _turn(subject, cell, made)
        if options.publish:
            _publish(found)
        print(f"{time.monotonic() - began:5.0f} s  {cell.name}", file=sys.stderr, flush=True)
    print("\n".join(tables.lines(cells, {name: made.subjects for name, made in found.items()})))
    return 1 if any(made.failed for made in found.values()) else 0


def _turn(subject: Subject, cell: Cell, made: results.Measured) -> None:
    """One run; what fails is said, and the next goes on."""
    try:
        run = measure(subject, cell, made.seconds)
    except (RuntimeError, OSError) as error:
        made.failed.append(f"{subject.name}: {error}")
        print(f"failed: {cell.name}, {made.failed[-1]}", file=sys.stderr)
    else:
        made.subjects.setdefault(subject.name, []).append(run)


def _publish(found: dict[str, results.Measured]) -> None:
    """What is measured so far, among what was before; cells that are no more are left out."""
    everything = results.known()
    everything.machine = results.machine()
    order = list(matrix())
    cells = everything.cells | found
    everything.cells = {cell.name: cells[cell.name] for cell in order if cell.name in cells}
    results.save(everything)
    shown = tables.lines(order, {name: made.subjects for name, made in everything.cells.items()})
    results.publish(everything, shown)
