"""The sidecar, assembled: `build` reads as the architecture's diagram, `run` starts it and stops it in order.

Start: OTLP listeners first (applications begin to send at once), then probes, then the API, then what reports to
others. Stop, on SIGTERM: every listener stays open while the neighbour still runs or sends, until
`drain` has passed; what is in flight goes to the spool first, and is sent; the collector is told; then all is closed.
In Kubernetes a native sidecar
gets SIGTERM only after its application has gone.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from os.path import basename
from typing import Protocol
from urllib.parse import urlsplit

import msgspec
import structlog

from . import telemetry
from .config import Config, Export, Loaded, kind_of
from .export.heartbeat import Heartbeats
from .export.otlp_grpc import Config as OtlpGrpcConfig
from .export.otlp_grpc import OtlpGrpc
from .export.otlp_http import OtlpHttp
from .io.clock import Clock, SystemClock
from .io.descriptors import Connections, raise_limit
from .io.descriptors import connections as connections_of
from .io.guard import Guard
from .io.http_client import HttpClient
from .io.listener import Listener
from .io.log import configure
from .io.proc import Proc
from .io.resolver import Resolver
from .io.secrets import SecretValue
from .io.spool import Spool
from .io.tls import ClientTls
from .logic import status
from .logic.beats import Beats
from .logic.command_line import program, redacted
from .logic.cors import Cors
from .logic.log_watch import LogWatch
from .logic.loop import name_of
from .logic.otlp_metrics import encode
from .logic.printable import printable
from .logic.rates import Rates
from .logic.redaction import Rules
from .logic.scalars import Address, masked_url
from .logs.reading import Logs
from .logs.sources import WRAPPED
from .logs.sources.child import Copy
from .metrics.process import Config as ProcessConfig
from .metrics.process import ProcessMetrics
from .model.counters import HeartbeatCounters, ReceiverCounters
from .model.health import CheckReport, State, Transition, Verdict
from .model.process import ProcessSample
from .model.resource import Resource
from .model.signals import Batch, Metric, Signal
from .model.status import ListenerStatus, Status
from .monitor import Monitor, Watched
from .otlp.grpc import Connection as GrpcConnection
from .otlp.guarded import GuardedConnection
from .otlp.http import Receiver
from .parcel import Outlet, Upstream
from .probes import PROBES, http, tcp
from .probes.base import CheckConfig, Context
from .relay import Relay
from .relay_status import sample, spool_status, upstream_status
from .version import VERSION

USER_AGENT = f"outrider/{VERSION}"
SAMPLING = 5.0
"""Seconds between looks at the neighbour's process; less where an export or a check of kind process asks for less."""
WATCH = 1.0
QUIET = 0.5
"""While stopping: the drain ends early after so many seconds in which nothing came in and nothing is in flight."""
LAST_LOOK = 1.5
"""The same where files of logs are read: a silent one is looked at once in 0.8 s, and last words are the ones that count."""

Logger = structlog.typing.FilteringBoundLogger


class Closing(Protocol):
    """A surface that is open."""

    listener: Listener

    async def close(self) -> None: ...


class Daemon:
    """One sidecar. Everything may be asked before, during and after `run`."""

    def __init__(
        self,
        loaded: Loaded,
        clock: Clock,
        rng: random.Random,
        log: Logger,
        connections: Connections,
        command: Sequence[str] = (),
        copy: Copy | None = None,
    ) -> None:
        """`command` is what our launcher is about to start, `copy` what it writes; `beside` tells that it runs."""
        config = loaded.config
        self.connections = connections
        self.config = config
        self.warnings = tuple(loaded.warnings)
        self.log = log
        self.clock = clock
        self.started = clock.now()
        self.loop_lag = 0.0
        self._rng = rng
        self._resolver = Resolver()

        self._processes = ProcessMetrics(config.target.process, config.target.url)
        self.process = self._processes.sample(clock.now())
        self.resource = resource_of(config, _named_by(command) if command else self.process)

        watches: list[LogWatch] = []
        self.monitor = monitor_of(
            config, clock, rng, self._resolver, lambda: self.process, [self._changed], watches.append
        )
        self.upstreams = upstreams_of(config, self._resolver)
        self.spool = Spool(config.spool, clock.now) if config.spool and self.upstreams else None
        self.relay = Relay(self.upstreams, clock, rng, self.spool, name_of(self.resource.instance, rng.getrandbits(32)))
        self.logs = Logs(
            config.logs,
            Rules(config.redaction),
            self.relay.take_own_logs if self.upstreams else None,
            self.resource.attributes,
            config.spool.path if config.spool else None,
            clock,
            rng,
            self._resolver,
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
        self.guards = {
            "otlp grpc": Guard(config.otlp.grpc.tls, config.otlp.grpc.token, "h2"),
            "otlp http": Guard(config.otlp.http.tls, config.otlp.http.token, "http/1.1"),
            "api": Guard(config.api.tls, config.api.token, "http/1.1"),
        }
        self.listeners = self._listeners_of(config) if self.upstreams else {}
        self._rates = {upstream.name: Rates() for upstream in self.upstreams}
        self.heartbeats = self._heartbeats_of(config)
        self._surface: Closing | None = None
        self.announce: Callable[[], None] | None = None
        """Says what was found, instead of the log, once everything is open."""
        self._stop = asyncio.Event()
        self._patient = True

    def _listeners_of(self, config: Config) -> dict[str, Listener]:
        """Of OTLP; those that are switched off are not there."""
        cors = Cors(config.otlp.http.cors) if config.otlp.http.cors.origins else None
        grpc, http = self.guards["otlp grpc"].bearer, self.guards["otlp http"].bearer
        factories: dict[str, tuple[Address | None, Callable[[], asyncio.Protocol]]] = {
            "otlp grpc": (config.otlp.grpc.listen, lambda: GrpcConnection(self.receiver, grpc)),
            "otlp http": (
                config.otlp.http.listen,
                (lambda: GuardedConnection(self.receiver, http, cors)) if http or cors else self.receiver.protocol,
            ),
        }
        handshakes = max(1, min(256, self.connections.otlp // 16))
        return {
            name: Listener(address, factory, self.clock, self.guards[name].tls, handshakes)
            for name, (address, factory) in factories.items()
            if address is not None
        }

    def _heartbeats_of(self, config: Config) -> Heartbeats | None:
        if config.collector is None:
            return None
        token = SecretValue(config.collector.token) if config.collector.token else None
        beats = Beats(
            self.resource.instance,
            int(self.clock.now() * 1e9),
            config.collector.interval,
            self.resource.attributes,
        )
        return Heartbeats(
            HttpClient(config.collector.url, self._resolver, tls=ClientTls(config.collector.tls)),
            beats,
            self.monitor.checks,
            lambda: {"user-agent": USER_AGENT, **({"authorization": f"Bearer {token.read()}"} if token else {})},
            self.clock,
            self._rng,
            HeartbeatCounters(),
        )

    # What the surface asks

    def now(self) -> float:
        return self.clock.now()

    def verdict(self) -> Verdict:
        return self.monitor.verdict()

    def checks(self) -> Sequence[CheckReport]:
        return self.monitor.checks()

    def unready(self) -> Sequence[str]:
        """What keeps us from being ready: listeners, never an upstream and never the neighbour."""
        return [listener.why for listener in self.listeners.values() if not listener.up]

    def metrics(self) -> Sequence[Metric]:
        """Everything, the neighbour's and our own."""
        return [*self._neighbours(), *self._own()]

    def _neighbours(self) -> Sequence[Metric]:
        return list(telemetry.target(self.process, self.started))

    def _own(self) -> Sequence[Metric]:
        monitor, start = self.monitor, self.started
        views = self.relay.status()
        own = [
            *telemetry.ourselves(self.loop_lag, start),
            *telemetry.health(monitor.verdict(), monitor.checks(), monitor.runs(), monitor.transitions(), start),
            *telemetry.receiver(self.received, start),
            *telemetry.logs(self.logs.counters, start),
            *telemetry.relay(views, self.relay.in_flight, self.clock.now(), start),
        ]
        if self.spool is not None:
            spool = self.spool
            own += telemetry.spool(spool.usable, spool.disk_bytes, spool.counters, start)
        if self.heartbeats is not None:
            own.append(telemetry.heartbeats(self.heartbeats.counters, start))
        return own

    # Running

    def stop(self, *, patient: bool) -> None:
        """End `run` with a drain: `patient` waits for the neighbour to end first, as long as `drain` allows."""
        self._patient = patient
        self._stop.set()

    def beside(self, pid: int) -> None:
        """The neighbour is this process, unless the configuration says which."""
        if self.config.target.process is None:
            self._processes = ProcessMetrics(ProcessConfig(pid=pid), None)
        self.process = self._processes.sample(self.clock.now())

    async def run(self, surface: Callable[[Daemon], Awaitable[Closing]]) -> None:
        """Run until `stop`, then drain. Cancelling it closes everything at once."""
        tasks: list[asyncio.Task[None]] = []
        reading: asyncio.Task[None] | None = None
        if self.connections.few:
            limit, otlp, api = self.connections
            why = f"this process may have only {limit} file descriptors"
            self.log.warning("few connections", otlp=otlp, api=api, why=why, remedy="raise RLIMIT_NOFILE (ulimit -n)")
        try:
            await self.relay.open()
            for listener in self.listeners.values():
                await listener.start()
            tasks = [
                asyncio.create_task(work, name=name)
                for name, work in (
                    ("monitor", self.monitor.run()),
                    ("process", self._enduring("process", self._sampling)),
                    ("watch", self._enduring("watch", self._watch)),
                    ("metrics", self._enduring("metrics", self._exporting)),
                )
            ]
            if self.logs.followed:
                reading = asyncio.create_task(self.logs.run(), name="logs")
                tasks.append(reading)
            self._surface = await surface(self)
            (self.announce or self._announce)()
            beating = None
            if self.heartbeats is not None:
                beating = asyncio.create_task(self.heartbeats.run(), name="heartbeats")
                tasks.append(beating)
            await self._until_stopped(tasks)
            await self._drain(reading)
            if beating is not None and self.heartbeats is not None:
                await _cancel([beating])
                await self.heartbeats.leave()
        finally:
            await _cancel(tasks)
            await self.logs.close()
            for listener in self.listeners.values():
                await listener.stop()
            await self.receiver.drain(QUIET)
            await self.receiver.close()
            await self.relay.close()
            if self._surface is not None:
                await self._surface.close()
            self.log.info("stopped")

    async def _until_stopped(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        """Wait for `stop`. None of our tasks ends by itself: one that does has broken, and that is said loudly."""
        stopping = asyncio.create_task(self._stop.wait())
        try:
            done, _ = await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopping}:
                task.result()
                raise RuntimeError(f"the task {task.get_name()!r} ended by itself")
        finally:
            stopping.cancel()

    async def _enduring(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """`work`, again and again: what the system refuses us (descriptors, memory) ends no task. Said once a reason."""
        said = set()
        while True:
            try:
                await work()
            except OSError as error:
                if error.errno not in said:
                    self.log.warning("refused by the system", task=name, why=str(error))
                said.add(error.errno)
                await self.clock.sleep(WATCH)

    async def _drain(self, reading: asyncio.Task[None] | None) -> None:
        """Let the neighbour finish, send what is in flight. Without an upstream nothing waits."""
        if not self.upstreams:
            await self._end_reading(reading, QUIET)
            return
        deadline = self.clock.monotonic() + self.config.drain
        self.log.info("draining", for_s=self.config.drain, in_flight_bytes=self.relay.in_flight)
        self.relay.spill()
        self._submit(self.metrics())
        seen, since = -1, self.clock.monotonic()
        quiet = LAST_LOOK if any(one.kind in WRAPPED for one in self.logs.followed) else QUIET
        while (now := self.clock.monotonic()) < deadline:
            taken = sum(self.received.requests.values()) + sum(c.lines for c in self.logs.counters.values())
            if taken != seen or self.relay.busy:
                seen, since = taken, now
            elif now - since >= quiet and not self._neighbour_runs():
                break
            await self.clock.sleep(min(0.1, deadline - now))
        await self._end_reading(reading, max(QUIET, deadline - self.clock.monotonic()))
        await self.relay.drain(max(0.0, deadline - self.clock.monotonic()))

    async def _end_reading(self, reading: asyncio.Task[None] | None, timeout: float) -> None:
        if reading is not None:
            await _cancel([reading])
            await self.logs.finish(timeout)

    def _neighbour_runs(self) -> bool:
        return self._patient and self._processes.sample(self.clock.now()).found

    async def _sampling(self) -> None:
        """Look at the neighbour's process; the search of a large /proc is slow, so it leaves the loop."""
        kinds = [check.period for check in self.config.probes.values() if kind_of(check) == "process"]
        pause = min([SAMPLING, self.config.metrics.interval, *kinds])
        while True:
            processes, now = self._processes, self.clock.now()
            seen = await asyncio.to_thread(processes.sample, now)
            if processes is self._processes:  # else `beside` has told of another, and looked itself
                before, self.process = self.process, seen
                self._note(before, seen)
            await self.clock.sleep(pause)

    def _note(self, before: ProcessSample, after: ProcessSample) -> None:
        """Say once what changed about the process."""
        if after.restarts > before.restarts:
            self.log.warning("the service has started anew", pid=after.pid, restarts=after.restarts)
            self.monitor.service_restarted()
        if after.found != before.found:
            log = self.log.info if after.found else self.log.warning
            log("process found" if after.found else "process gone", pid=after.pid or before.pid, why=after.why)
        for missing in set(after.missing) - set(before.missing):
            self.log.warning("cannot be measured", field=missing.field, reason=missing.reason, remedy=missing.remedy)

    async def _watch(self) -> None:
        """Once a second: how late our loop is, how fast upstreams take, and what changed about those that we report to; each
        change is said once."""
        failing: dict[str, str] = {}
        while True:
            before = self.clock.monotonic()
            await self.clock.sleep(WATCH)
            self.loop_lag = max(0.0, self.clock.monotonic() - before - WATCH)
            views = self.relay.status()
            for view in views:
                self._rates[view.name] = self._rates[view.name].step(sample(view.counters), self.clock.monotonic())
            now = {f"upstream {v.name}": v.why or v.state.value for v in views if v.state != "ok"}
            now |= {f"upstream {v.name}, {signal}": why for v in views for signal, why in v.held_signals.items()}
            if self.heartbeats is not None and self.heartbeats.counters.failing:
                now["collector"] = self.heartbeats.counters.last_error
            if self.spool is not None and self.spool.why:
                now["spool"] = self.spool.why
            if self.logs.delivery.why:
                now["logs"] = f"reading pauses, files are the buffer: {self.logs.delivery.why}"
            for name in now.keys() - failing.keys():
                self.log.warning("cannot deliver", to=name, why=now[name])
            for name in failing.keys() - now.keys():
                self.log.info("delivers again", to=name)
            failing = now
            for name, guard in self.guards.items():
                for news in guard.news():
                    log = self.log.info if news.is_good else self.log.warning
                    log(news.event, listener=name, why=news.why)

    async def _exporting(self) -> None:
        while True:
            await self.clock.sleep(self.config.metrics.interval)
            self._submit(self.metrics())

    def _submit(self, metrics: Sequence[Metric]) -> None:
        if not self.upstreams:
            return
        body, points = encode(self.resource.attributes, [("outrider", VERSION, metrics)], self.clock.now())
        self.relay.submit(Batch(Signal.METRICS, body, points))

    def _changed(self, transition: Transition) -> None:
        log = self.log.info if transition.after is State.PASS else self.log.warning
        log(
            "check changed",
            check=transition.check,
            before=transition.before.value,
            after=transition.after.value,
            output=transition.output,
        )
        if self.heartbeats is not None:
            self.heartbeats.changed()

    def _announce(self) -> None:
        """What we found, and what we did not find and why: once, within the first second."""
        config = self.config
        for warning in self.warnings:
            self.log.warning("configuration", warning=warning)
        self.log.info(
            "outrider runs",
            version=VERSION,
            service=self.resource.service,
            instance=self.resource.instance,
            target=masked_url(config.target.url or "none"),
            checks=len(config.probes),
            api=_address(self._surface.listener) if self._surface else "none",
        )
        if not config.probes:
            self.log.warning("no checks", remedy="give --target URL, or probes in a file")
        process = self.process
        if process.found:
            self.log.info("process found", pid=process.pid, name=process.name, processes=process.pids, why=process.why)
        else:
            self.log.info("process not found", why=process.why)
        for missing in process.missing:
            self.log.warning("cannot be measured", field=missing.field, reason=missing.reason, remedy=missing.remedy)
        for followed in self.logs.followed:
            self.log.info("logs are read", source=followed.name, kind=followed.kind)
        if self.logs.followed and not self.upstreams:
            self.log.warning(
                "logs go nowhere", why="no upstream", remedy="give --collector URL or OTEL_EXPORTER_OTLP_ENDPOINT"
            )
        if not self.logs.followed:
            self.log.info("no logs are read", remedy=self._logs_remedy())
        if self.logs.checkpoints is None and any(followed.kind != "child" for followed in self.logs.followed):
            self.log.warning(
                "where reading of logs stands is not kept: a restart reads them again", remedy="give spool.path"
            )
        if self.upstreams and not self.listeners:
            self.log.info("otlp closed", why="otlp.grpc and otlp.http are off")
        if not self.upstreams:
            self.log.info(
                "otlp closed", why="no upstream", remedy="give --collector URL or OTEL_EXPORTER_OTLP_ENDPOINT"
            )
        for name, listener in self.listeners.items():
            if listener.up:
                names = ", ".join(upstream.name for upstream in self.upstreams)
                self.log.info(
                    "otlp open", protocol=name.removeprefix("otlp "), address=_address(listener), upstreams=names
                )
            else:
                self.log.warning("otlp not open yet", protocol=name.removeprefix("otlp "), why=listener.why)

    def _logs_remedy(self) -> str:
        try:
            path = Proc().output_file(self.process.pid) if self.process.found else ""
        except OSError:
            path = ""
        return f"give --logs {path}" if path else "give --logs FILES, or start the service as: outrider run -- COMMAND"

    # Status

    def status(self) -> Status:
        now = self.clock.now()
        listeners = list(self.listeners.items())
        if self._surface is not None:
            listeners.append(("api", self._surface.listener))
        return Status(
            version=VERSION,
            as_of=status.time_of(now),
            uptime_s=round(now - self.started, 3),
            resource=self.resource.attributes,
            health=status.health(self.monitor.verdict()),
            checks=tuple(status.check(check, now) for check in self.monitor.checks()),
            process=status.process(self.process),
            listeners=tuple(
                ListenerStatus(
                    name=name,
                    address=_address(listener),
                    up=listener.up,
                    why=listener.why,
                    warning=self.guards[name].warning,
                    refused_handshakes=self.guards[name].refused,
                )
                for name, listener in listeners
            ),
            otlp=status.receiver(self.received),
            relay=tuple(upstream_status(view, self._rates[view.name], now) for view in self.relay.status()),
            spool=spool_status(self.spool, [upstream.name for upstream in self.upstreams]) if self.spool else None,
            logs=self.logs.status(),
            collector=status.heartbeats(masked_url(self.config.collector.url), self.heartbeats.counters, now)
            if self.heartbeats is not None and self.config.collector is not None
            else None,
            loop_lag_s=round(self.loop_lag, 6),
            warnings=self.warnings,
        )


def build(
    loaded: Loaded,
    log: Logger | None = None,
    clock: Clock | None = None,
    rng: random.Random | None = None,
    command: Sequence[str] = (),
    copy: Copy | None = None,
) -> Daemon:
    """The sidecar of a configuration, not yet started. Must be called inside the event loop."""
    log = log or configure(loaded.config.log.level.value)
    connections = connections_of(raise_limit())
    return Daemon(loaded, clock or SystemClock(), rng or random.Random(), log, connections, command, copy)


def resource_of(config: Config, process: ProcessSample) -> Resource:
    """Who the telemetry is about: as configured, else by the process, else by the target's address.

    https://opentelemetry.io/docs/specs/semconv/resource/service/
    """
    service, url = config.service, urlsplit(config.target.url or "")
    local = url.hostname in ("localhost", "127.0.0.1", "::1")
    found = program(process.name, process.cmdline) if process.found else "" if local else url.hostname
    name = service.name or found or "unknown_service"
    attributes = {
        **service.attributes,
        "service.name": name,
        "service.namespace": service.namespace,
        "service.version": service.version,
        "service.instance.id": service.instance,
        "deployment.environment.name": service.environment,
    }
    return Resource({printable(key): printable(value) for key, value in attributes.items() if value})


def _named_by(command: Sequence[str]) -> ProcessSample:
    """A process that is not there yet, as far as its name goes."""
    return ProcessSample(found=True, why="", name=basename(command[0]), cmdline=redacted(command))


def monitor_of(
    config: Config,
    clock: Clock,
    rng: random.Random,
    resolver: Resolver,
    process: Callable[[], ProcessSample],
    listeners: Sequence[Callable[[Transition], None]],
    watch: Callable[[LogWatch], None],
) -> Monitor:
    """Every configured check with its probe; those on logs are given to `watch`."""
    context = Context(USER_AGENT, resolver, config.target.url, process, rng, clock.now, watch)
    watched = {
        name: Watched(kind_of(check), check, PROBES[kind_of(check)].probe(check, context), _looks_at_target(check))
        for name, check in config.probes.items()
    }
    return Monitor(watched, clock, rng, listeners, lambda: process().trouble)


def _looks_at_target(check: CheckConfig) -> bool:
    match check:
        case http.Config(url=url):
            return url is None or "://" not in url
        case tcp.Config(address=address):
            return address is None
        case _:
            return False


def upstreams_of(config: Config, resolver: Resolver) -> list[Upstream]:
    """One for each configured export; names are for people, so they are the endpoint's host and port, numbered where two are the
    same: rows in the spool go by them."""
    made: list[Upstream] = []
    for export in config.export:
        parts = urlsplit(next(iter(export.sink.urls()))[1])
        address = parts.netloc.rpartition("@")[2]
        same = sum(upstream.name.partition("#")[0] == address for upstream in made)
        name = f"{address}#{same + 1}" if same else address
        endpoint = masked_url(parts._replace(netloc=address).geturl())
        protocol = "grpc" if export.otlp_grpc else "http/protobuf"
        made.append(Upstream(name, _sink(export, resolver), export.required, endpoint, protocol))
    return made


def _sink(export: Export, resolver: Resolver) -> Outlet:
    config = export.sink
    return OtlpGrpc(config, resolver) if isinstance(config, OtlpGrpcConfig) else OtlpHttp(config, resolver)


async def _cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _address(listener: Listener) -> str:
    """Where it listens, with the port that the system chose where it was asked to."""
    port = listener.ports[0] if listener.ports else listener.address.port
    return str(Address(listener.address.host, port))
