"""What is measured: each a program with a configuration that receives OTLP on two ports and sends it to the sink.

Like for like: each adds the same attributes to every resource, keeps its own metrics at its defaults, and nothing else is
configured that relays need not do.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from tests.ports import free_port

from .cells import Cell
from .programs import must
from .traffic import Sink

ATTRIBUTES = {"k8s.pod.name": "checkout-7d9c5b8f4-x2x7k", "k8s.namespace.name": "shop", "k8s.node.name": "node-3"}
SPOOL = 256 << 20
SPAN = 357
"""Bytes, about."""
ROOT = Path(__file__).parent.parent


class Ports(msgspec.Struct, frozen=True):
    http: int
    grpc: int


class Subject(msgspec.Struct, frozen=True):
    """`command(cell, ports, sink, directory)` writes what the program reads into the directory."""

    name: str
    command: Callable[[Cell, Ports, Sink, Path], list[str]]
    takes: Callable[[Cell], bool] = lambda _: True
    root: Path | None = None
    """Where it is started."""
    adds: bool = True
    """Does it add the attributes?"""


def _outrider(cell: Cell, ports: Ports, sink: Sink, directory: Path, *, spool: bool = True) -> list[str]:
    exporter = {
        "endpoint": f"http://127.0.0.1:{sink.port(cell.upstream)}",
        "compression": "gzip" if cell.gzip else "none",
    }
    config: dict[str, Any] = {
        "service": {"name": "bench", "attributes": ATTRIBUTES},
        "otlp": {"grpc": f"127.0.0.1:{ports.grpc}", "http": f"127.0.0.1:{ports.http}"},
        "api": {"listen": f"127.0.0.1:{free_port()}"},
        "export": [{f"otlp_{cell.upstream}": exporter, "required": True}],
    }
    if spool:
        config["spool"] = {"path": str(directory / "spool"), "max_bytes": SPOOL}
    return [sys.executable, "-m", "sidecar", "run", "--config", _written(config, directory)]


def _outrider_without_spool(cell: Cell, ports: Ports, sink: Sink, directory: Path) -> list[str]:
    return _outrider(cell, ports, sink, directory, spool=False)


def _otelcol(cell: Cell, ports: Ports, sink: Sink, directory: Path, *, disk: bool = False) -> list[str]:
    exporter: dict[str, Any] = {"compression": "gzip" if cell.gzip else "none"}
    port = sink.port(cell.upstream)
    exporter |= (
        {"endpoint": f"http://127.0.0.1:{port}"}
        if cell.upstream == "http"
        else {"endpoint": f"127.0.0.1:{port}", "tls": {"insecure": True}}
    )
    processors: dict[str, Any] = {
        "memory_limiter": {"check_interval": "1s", "limit_mib": 512, "spike_limit_mib": 128},
        "resource": {"attributes": [{"key": k, "value": v, "action": "insert"} for k, v in ATTRIBUTES.items()]},
    }
    extensions: dict[str, Any] = {"health_check": {"endpoint": f"127.0.0.1:{free_port()}"}}
    if disk:
        # Batches are made behind the queue: what the batch processor holds is acknowledged, and dies with the process.
        extensions["file_storage"] = {"directory": str(directory / "queue"), "create_directory": True}
        queue = {"storage": "file_storage", "sizer": "items", "queue_size": SPOOL // SPAN, "batch": {}}
        exporter["sending_queue"] = queue
    else:
        processors["batch"] = {}
    metrics = {"readers": [{"pull": {"exporter": {"prometheus": {"host": "127.0.0.1", "port": free_port()}}}}]}
    listen = {
        "grpc": {"endpoint": f"127.0.0.1:{ports.grpc}", "max_recv_msg_size_mib": 20},
        "http": {"endpoint": f"127.0.0.1:{ports.http}"},
    }
    name = f"otlp_{cell.upstream}"
    config = {
        "receivers": {"otlp": {"protocols": listen}},
        "processors": processors,
        "exporters": {name: exporter},
        "extensions": extensions,
        "service": {
            "extensions": list(extensions),
            "telemetry": {"metrics": metrics},
            "pipelines": {
                "traces": {"receivers": ["otlp"], "processors": list(processors), "exporters": [name]},
            },
        },
    }
    return [must("otelcol"), "--config", _written(config, directory)]


def _otelcol_on_disk(cell: Cell, ports: Ports, sink: Sink, directory: Path) -> list[str]:
    return _otelcol(cell, ports, sink, directory, disk=True)


def _nginx(_: Cell, ports: Ports, sink: Sink, directory: Path) -> list[str]:
    config = directory / "nginx.conf"
    paths = "".join(
        f"{kind}_temp_path {directory}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config.write_text(
        f"daemon off; master_process off; pid {directory}/pid; events {{ worker_connections 1024; }}\n"
        f"http {{ access_log off; {paths} client_max_body_size 0; client_body_buffer_size 512k;\n"
        f"keepalive_requests 1000000000; proxy_http_version 1.1; proxy_set_header Connection '';\n"
        f"upstream sink {{ server 127.0.0.1:{sink.http}; keepalive 64; keepalive_requests 1000000000; }}\n"
        f"server {{ listen 127.0.0.1:{ports.http}; location / {{ proxy_pass http://sink; }} }} }}\n"
    )
    return [must("nginx"), "-p", str(directory), "-e", "stderr", "-c", str(config)]


def _written(config: dict[str, Any], directory: Path) -> str:
    file = directory / "config.yaml"
    file.write_text(json.dumps(config, indent=1))  # which is YAML too
    return str(file)


def _floor(cell: Cell) -> bool:
    """Where nginx does the same as the others, once for each size."""
    plain = not (cell.gzip or cell.delay or cell.rate)
    return plain and cell.protocol == cell.upstream == "http" and cell.connections == 4


def outrider(name: str, root: Path) -> Subject:
    """Outrider with its spool, from a checkout."""
    return Subject(name, _outrider, root=root)


MEMORY = Subject("otelcol, memory queue", _otelcol)
"""The peer that budgets are relative to."""
OUTRIDER = outrider("outrider", ROOT)
SUBJECTS = (
    MEMORY,
    Subject("otelcol, disk queue", _otelcol_on_disk),
    OUTRIDER,
    Subject("outrider, no spool", _outrider_without_spool, lambda cell: cell.spans == 5 and not cell.gzip, ROOT),
    Subject("nginx proxy_pass", _nginx, _floor, adds=False),
)
