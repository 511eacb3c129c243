"""The bench of logs in its smallest form: every line that was written is counted, for us and for the Collector."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.lines import CASES, FORMS, SUBJECTS, Case, LogSubject, json_line, losses, plain_line, throughput, write_lines
from bench.logs import Measured, tables
from bench.traffic import LOAD
from tests.real import require


@pytest.fixture(autouse=True)
def _built() -> None:
    require(LOAD)
    require("otelcol")


def test_lines_of_either_form_are_as_long_as_those_that_rivals_were_measured_with() -> None:
    assert len(json_line(123_456)) in range(260, 275)
    assert len(plain_line(123_456)) == 266
    assert json.loads(json_line(123_456))["msg"] == "request handled #0000123456#"


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name.replace(" ", "-"))
@pytest.mark.parametrize("form", [FORMS[0], FORMS[2]], ids=lambda form: form.name)
def test_every_line_of_a_file_arrives_once_and_its_cost_is_known(
    subject: LogSubject, form: object, tmp_path: Path
) -> None:
    assert form in FORMS
    chosen = next(one for one in FORMS if one is form)
    write_lines(chosen, 2000, tmp_path / "lines")
    found = throughput(subject, chosen, tmp_path / "lines", 2000)
    assert (found.lost, found.duplicates) == (0, 0)
    assert found.cpu_per_million > 0
    table = "\n".join(tables(Measured("m", "t", "c", 0.0, {chosen.name: {subject.name: [found]}}, {})))
    assert f"| {chosen.name} | {subject.name} |" in table


def test_through_a_kill_before_a_rotation_nothing_is_lost() -> None:
    """With two rotations: a third would delete the first file, which a slow machine may not have read to its end."""
    case = next(case for case in CASES if case.name == "rename, app.log, killed 40 ms before a rotation")
    found = losses(SUBJECTS[0], Case(case.name, case.pattern, case.copytruncate, (0.96,)), seconds=2)
    assert (found.written, found.lost) == (4000, 0)
