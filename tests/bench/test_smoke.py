"""The bench measures each of its subjects: a cell or two, one second each. What is asserted are facts, never time."""

from __future__ import annotations

import pytest

from bench import tables, traffic
from bench.cells import Cell
from bench.process import Memory
from bench.run import Run, measure
from bench.subjects import MEMORY, OUTRIDER, SUBJECTS, Subject
from bench.traffic import Sent
from tests.real import require

CELL = Cell(protocol="http", upstream="http", spans=5, connections=4)
OTHER = Cell(protocol="grpc", upstream="grpc", spans=100, connections=4, gzip=True)
PROGRAMS = {"otelcol": "otelcol", "nginx": "nginx"}


@pytest.mark.parametrize(
    ("subject", "cell"),
    [*((subject, CELL) for subject in SUBJECTS), (MEMORY, OTHER), (OUTRIDER, OTHER)],
    ids=lambda value: value.name,
)
def test_what_a_subject_acknowledged_reached_the_sink_and_its_cost_is_known(subject: Subject, cell: Cell) -> None:
    require(traffic.LOAD)
    for start, program in PROGRAMS.items():
        if subject.name.startswith(start):
            require(program)
    run = measure(subject, cell, 1.0)
    assert run.sent.accepted > 0
    assert run.drained
    assert run.lost == 0
    assert run.whole
    assert run.delivered >= run.sent.spans
    assert run.sent.refused == run.sent.errors == {}
    assert run.cpu > 0
    assert 0 < run.sent.p50_ms <= run.sent.p99_ms
    assert run.first_ok_ms > 0
    assert min(run.idle.rss, run.idle.anonymous, run.loaded.rss, run.loaded.anonymous) > 0
    assert run.peak >= run.loaded.rss * 0.99  # the two are read from different counters of the kernel
    shown = "\n".join(tables.lines([cell], {cell.name: {subject.name: [run]}}))
    assert f"| {cell.name} | {subject.name} |" in shown


def _run(cpu: float, p99: float, peak: float) -> Run:
    memory = Memory(30.0, 20.0, 21.0)
    sent = Sent(1.0, 2000, 2000, 1_000_000, {}, {}, 1_000_001, 1.0, p99, p99)
    return Run(
        first_ok_ms=100.0,
        idle=memory,
        loaded=memory,
        peak=peak,
        cpu=cpu,
        drained=True,
        drain=0.1,
        delivered=1_000_000,
        lost=0,
        duplicates=0,
        whole=True,
        sent=sent,
        upstream_requests=10,
    )


def test_ours_is_held_against_the_collector_and_the_budget() -> None:
    """Medians: a third of the Collector's CPU keeps a budget of 0.35, 0.6 of its p99 is over 0.5; the highest peak counts."""
    ours = [_run(2.0, 6.0, 40.0), _run(3.0, 6.0, 61.0), _run(9.0, 6.0, 41.0)]
    results = {CELL.name: {MEMORY.name: [_run(9.0, 10.0, 90.0)], OUTRIDER.name: ours}}
    shown = list(tables.lines([CELL], results))
    assert shown[1:6] == [
        "1 of 3 budgets are kept:",
        "",
        "| over budget | what | measured | budget |",
        "|---|---|---|---|",
        "| http-5-4 | p99 of otelcol's | 0.60 | 0.5 |",
    ]
    assert shown[6] == "| http-5-4 | peak RSS MB | 61.00 | 60 |"
    [row] = [line for line in shown if line.startswith("| http-5-4 | outrider |")]
    assert row == (
        "| http-5-4 | outrider | 1,000,000 | 3.00 (2.00-9.00) | 0.33, PASS (≤ 0.35) | 1.00 | 6.0 (6.0-6.0) | 0.60, over (≤ 0.5) "
        "| 200.0 | 30 (20) | 61, over (≤ 60) | 0.0% | 0 | 0 |"
    )
