"""The command line and environment of each child: what one would type to run it by hand."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

from .plan import HOST, Instance, Plan

PYTHON = sys.executable
LOCAL = "127.0.0.1,localhost"


class Command(msgspec.Struct, frozen=True):
    """`env` holds what is added to the environment that all children share."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = {}


def clean(environ: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment without what would configure the children behind our back."""
    kept = {k: v for k, v in environ.items() if not k.startswith(("OUTRIDER_", "OTEL_"))}
    return {**kept, "NO_PROXY": LOCAL, "no_proxy": LOCAL, "PYTHONUNBUFFERED": "1"}


def service(plan: Plan, instance: Instance, database: Path) -> Command:
    module = "demo.cache_server"
    options: tuple[str, ...] = ("--host", HOST, "--port", str(instance.port))
    if instance.service == "fastjson-api":
        module, options = "demo.fastjson_api", (*options, "--cache", plan.cache.url, "--db", str(database))
    return Command((PYTHON, "-m", module, *options), telemetry(instance))


def telemetry(instance: Instance) -> dict[str, str]:
    """An instrumented service needs to know no more than its own name, its sidecar's port and what is spoken there."""
    port = instance.grpc_port if instance.speaks_grpc else instance.otlp_port
    return {
        "OTEL_SERVICE_NAME": instance.service,
        "OTEL_RESOURCE_ATTRIBUTES": f"service.instance.id={instance.name}",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{HOST}:{port}",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc" if instance.speaks_grpc else "http/protobuf",
        "OTEL_BSP_SCHEDULE_DELAY": "1000",
        "OTEL_METRIC_EXPORT_INTERVAL": "5000",
    }


def sidecar(config: Path) -> Command:
    return Command((PYTHON, "-m", "sidecar", "run", "--config", str(config)))


def collector(plan: Plan, database: Path) -> Command:
    listen = ("--listen", f"{HOST}:{plan.collector_port}", "--grpc", f"{HOST}:{plan.collector_grpc_port}")
    return Command((PYTHON, "-m", "sidecar", "collector", *listen, "--db", str(database)))


def traffic(plan: Plan, rate: float) -> Command:
    return Command((PYTHON, "-m", "demo.traffic", "--rate", str(rate), *(api.url for api in plan.apis)))
