"""Who runs where: the services, their sidecars and the collector, with DESIGN's ports where they are free."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

import msgspec

HOST = "127.0.0.1"

# instance -> service, its port, its sidecar's ports of OTLP/gRPC, OTLP/HTTP and its API; the first has a sidecar's default ports
WANTED = {
    "fastjson-api-1": ("fastjson-api", 8080, 4317, 4318, 4319),
    "fastjson-api-2": ("fastjson-api", 8081, 4327, 4328, 4329),
    "cache-server-1": ("cache-server", 6400, 4337, 4338, 4339),
}
COLLECTOR_PORT = 4320
COLLECTOR_GRPC_PORT = 4321
OTHERS = range(28_000, 32_000)
"""Below those that kernels give to clients, and for port 0: they are still free when a service comes to take them."""


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """One service process and the sidecar next to it."""

    name: str
    service: str
    port: int
    grpc_port: int
    otlp_port: int
    api_port: int

    @property
    def speaks_grpc(self) -> bool:
        """To its sidecar, and that one to the collector: one service over gRPC, the other over HTTP."""
        return self.service == "cache-server"

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def sidecar(self) -> str:
        return f"http://{HOST}:{self.api_port}"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    collector_port: int
    collector_grpc_port: int
    instances: tuple[Instance, ...]

    @property
    def collector(self) -> str:
        return f"http://{HOST}:{self.collector_port}"

    @property
    def apis(self) -> tuple[Instance, ...]:
        return tuple(i for i in self.instances if i.service == "fastjson-api")

    @property
    def cache(self) -> Instance:
        return next(i for i in self.instances if i.service == "cache-server")


def plan(port: Callable[[int], int]) -> Plan:
    """`port` answers the port to use for the one wanted."""
    collector, collector_grpc = port(COLLECTOR_PORT), port(COLLECTOR_GRPC_PORT)
    instances = [
        Instance(
            name=name,
            service=service,
            port=port(app),
            grpc_port=port(grpc),
            otlp_port=port(otlp),
            api_port=port(api),
        )
        for name, (service, app, grpc, otlp, api) in WANTED.items()
    ]
    return Plan(collector_port=collector, collector_grpc_port=collector_grpc, instances=tuple(instances))


class FreePorts:
    """The port wanted while nobody listens on it, else one of `OTHERS`; no port twice."""

    def __init__(self, *, any_port: bool = False) -> None:
        self.any_port = any_port
        self.taken: set[int] = set()
        first = os.getpid() * 20 % len(OTHERS)  # demos that start at the same time
        self._others = iter([*OTHERS[first:], *OTHERS[:first]])

    def __call__(self, wanted: int) -> int:
        """Raises `OSError` when none is free."""
        chosen = None if self.any_port or wanted in self.taken else bound(wanted)
        while chosen is None or chosen in self.taken:
            other = next(self._others, None)
            if other is None:
                raise OSError(f"no port from {OTHERS[0]} to {OTHERS[-1]} is free")
            chosen = bound(other)
        self.taken.add(chosen)
        return chosen


def bound(port: int) -> int | None:
    """Binds for a moment. A connection in TIME_WAIT does not count as taken."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return None
        number: int = probe.getsockname()[1]
        return number
