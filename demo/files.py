"""What a run writes into its directory: the sidecars' configuration, a scrape config, steps for Grafana."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import Any

import yaml

from .commands import Command
from .plan import HOST, Instance, Plan

CHECKOUT = Path(__file__).parent.parent
PERIOD = {"period": "2s", "timeout": "1s"}

GRAFANA = """\
# The demo's dashboards in your own Grafana

1. Let a Prometheus (3.x) scrape the running demo:

       prometheus --config.file={scrape} --storage.tsdb.path={data} \\
           --web.listen-address=127.0.0.1:9090

   Or add that file's jobs to the `scrape_configs` of one that runs already.

2. In Grafana: Connections > Data sources > Add data source > Prometheus.
   URL http://127.0.0.1:9090, then Save & test.

3. Dashboards > New > Import > Upload dashboard JSON file, for each of:

{dashboards}
"""


def sidecar_config(plan: Plan, instance: Instance, log: Path) -> dict[str, Any]:
    """`log` is where the service's output goes."""
    probes: dict[str, Any] = {
        "live": {"kind": "http", "url": "/healthz", "role": "liveness", **PERIOD},
        "ready": {"kind": "http", "url": "/readyz", "role": "readiness", **PERIOD},
    }
    probes["logs"] = {"kind": "log", "error_rate": {"warn": "5%"}, **PERIOD}
    if instance.service == "fastjson-api":
        # It serves without its cache, only slower: that is a warning, not a failure.
        probes["cache"] = {"kind": "http", "url": f"{plan.cache.url}/healthz", "severity": "warn", **PERIOD}
    over_grpc = [{"otlp_grpc": {"endpoint": f"http://{HOST}:{plan.collector_grpc_port}"}}]
    return {
        "service": {
            "name": instance.service,
            "namespace": "shop",
            "environment": "demo",
            "instance": instance.name,
        },
        "target": {"url": instance.url, "process": {"port": instance.port}},
        "probes": probes,
        "otlp": {"grpc": f"{HOST}:{instance.grpc_port}", "http": f"{HOST}:{instance.otlp_port}"},
        "logs": [{"name": "app", "file": str(log)}],
        "spool": {"path": str(log.parent.parent / "spools" / instance.name)},
        "collector": {"url": plan.collector},
        **({"export": over_grpc} if instance.speaks_grpc else {}),
        "api": {"listen": f"{HOST}:{instance.api_port}"},
        "metrics": {"interval": "5s"},
        "drain": "2s",
    }


def scrape_config(plan: Plan) -> dict[str, Any]:
    """One job per service; `source` keeps a service's own series and its sidecar's apart."""
    jobs: dict[str, list[dict[str, Any]]] = {}
    for instance in plan.instances:
        for port, source in ((instance.port, "service"), (instance.api_port, "sidecar")):
            labels = {"instance": instance.name, "source": source}
            jobs.setdefault(instance.service, []).append({"targets": [f"{HOST}:{port}"], "labels": labels})
    return {
        "global": {"scrape_interval": "5s"},
        "scrape_configs": [{"job_name": job, "static_configs": targets} for job, targets in jobs.items()],
    }


def write(plan: Plan, directory: Path) -> None:
    """Makes `directory` and everything in it that does not depend on a running child."""
    for folder in ("sidecars", "logs"):
        (directory / folder).mkdir(parents=True, exist_ok=True)
    for instance in plan.instances:
        log = directory / "logs" / f"{instance.name}.log"
        dump(sidecar_config_file(directory, instance), sidecar_config(plan, instance, log))
    scrape = directory / "prometheus.yml"
    dump(scrape, scrape_config(plan))
    (directory / "GRAFANA.md").write_text(grafana_steps(directory, scrape, copy_dashboards(directory)))


def sidecar_config_file(directory: Path, instance: Instance) -> Path:
    return directory / "sidecars" / f"{instance.name}.yaml"


def grafana_steps(directory: Path, scrape: Path, dashboards: list[Path]) -> str:
    found = "\n".join(f"       {file}" for file in dashboards)
    missing = "       the *.json files under dashboards/ of a checkout"
    data = directory / "prometheus-data"
    return GRAFANA.format(scrape=scrape, data=data, dashboards=found or missing)


def copy_dashboards(directory: Path) -> list[Path]:
    """From a checkout; an installation has none."""
    found = sorted((CHECKOUT / "dashboards").rglob("*.json"))
    target = directory / "dashboards"
    if found:
        target.mkdir(exist_ok=True)
    return [Path(shutil.copy(file, target)) for file in found]


def write_script(path: Path, command: Command, log: Path) -> None:
    """A shell script that runs `command` as the demo did, in the foreground; its output goes on in `log`."""
    env = " ".join(f"{key}={shlex.quote(value)}" for key, value in command.env.items())
    here, to = shlex.quote(str(Path.cwd())), shlex.quote(str(log))
    run = f"cd {here} && exec env {env} {shlex.join(command.argv)} >> {to} 2>&1"
    path.write_text(f"#!/bin/sh\necho 'runs until Ctrl-C'\n{run}\n")


def dump(path: Path, tree: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(tree, sort_keys=False))
