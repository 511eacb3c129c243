"""What a sidecar is made of. It reads as the architecture's diagram."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
import structlog

from ..config import Config, Loaded
from ..export.heartbeat import Heartbeats
from ..io.clock import Clock
from ..io.descriptors import Connections
from ..io.http_client import HttpClient
from ..io.resolver import Resolver
from ..io.secrets import SecretValue
from ..io.spool import Spool
from ..io.tls import ClientTls
from ..logic.beats import Beats
from ..logic.log_watch import LogWatch
from ..logic.loop import name_of
from ..model.counters import HeartbeatCounters, ReceiverCounters
from ..model.resource import Resource
from ..monitor import Monitor
from ..otlp.http import Receiver
from ..relay import Relay
from .checks import USER_AGENT, monitor_of
from .identity import named_by, resource_of
from .listeners import guards_of, listeners_of
from .neighbour import Neighbour
from .upstreams import upstreams_of
from .watch import Watch

if TYPE_CHECKING:
    from ..logs.reading import Logs
    from ..logs.sources.child import Copy

Logger = structlog.typing.FilteringBoundLogger


class Parts:
    """Made out of a configuration, each with what it needs of those before it. Nothing runs yet."""

    def __init__(
        self,
        loaded: Loaded,
        clock: Clock,
        rng: random.Random,
        log: Logger,
        connections: Connections,
        command: Sequence[str],
        copy: Copy | None,
    ) -> None:
        config = loaded.config
        self.config = config
        self.warnings = tuple(loaded.warnings)
        self.connections = connections
        self.log = log
        self.clock = clock
        self.started = clock.now()
        resolver = Resolver()

        self.neighbour = Neighbour(config, clock, log)
        self.resource = resource_of(config, named_by(command) if command else self.neighbour.process)

        watches: list[LogWatch] = []
        self.monitor = monitor_of(config, clock, rng, resolver, lambda: self.neighbour.process, watches.append)

        self.upstreams = upstreams_of(config, resolver)
        self.spool = Spool(config.spool, clock.now) if config.spool and self.upstreams else None
        self.relay = Relay(self.upstreams, clock, rng, self.spool, name_of(self.resource.instance, rng.getrandbits(32)))
        self.logs: Logs | None = None
        if config.logs or copy is not None:
            from ..logic.redaction import Rules  # with what follows 3 MB, which only those need that read logs
            from ..logs.reading import Logs

            self.logs = Logs(
                config.logs,
                Rules(config.redaction),
                self.relay.take_own_logs if self.upstreams else None,
                self.resource.attributes,
                config.spool.path if config.spool else None,
                clock,
                rng,
                resolver,
                log,
                watches,
                copy,
            )
        self.received = ReceiverCounters()
        most = min(config.otlp.max_connections, connections.otlp)
        self.receiver = Receiver(
            msgspec.structs.replace(config.otlp, max_connections=most),
            self.relay.take,
            self.received,
            self.resource.attributes,
        )
        self.guards = guards_of(config)
        self.listeners = (
            listeners_of(config, self.receiver, self.guards, connections.otlp, clock) if self.upstreams else {}
        )
        self.heartbeats = _heartbeats_of(config, self.resource, self.monitor, resolver, clock, rng)
        self.watch = Watch(self.relay, self.spool, self.logs, self.heartbeats, self.guards, clock, log)


def _heartbeats_of(
    config: Config, resource: Resource, monitor: Monitor, resolver: Resolver, clock: Clock, rng: random.Random
) -> Heartbeats | None:
    collector = config.collector
    if collector is None:
        return None
    token = SecretValue(collector.token) if collector.token else None
    return Heartbeats(
        HttpClient(collector.url, resolver, tls=ClientTls(collector.tls)),
        Beats(resource.instance, int(clock.now() * 1e9), collector.interval, resource.attributes),
        monitor.checks,
        lambda: {"user-agent": USER_AGENT, **({"authorization": f"Bearer {token.read()}"} if token else {})},
        clock,
        rng,
        HeartbeatCounters(),
    )
