"""The bench measures each of its subjects: one cell, one second. What is asserted are facts, never time."""

from __future__ import annotations

import pytest

from bench import tables, traffic
from bench.cells import Cell
from bench.run import measure
from bench.subjects import MEMORY, OUTRIDER, SUBJECTS, Subject
from tests.real import require

CELL = Cell(protocol="http", upstream="http", spans=5, connections=4)
PROGRAMS = {"otelcol": "otelcol", "nginx": "nginx"}


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_what_a_subject_acknowledged_reached_the_sink_and_its_cost_is_known(subject: Subject) -> None:
    require(traffic.LOAD)
    for start, program in PROGRAMS.items():
        if subject.name.startswith(start):
            require(program)
    run = measure(subject, CELL, 1.0)
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
    shown = "\n".join(tables.lines([CELL], {CELL.name: {subject.name: [run]}}))
    assert f"| {CELL.name} | {subject.name} |" in shown


def test_the_budget_is_told_only_for_ours() -> None:
    assert tables.mark(0.351, 0.35) == "0.35, over (≤ 0.35)"
    assert tables.mark(0.30, 0.35) == "0.30, PASS (≤ 0.35)"
    assert tables.mark(3.6, None) == "3.60"
    assert MEMORY.name != OUTRIDER.name
