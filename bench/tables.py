"""Runs as Markdown: medians with their range, ours beside the Collector's and the budget."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from .budgets import Budget, budget
from .cells import Cell
from .run import Run
from .subjects import MEMORY, OUTRIDER

Cells = Mapping[str, Mapping[str, Sequence[Run]]]
"""Runs by cell and subject."""


def median(runs: Sequence[Run], of: Callable[[Run], float]) -> float:
    return statistics.median(map(of, runs))


def _ranged(runs: Sequence[Run], of: Callable[[Run], float], digits: int) -> str:
    values = [of(run) for run in runs]
    middle = f"{statistics.median(values):.{digits}f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.{digits}f}-{max(values):.{digits}f})"


class Check(NamedTuple):
    """A budget, and what was measured of it."""

    cell: str
    what: str
    value: float
    most: float

    @property
    def kept(self) -> bool:
        return self.value <= self.most


def checks(cell: Cell, by_subject: Mapping[str, Sequence[Run]]) -> Iterator[Check]:
    """Of one cell, as far as ours, and for ratios the Collector, was measured in it."""
    kept, ours, peer = budget(cell), by_subject.get(OUTRIDER.name), by_subject.get(MEMORY.name)
    if not ours:
        return
    if peer and kept.cpu is not None:
        yield Check(cell.name, "CPU of otelcol's", median(ours, _cpu) / median(peer, _cpu), kept.cpu)
    if peer and kept.p99 is not None:
        yield Check(cell.name, "p99 of otelcol's", median(ours, _p99) / median(peer, _p99), kept.p99)
    if kept.core is not None:
        yield Check(cell.name, "% of a core", median(ours, lambda r: r.core), kept.core)
    if kept.outage is not None:
        yield Check(cell.name, "% of a core in the outage", median(ours, lambda r: r.outage_cpu or 0.0), kept.outage)
    yield Check(cell.name, "peak RSS MB", max(run.peak for run in ours), kept.rss)


def _summary(cells: Sequence[Cell], results: Cells) -> Iterator[str]:
    done = [check for cell in cells for check in checks(cell, results[cell.name])]
    if not done:
        return
    over = [check for check in done if not check.kept]
    yield from ("", f"{len(done) - len(over)} of {len(done)} budgets are kept{':' if over else '.'}")
    if over:
        yield from ("", *_head(("over budget", "what", "measured", "budget")))
        yield from (_row([c.cell, c.what, f"{c.value:.2f}", f"{c.most:g}"]) for c in over)


def lines(cells: Sequence[Cell], results: Cells) -> Iterator[str]:
    """All tables of the cells that have results."""
    measured = [cell for cell in cells if cell.name in results]
    yield from _summary(measured, results)
    saturated = [cell for cell in measured if not cell.rate]
    for title, chosen in (
        ("As fast as it is answered", [c for c in saturated if not c.delay and not c.gzip]),
        ("Compressed upstream", [c for c in saturated if c.gzip]),
        ("An upstream that takes 80 ms", [c for c in saturated if c.delay]),
    ):
        if chosen:
            yield from ("", f"### {title}", "")
            yield from _saturated(chosen, results)
    if steady := [c for c in measured if c.rate and not c.outage]:
        yield from ("", "### 10,000 spans a second, ten a request", "")
        yield from _steady(steady, results)
    if outages := [c for c in measured if c.outage]:
        yield from ("", f"### The upstream gone for {outages[0].outage:.0f} s, at 10,000 spans a second", "")
        yield from _outages(outages, results)
    if measured:
        yield from ("", "### Start and memory before any load, over all cells", "")
        yield from _idle(results)


_SATURATED = (
    "cell",
    "subject",
    "spans/s",
    "CPU-s per million spans",
    "of otelcol's",
    "p50 ms",
    "p99 ms",
    "of otelcol's",
    "joined",
    "RSS (anonymous) MB",
    "peak",
    "refused",
    "lost",
    "twice",
)


def _head(columns: Sequence[str]) -> tuple[str, str]:
    return "| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)


def _row(values: Iterable[str]) -> str:
    return "| " + " | ".join(values) + " |"


def mark(value: float, most: float | None, digits: int = 2) -> str:
    """A value beside its budget."""
    if most is None:
        return f"{value:.{digits}f}"
    return f"{value:.{digits}f}, {'PASS' if value <= most else 'over'} (≤ {most:g})"


def _memory(runs: Sequence[Run]) -> str:
    return f"{median(runs, lambda r: r.loaded.rss):.0f} ({median(runs, lambda r: r.loaded.anonymous):.0f})"


def _peak(runs: Sequence[Run], ours: bool, kept: Budget) -> str:
    """The highest of all runs."""
    return mark(max(run.peak for run in runs), kept.rss if ours else None, 0)


def _delivery(runs: Sequence[Run]) -> list[str]:
    """Refused, lost, twice: the worst run's."""
    lost = max(run.lost for run in runs)
    said = f"{lost}" if all(run.drained for run in runs) or lost else "0, late"
    wrong = "" if all(run.whole for run in runs) else ", damaged"
    return [f"{max(run.refused for run in runs):.1%}", said + wrong, str(max(run.duplicates for run in runs))]


def _saturated(cells: Sequence[Cell], results: Cells) -> Iterator[str]:
    yield from _head(_SATURATED)
    for cell in cells:
        peer = results[cell.name].get(MEMORY.name)
        for name, runs in results[cell.name].items():
            ours = name == OUTRIDER.name
            kept = budget(cell) if ours else Budget()
            cpu, p99 = "", ""
            if peer and name != MEMORY.name:
                cpu = mark(median(runs, _cpu) / median(peer, _cpu), kept.cpu)
                p99 = mark(median(runs, _p99) / median(peer, _p99), kept.p99)
            yield _row(
                [
                    cell.name,
                    name,
                    f"{median(runs, lambda r: r.sent.spans / r.sent.seconds):,.0f}",
                    _ranged(runs, _cpu, 2),
                    cpu,
                    f"{median(runs, lambda r: r.sent.p50_ms):.2f}",
                    _ranged(runs, _p99, 1),
                    p99,
                    f"{median(runs, _joined):.1f}",
                    _memory(runs),
                    _peak(runs, ours, kept),
                    *_delivery(runs),
                ]
            )


def _cpu(run: Run) -> float:
    return run.per_million


def _p99(run: Run) -> float:
    return run.sent.p99_ms


def _joined(run: Run) -> float:
    """Requests that were accepted, for each that left."""
    return run.sent.accepted / run.upstream_requests if run.upstream_requests else 0.0


def _steady(cells: Sequence[Cell], results: Cells) -> Iterator[str]:
    columns = (
        "cell",
        "subject",
        "% of a core",
        "of otelcol's",
        "p50 ms",
        "p99 ms",
        "joined",
        "RSS (anonymous) MB",
        "peak",
    )
    yield from _head([*columns, "refused", "lost", "twice"])
    for cell in cells:
        peer = results[cell.name].get(MEMORY.name)
        for name, runs in results[cell.name].items():
            ours = name == OUTRIDER.name
            kept = budget(cell) if ours else Budget()
            core = median(runs, lambda r: r.core)
            ratio = f"{core / median(peer, lambda r: r.core):.2f}" if peer and name != MEMORY.name else ""
            yield _row(
                [
                    cell.name,
                    name,
                    mark(core, kept.core, 1) + _range_of(runs, lambda r: r.core, 1),
                    ratio,
                    f"{median(runs, lambda r: r.sent.p50_ms):.2f}",
                    _ranged(runs, _p99, 1),
                    f"{median(runs, _joined):.1f}",
                    _memory(runs),
                    _peak(runs, ours, kept),
                    *_delivery(runs),
                ]
            )


def _range_of(runs: Sequence[Run], of: Callable[[Run], float], digits: int) -> str:
    values = [of(run) for run in runs]
    return "" if len(values) == 1 else f"; {min(values):.{digits}f}-{max(values):.{digits}f}"


def _outages(cells: Sequence[Cell], results: Cells) -> Iterator[str]:
    columns = ("cell", "subject", "% of a core while it is gone", "CPU-s per million spans, all in all", "p99 ms")
    yield from _head([*columns, "RSS (anonymous) MB after", "peak", "all there after s", "refused", "lost", "twice"])
    for cell in cells:
        for name, runs in results[cell.name].items():
            ours = name == OUTRIDER.name
            kept = budget(cell) if ours else Budget()
            yield _row(
                [
                    cell.name,
                    name,
                    mark(median(runs, lambda r: r.outage_cpu or 0.0), kept.outage, 1),
                    _ranged(runs, _cpu, 1),
                    f"{median(runs, _p99):.1f}",
                    _memory(runs),
                    _peak(runs, ours, kept),
                    f"{median(runs, lambda r: r.drain):.1f}",
                    *_delivery(runs),
                ]
            )


def _idle(results: Cells) -> Iterator[str]:
    yield from _head(("subject", "start to first OTLP 200, ms", "RSS MB", "anonymous MB", "runs"))
    subjects = dict.fromkeys(name for by_subject in results.values() for name in by_subject)
    for name in subjects:
        runs = [run for by_subject in results.values() for run in by_subject.get(name, ())]
        yield _row(
            [
                name,
                _ranged(runs, lambda r: r.first_ok_ms, 0),
                _ranged(runs, lambda r: r.idle.rss, 1),
                _ranged(runs, lambda r: r.idle.anonymous, 1),
                str(len(runs)),
            ]
        )
