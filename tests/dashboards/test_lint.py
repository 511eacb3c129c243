"""The rules of Grafana's dashboard-linter that apply here, held by ourselves, and a few stricter ones."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dashboards.build import dashboards, drift, write

BUILT: dict[str, dict[str, Any]] = {name: json.loads(text) for name, text in dashboards().items()}
UNITS = {"none", "short", "s", "bytes", "percentunit", "reqps", "ops", "cps", "binBps"}
HEALTH = {"0": "pass", "1": "warn", "2": "fail", "3": "unknown"}
UP = {"0": "down", "1": "up"}
UPSTREAM = {"0": "ok", "1": "retrying", "2": "held", "3": "full"}
# Gauges, although they end as a histogram's counter does: the names are OpenTelemetry's.
GAUGES = {"process_thread_count", "process_unix_file_descriptor_count"}
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}


def panels() -> Iterator[Any]:
    for name, board in BUILT.items():
        for panel in board["panels"]:
            if panel["type"] != "row":
                yield pytest.param(panel, id=f"{name}: {panel['title']}")


def queries() -> Iterator[Any]:
    for name, board in BUILT.items():
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                yield pytest.param(target["expr"], id=f"{name}: {panel['title']} {target['refId']}")


every_board = pytest.mark.parametrize("board", BUILT.values(), ids=BUILT.keys())
every_panel = pytest.mark.parametrize("panel", list(panels()))
every_query = pytest.mark.parametrize("query", list(queries()))


def test_there_are_two_dashboards_with_fixed_uids() -> None:
    assert {name: board["title"] for name, board in BUILT.items()} == {
        "outrider-fleet.json": "Fleet health",
        "outrider-service.json": "Service",
    }
    assert [board["uid"] for board in BUILT.values()] == ["outrider-fleet", "outrider-service"]


@every_board
def test_a_dashboard_is_classic_read_only_tagged_and_linked(board: dict[str, Any]) -> None:
    assert board["schemaVersion"] == 42
    assert board["id"] is None
    assert board["editable"] is False
    assert board["graphTooltip"] == 1, "a crosshair through all panels"
    assert board["tags"] == ["outrider"]
    assert [(link["type"], link["tags"], link["includeVars"], link["keepTime"]) for link in board["links"]] == [
        ("dashboards", ["outrider"], True, True)
    ]
    assert board["description"]


@every_board
def test_the_datasource_is_picked_by_a_variable(board: dict[str, Any]) -> None:
    """template-datasource"""
    variable = board["templating"]["list"][0]
    assert (variable["name"], variable["label"], variable["type"], variable["query"]) == (
        "datasource",
        "Data Source",
        "datasource",
        "prometheus",
    )


@every_board
def test_job_and_instance_take_several_values_or_all(board: dict[str, Any]) -> None:
    """template-job, template-instance, template-label-promql, template-on-time-change-reload"""
    job, instance = board["templating"]["list"][1:]
    assert (job["name"], job["label"], job["query"]["query"]) == (
        "job",
        "Job",
        "label_values(outrider_info, job)",
    )
    assert (instance["name"], instance["label"], instance["query"]["query"]) == (
        "instance",
        "Instance",
        'label_values(outrider_info{job=~"$job"}, instance)',
    )
    for variable in (job, instance):
        assert variable["type"] == "query"
        assert variable["datasource"] == DATASOURCE
        assert (variable["multi"], variable["includeAll"], variable["allValue"]) == (True, True, ".+")
        assert variable["refresh"] == 2, "on a change of the time range"


@every_board
def test_panels_have_a_number_and_a_place_of_their_own(board: dict[str, Any]) -> None:
    numbers = [panel["id"] for panel in board["panels"]]
    assert numbers == list(range(1, len(numbers) + 1))
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
    last = max(y for _, y in taken)
    assert len(taken) == 24 * (last + 1), "no gaps: each line is filled to its end"


@every_panel
def test_a_panel_says_what_it_shows_and_in_which_unit(panel: dict[str, Any]) -> None:
    """panel-title-description, panel-units, panel-datasource, panel-no-targets"""
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
    assert panel["datasource"] == DATASOURCE
    assert panel["targets"]
    for target in panel["targets"]:
        assert target["datasource"] == DATASOURCE
        assert target["legendFormat"]


@every_panel
def test_a_legend_names_every_label_that_tells_lines_apart(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        for labels in re.findall(r"by \(([^)]*)\)", target["expr"].split(" or on ")[0]):
            shown = re.findall(r"{{(\w+)}}", target["legendFormat"]) or ["instance"]
            assert set(labels.split(", ")) - {"le"} <= set(shown), target["expr"]


@every_panel
def test_a_sum_over_the_whole_range_is_a_number_and_no_line(panel: dict[str, Any]) -> None:
    assert panel["type"] == "stat" or not any("$__range]" in target["expr"] for target in panel["targets"])


@every_panel
def test_a_state_is_shown_as_a_word_and_not_only_as_a_colour(panel: dict[str, Any]) -> None:
    shows_state = re.compile(
        r"max by \([^)]*\) \(outrider_(health_status|check_status|target_up|relay_upstream_state)\{"
    )
    mapped = panel["fieldConfig"]["defaults"].get("mappings", [])
    words = {value: one["text"] for mapping in mapped for value, one in mapping["options"].items()}
    if any(shows_state.match(target["expr"]) for target in panel["targets"]):
        assert words in (HEALTH, UP, UPSTREAM)
        assert panel["type"] == "stat" or panel["options"]["showValue"] == "always"
    else:
        assert words == {}


@every_panel
def test_a_link_to_a_service_has_the_labels_that_it_needs(panel: dict[str, Any]) -> None:
    for link in panel["fieldConfig"]["defaults"].get("links", []):
        assert link["url"].startswith("/d/outrider-service?var-job=${__field.labels.job}&")
        for target in panel["targets"]:
            assert re.search(r"by \((le, )?job, instance\)", target["expr"])


@every_query
def test_each_selector_is_held_to_the_picked_services(query: str) -> None:
    """target-job, target-instance"""
    selectors = re.findall(r"\{([^}]*)\}", query)
    assert selectors
    for selector in selectors:
        assert selector.startswith('job=~"$job", instance=~"$instance"')
    for metric in re.findall(r"\b(?:up|[a-z]+_[a-z_]+)\b(?!\s*[(,)=!~\"])", re.sub(r"\{[^}]*\}", "{}", query)):
        assert f"{metric}{{" in query or metric.startswith("histogram_"), metric


@every_query
def test_rates_are_over_the_interval_that_grafana_picks(query: str) -> None:
    """target-rate-interval; an increase may also span what the dashboard shows."""
    for function, interval in re.findall(r"(\w+)\([^()]*\[([^]]*)\]", query):
        assert (function, interval) in {("rate", "$__rate_interval"), ("increase", "$__range")}


@every_query
def test_a_counter_is_only_ever_shown_as_a_rate(query: str) -> None:
    """target-counter-agg"""
    for counter in re.finditer(r"(\w+_(total|count|sum|bucket))\{", query):
        rated = re.search(r"(rate|increase)\($", query[: counter.start()])
        assert rated or counter.group(1) in GAUGES, counter.group(1)


def test_prometheus_can_parse_every_query(tmp_path: Path) -> None:
    """target-promql"""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian package: prometheus)")
    plain = [query.values[0].replace("$__rate_interval", "1m").replace("$__range", "1h") for query in queries()]
    rules = [{"record": f"query:number{n}", "expr": expression} for n, expression in enumerate(plain)]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "all", "rules": rules}]}))
    done = subprocess.run([promtool, "check", "rules", str(file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(plain)} rules found" in done.stdout


def test_the_committed_files_are_what_the_code_builds() -> None:
    done = subprocess.run([sys.executable, "-m", "dashboards", "--check"], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("", 0)


def test_drift_is_shown_as_a_diff_and_mended_by_writing(tmp_path: Path) -> None:
    write(tmp_path)
    assert drift(tmp_path) == ""
    fleet = tmp_path / "outrider-fleet.json"
    fleet.write_text(fleet.read_text().replace('"title": "Fleet health"', '"title": "Fleet sickness"'))
    (tmp_path / "stale.json").write_text("{}\n")
    difference = drift(tmp_path).splitlines()
    assert [line.strip(" ,") for line in difference if line.startswith(("-", "+"))] == [
        "--- generated/outrider-fleet.json",
        "+++ code/outrider-fleet.json",
        '-  "title": "Fleet sickness"',
        '+  "title": "Fleet health"',
        "--- generated/stale.json",
        "+++ code/stale.json",
        "-{}",
    ]
    write(tmp_path)
    assert drift(tmp_path) == ""
    assert not (tmp_path / "stale.json").exists()
