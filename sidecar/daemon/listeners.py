"""Where telemetry comes in, and who may speak there and at the API."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from ..config import Config
from ..io.clock import Clock
from ..io.guard import Guard
from ..io.listener import Listener
from ..logic.cors import Cors
from ..logic.scalars import Address
from ..otlp.grpc import Connection as GrpcConnection
from ..otlp.guarded import GuardedConnection
from ..otlp.http import Receiver


def guards_of(config: Config) -> dict[str, Guard]:
    """By the listener's name."""
    return {
        "otlp grpc": Guard(config.otlp.grpc.tls, config.otlp.grpc.token, "h2"),
        "otlp http": Guard(config.otlp.http.tls, config.otlp.http.token, "http/1.1"),
        "api": Guard(config.api.tls, config.api.token, "http/1.1"),
    }


def listeners_of(
    config: Config, receiver: Receiver, guards: Mapping[str, Guard], connections: int, clock: Clock
) -> dict[str, Listener]:
    """Of OTLP, for so many connections in all; those that are switched off are not there."""
    cors = Cors(config.otlp.http.cors) if config.otlp.http.cors.origins else None
    grpc, http = guards["otlp grpc"].bearer, guards["otlp http"].bearer
    factories: dict[str, tuple[Address | None, Callable[[], asyncio.Protocol]]] = {
        "otlp grpc": (config.otlp.grpc.listen, lambda: GrpcConnection(receiver, grpc)),
        "otlp http": (
            config.otlp.http.listen,
            (lambda: GuardedConnection(receiver, http, cors)) if http or cors else receiver.protocol,
        ),
    }
    handshakes = max(1, min(256, connections // 16))
    return {
        name: Listener(address, factory, clock, guards[name].tls, handshakes)
        for name, (address, factory) in factories.items()
        if address is not None
    }


def bound(listener: Listener) -> str:
    """Where it listens, with the port that the system chose where it was asked to."""
    port = listener.ports[0] if listener.ports else listener.address.port
    return str(Address(listener.address.host, port))
