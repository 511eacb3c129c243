"""What the demo says about itself once it runs: where everything is, what to ask, what to break. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from .plan import Plan


def introduction(plan: Plan, directory: Path, pids: Mapping[str, int]) -> list[str]:
    """`pids` by the children's names. Every command can be pasted into another terminal."""
    width = max(len(i.name) for i in plan.instances)
    first = plan.instances[0]
    places = [
        f"  {i.name:{width}}  {i.url}  pid {pids[i.name]:<7}  sidecar {i.sidecar}, OTLP :{i.grpc_port} and :{i.otlp_port}"
        for i in plan.instances
    ]
    cache = plan.cache
    otlp = f":{plan.collector_grpc_port} and :{plan.collector_port}"
    return [
        "",
        *places,
        f"  {'collector':{width}}  {plan.collector}  pid {pids['collector']:<7}  OTLP {otlp}",
        "",
        "Ask, in another terminal:",
        *pairs(
            (f"curl -s {plan.collector}/v1/health", "the fleet, for people"),
            (f"curl -s {plan.collector}/v1/services", "who is well, since when and why, for programs"),
            (f"curl -s '{plan.collector}/v1/traces?error=true'", "traces with an error in them"),
            (f"curl -s {first.sidecar}/status", "all that one sidecar knows, of its service's logs too"),
            (f"curl -s {first.sidecar}/metrics", "its metrics and its neighbour's process"),
            (f"curl -si {first.url}/items/1", "the API itself"),
        ),
        "",
        "Break it, and watch:",
        *pairs(
            (f"kill -9 {pids[cache.name]}", "the cache fails; the API still serves, degraded"),
            (f"kill -STOP {pids[plan.instances[1].name]}", "a replica hangs (-CONT wakes it)"),
            (f"sh {directory}/start-{cache.name}.sh", "brings the cache back"),
        ),
        "",
        "Dashboards, and files:",
        *pairs(
            (f"{directory}/prometheus.yml", "scrape config for your Prometheus"),
            (f"{directory}/GRAFANA.md", "the steps in your Grafana"),
            (f"{directory}/logs", "what each process said"),
        ),
        "",
        "Ctrl-C stops everything that was started here.",
        "",
    ]


def pairs(*lines: tuple[str, str]) -> list[str]:
    """Commands with what they show, aligned."""
    width = max(len(left) for left, _ in lines)
    return [f"  {left:{width}}   {right}" for left, right in lines]
