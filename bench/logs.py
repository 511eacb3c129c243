"""`python -m bench logs`: what lines of logs cost, and how many are lost, beside the OpenTelemetry Collector."""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from . import results
from .lines import (
    CASES,
    DURABLE,
    FORMS,
    LINES,
    OUTRIDER,
    SUBJECTS,
    Form,
    LogSubject,
    Losses,
    Throughput,
    losses,
    throughput,
    write_lines,
)
from .run import stay_on_the_load_core

JSON = Path(__file__).with_name("logs.json")
BEGIN, END = "<!-- written by python -m bench logs -->", "<!-- logs until here -->"
RSS = 60.0
BUDGETS = {"json": 0.5, "json, lifted": 0.2, "plain": 1.0}
"""CPU of a line, of the Collector's with checkpoints and disk queue for JSON, of its plain lines with checkpoints."""
RUNS = 3


class Measured(msgspec.Struct):
    machine: str
    taken: str
    commit: str
    busy: float
    lines: dict[str, dict[str, list[Throughput]]]
    """By form and subject."""
    losses: dict[str, dict[str, Losses]]
    """By case and subject."""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs", type=int, default=RUNS, help="of each subject with each form of lines")
    parser.add_argument("--form", choices=[form.name for form in FORMS], action="append")
    parser.add_argument("--subject", choices=[subject.name for subject in SUBJECTS], action="append")
    parser.add_argument("--no-losses", action="store_true", help="only what lines cost")
    parser.add_argument("--publish", action="store_true", help="write bench/logs.json and bench/RESULTS.md")


def main(options: argparse.Namespace) -> int:
    stay_on_the_load_core()
    begun = results.begin(0)
    made = Measured(results.machine(), begun.taken, begun.commit, begun.busy, {}, {})
    subjects = [subject for subject in SUBJECTS if not options.subject or subject.name in options.subject]
    for form in FORMS:
        if not options.form or form.name in options.form:
            made.lines[form.name] = _costs(form, [s for s in subjects if form.name in s.forms], options.runs)
    for case in [] if options.no_losses else CASES:
        made.losses[case.name] = {subject.name: losses(subject, case) for subject in subjects}
        _say(f"{case.name}: {made.losses[case.name]}")
    print("\n".join(tables(made)))
    if options.publish:
        JSON.write_bytes(msgspec.json.format(msgspec.json.encode(made), indent=1) + b"\n")
        results.between(BEGIN, END, [_head(made), *tables(made)])
    return 0


def _costs(form: Form, subjects: list[LogSubject], runs: int) -> dict[str, list[Throughput]]:
    """Interleaved. The file is written once: writing is not measured."""
    found: dict[str, list[Throughput]] = {subject.name: [] for subject in subjects}
    with tempfile.TemporaryDirectory(prefix="bench-lines-") as at:
        lines = Path(at, "lines")
        write_lines(form, LINES, lines)
        for _ in range(runs):
            for subject in subjects:
                found[subject.name].append(throughput(subject, form, lines))
                _say(f"{form.name}, {subject.name}: {found[subject.name][-1]}")
    return found


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _head(made: Measured) -> str:
    return (
        f"{made.machine}. At {made.commit}, {made.taken} UTC, load average {made.busy:g}; medians of interleaved runs."
    )


def tables(made: Measured) -> Iterator[str]:
    yield ""
    yield "| lines | program | lines/s | CPU-s per million | of the Collector's | budget | RSS idle, peak MB | lost |"
    yield "|---|---|---|---|---|---|---|---|"
    for form, by in made.lines.items():
        for subject, runs in by.items():
            yield "| " + " | ".join(_row(made, form, subject, runs)) + " |"
    if made.losses:
        names = list(next(iter(made.losses.values())))
        yield ""
        yield f"| lines lost of {2000 * 20:,}, and arrived twice | " + " | ".join(names) + " |"
        yield "|---|" + "---|" * len(names)
        for case, lost in made.losses.items():
            yield f"| {case} | " + " | ".join(f"{lost[n].lost:,}, {lost[n].duplicates:,}" for n in names) + " |"


def _row(made: Measured, form: str, subject: str, runs: list[Throughput]) -> Iterator[str]:
    peer = _peer(made, form)
    cpu = _median(run.cpu_per_million for run in runs)
    peak = _median(run.peak for run in runs)
    yield form
    yield subject
    yield f"{_median(run.lines_per_second for run in runs):,.0f}"
    yield f"{cpu:.2f}"
    yield f"{cpu / peer:.2f}" if peer else "-"
    yield (
        f"{BUDGETS[form]:g}{'' if not peer or cpu <= BUDGETS[form] * peer else ', over'}"
        if subject == OUTRIDER.name
        else "-"
    )
    over = ", over" if subject == OUTRIDER.name and peak > RSS else ""
    yield f"{_median(run.idle for run in runs):.0f}, {peak:.0f}{over}"
    yield f"{max(run.lost for run in runs):,}"


def _peer(made: Measured, form: str) -> float | None:
    """CPU of the Collector's, to which the budget is."""
    name = DURABLE.name if form != "plain" else SUBJECTS[-1].name
    runs = made.lines.get("plain" if form == "plain" else "json", {}).get(name)
    return _median(run.cpu_per_million for run in runs) if runs else None


def _median(values: Iterator[float]) -> float:
    return statistics.median(values)
