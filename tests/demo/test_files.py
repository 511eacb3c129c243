"""Ports, commands and files of a run."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import yaml

from demo import commands, files
from demo.introduction import introduction
from demo.plan import FreePorts, plan
from tests.ports import free_port

PLAN = plan(lambda wanted: wanted)
LOG = Path("/demo/logs/x.log")
PIDS = {"fastjson-api-1": 101, "fastjson-api-2": 102, "cache-server-1": 103, "collector": 104}


def test_a_taken_port_is_replaced_and_none_is_given_twice() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        ports = FreePorts()
        chosen = [ports(taken), ports(taken)]
    assert taken not in chosen
    assert len(set(chosen)) == 2
    free = free_port()
    assert ports(free) == free


def test_the_children_see_nothing_that_would_configure_them_behind_our_back() -> None:
    environ = {"PATH": "/bin", "OUTRIDER_API_LISTEN": "x", "OTEL_SDK_DISABLED": "true", "HTTP_PROXY": "http://p"}
    assert commands.clean(environ) == {
        "PATH": "/bin",
        "HTTP_PROXY": "http://p",
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
        "PYTHONUNBUFFERED": "1",
    }


def test_prometheus_scrapes_each_service_and_its_sidecar_under_one_job() -> None:
    assert files.scrape_config(PLAN) == yaml.safe_load("""
        global: {scrape_interval: 5s}
        scrape_configs:
        - job_name: fastjson-api
          static_configs:
          - {targets: ["127.0.0.1:8080"], labels: {instance: fastjson-api-1, source: service}}
          - {targets: ["127.0.0.1:4319"], labels: {instance: fastjson-api-1, source: sidecar}}
          - {targets: ["127.0.0.1:8081"], labels: {instance: fastjson-api-2, source: service}}
          - {targets: ["127.0.0.1:4329"], labels: {instance: fastjson-api-2, source: sidecar}}
        - job_name: cache-server
          static_configs:
          - {targets: ["127.0.0.1:6400"], labels: {instance: cache-server-1, source: service}}
          - {targets: ["127.0.0.1:4339"], labels: {instance: cache-server-1, source: sidecar}}
    """)


def test_the_api_without_its_cache_is_configured_to_warn_only() -> None:
    probes = files.sidecar_config(PLAN, PLAN.apis[0], LOG)["probes"]
    assert probes["cache"] == {
        "kind": "http",
        "url": "http://127.0.0.1:6400/healthz",
        "severity": "warn",
        "period": "2s",
        "timeout": "1s",
    }
    assert list(files.sidecar_config(PLAN, PLAN.cache, LOG)["probes"]) == ["live", "ready", "logs"]


def test_one_service_goes_over_grpc_all_the_way_the_others_over_http() -> None:
    told = {i.name: commands.telemetry(i) for i in PLAN.instances}
    assert [t["OTEL_EXPORTER_OTLP_PROTOCOL"] for t in told.values()] == ["http/protobuf", "http/protobuf", "grpc"]
    assert told["fastjson-api-1"]["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://127.0.0.1:4318"
    exports = [files.sidecar_config(PLAN, instance, LOG).get("export") for instance in PLAN.instances]
    assert exports == [None, None, [{"otlp_grpc": {"endpoint": "http://127.0.0.1:4321"}}]]


def test_the_directory_holds_configuration_and_steps(tmp_path: Path) -> None:
    files.write(PLAN, tmp_path)
    files.write(PLAN, tmp_path)  # a second run may use it again
    assert {str(f.relative_to(tmp_path)) for f in tmp_path.rglob("*") if f.suffix in {".yaml", ".yml", ".md"}} == {
        "prometheus.yml",
        "GRAFANA.md",
        "sidecars/fastjson-api-1.yaml",
        "sidecars/fastjson-api-2.yaml",
        "sidecars/cache-server-1.yaml",
    }
    steps = (tmp_path / "GRAFANA.md").read_text()
    assert f"prometheus --config.file={tmp_path}/prometheus.yml" in steps


def test_the_steps_name_every_dashboard_or_where_they_are() -> None:
    where = Path("/demo")
    with_one = files.grafana_steps(where, where / "prometheus.yml", [where / "dashboards/fleet.json"])
    assert with_one.endswith("for each of:\n\n       /demo/dashboards/fleet.json\n")
    without = files.grafana_steps(where, where / "prometheus.yml", [])
    assert without.endswith("for each of:\n\n       the *.json files under dashboards/ of a checkout\n")


def test_a_script_starts_a_service_again_as_the_demo_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(commands, "PYTHON", "/usr/bin/python3")
    script = tmp_path / "start.sh"
    files.write_script(script, commands.service(PLAN, PLAN.cache, Path("shop.db")), tmp_path / "logs/x.log")
    assert script.read_text() == (
        "#!/bin/sh\n"
        "echo 'runs until Ctrl-C'\n"
        f"cd {tmp_path} && exec env OTEL_SERVICE_NAME=cache-server "
        "OTEL_RESOURCE_ATTRIBUTES=service.instance.id=cache-server-1 "
        "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4337 OTEL_EXPORTER_OTLP_PROTOCOL=grpc "
        "OTEL_BSP_SCHEDULE_DELAY=1000 OTEL_METRIC_EXPORT_INTERVAL=5000 "
        f"/usr/bin/python3 -m demo.cache_server --host 127.0.0.1 --port 6400 >> {tmp_path}/logs/x.log 2>&1\n"
    )


def test_the_introduction_says_what_to_ask_and_what_to_break() -> None:
    assert introduction(PLAN, Path("/demo"), PIDS) == GREETING.splitlines()


def test_the_introduction_fits_a_terminal_of_80_columns_whatever_the_ports() -> None:
    any_ports = plan(lambda wanted: wanted % 100 + 60_000)
    lines = introduction(any_ports, Path("/tmp/outrider-demo-abcd1234"), dict.fromkeys(PIDS, 4_194_303))
    assert max(map(len, lines)) <= 80


GREETING = """
  NAME            URL                    PID  SIDECAR  OTLP (gRPC, HTTP)
  fastjson-api-1  http://127.0.0.1:8080  101  :4319    :4317 and :4318
  fastjson-api-2  http://127.0.0.1:8081  102  :4329    :4327 and :4328
  cache-server-1  http://127.0.0.1:6400  103  :4339    :4337 and :4338
  collector       http://127.0.0.1:4320  104           :4321 and :4320

Dashboards, and files:
  /demo/prometheus.yml   scrape config for Prometheus
  /demo/GRAFANA.md       the steps in your Grafana
  /demo/logs             what each process said

Ask, in another terminal:
  curl -s http://127.0.0.1:4320/v1/health                the fleet, for people
  curl -s http://127.0.0.1:4320/v1/services              the same, for programs
  curl -s 'http://127.0.0.1:4320/v1/traces?error=true'   traces with errors
  curl -s http://127.0.0.1:4319/health                   one sidecar's verdict
  curl -s http://127.0.0.1:4319/status                   all that it knows
  curl -s http://127.0.0.1:4319/metrics                  its metrics
  curl -si http://127.0.0.1:8080/items/1                 the API itself

Break it, and watch:
  kill -9 103      the cache fails; the API still serves, degraded
  kill -STOP 102   a replica hangs (-CONT wakes it)
Bring the cache back, in a terminal of its own:
  sh /demo/start-cache-server-1.sh

Ctrl-C stops everything that was started here.

"""
