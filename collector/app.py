"""`outrider collector`: the assembly, and its command line."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import chain
from typing import cast

import msgspec
import uvloop
from aiohttp import web
from structlog.typing import FilteringBoundLogger

from sidecar.io import log as logging
from sidecar.io.clock import Clock, SystemClock
from sidecar.io.descriptors import raise_limit
from sidecar.io.guard import Guard
from sidecar.io.listener import Listener
from sidecar.io.server_tls import Config as TlsConfig
from sidecar.logic.scalars import Address, Invalid, parse_address
from sidecar.logic.schema import Problem
from sidecar.model.counters import ReceiverCounters
from sidecar.otlp.grpc import Connection as GrpcConnection
from sidecar.otlp.http import Config as OtlpConfig
from sidecar.otlp.http import Receiver, claims

from .api import ROUTES, Api
from .events import Moment
from .http import Connection, application
from .registry import Fleet
from .store import Store, StoreError
from .switch import Switch
from .token import Token, TokenFile
from .traces import Traces

EX_CONFIG = 78
TICK = 1.0
LATE = 5.0
"""Seconds by which a tick may come late before that counts against us, and not against who was silent meanwhile."""
PRUNE_EVERY = 600.0
LISTEN = "127.0.0.1:4320"
GRPC = "127.0.0.1:4321"
DB = ":memory:"
_NEEDED = "opentelemetry.proto.collector.trace.v1.trace_service_pb2"
"""Of the extra; imported where traces are decoded, looked for before anything is opened."""


class Settings(msgspec.Struct, frozen=True):
    listen: Address
    grpc: Address
    db: str
    token_file: str = ""
    """Empty: heartbeats need none."""
    tls: TlsConfig | None = None
    """Of both ports."""


class Running(msgspec.Struct, frozen=True):
    """A collector that serves. Ports are the real ones where 0 was asked for; `grpc_port` is 0 while that one is taken."""

    port: int
    grpc_port: int
    fleet: Fleet
    traces: Traces


@asynccontextmanager
async def build(settings: Settings, clock: Clock, log: FilteringBoundLogger) -> AsyncIterator[Running]:
    """Sidecars -> fleet -> store, with the API over it; OTLP -> receiver -> traces; both behind one port, and OTLP/gRPC
    on another to the same receiver.

    Raises `StoreError` where the file can't be used and `OSError` where the first port can't; one for gRPC that is taken is
    told and tried again. Stops in reverse: no new
    connections, then those that are open, then what happened goes to the store.
    """

    def now() -> Moment:
        return Moment(clock.now(), clock.monotonic())

    store = await asyncio.to_thread(Store, settings.db)
    try:
        # In milliseconds of its start the revision is greater than in any life before.
        fleet = Fleet(now(), revision=int(clock.now() * 1000), known=await store.standings())
        traces = Traces()
        token = Token(TokenFile(settings.token_file), log) if settings.token_file else None
        api = Api(fleet, store, traces, now, log, token)
        receiver = Receiver(OtlpConfig(), traces.take, ReceiverCounters())
        runner = web.AppRunner(application(api, ROUTES, log), access_log=None, shutdown_timeout=2.0)
        await runner.setup()
        server = cast("web.Server", runner.server)
        guards = {"http": Guard(settings.tls, None, "http/1.1"), "grpc": Guard(settings.tls, None, "h2")}
        listener = Listener(
            settings.listen,
            lambda: Switch(receiver.protocol, lambda: Connection(server), claims),
            clock,
            guards["http"].tls,
        )
        await listener.start()
        if not listener.up:
            why = listener.why
            await listener.stop()
            await runner.cleanup()
            raise OSError(why)
        rpc = Listener(settings.grpc, lambda: GrpcConnection(receiver), clock, guards["grpc"].tls)
        await rpc.start()
        if not rpc.up:
            log.warning("otlp grpc not open yet", why=rpc.why)
        async with asyncio.TaskGroup() as tasks:
            ticking = tasks.create_task(_tick(api, store, guards, clock, log), name="tick")
            pruning = tasks.create_task(_prune(store, clock, log), name="prune")
            try:
                yield Running(listener.ports[0], rpc.ports[0] if rpc.up else 0, fleet, traces)
            finally:
                ticking.cancel()
                pruning.cancel()
                await listener.stop()
                await rpc.stop()
                await runner.cleanup()
                await receiver.drain(1.0)
                await receiver.close()
                fleet.settle(now())
                api.record()
    finally:
        await store.close()


async def _tick(api: Api, store: Store, guards: Mapping[str, Guard], clock: Clock, log: FilteringBoundLogger) -> None:
    dropped = 0
    due = clock.monotonic()
    while True:
        late = clock.monotonic() - due
        if late > LATE:
            log.warning("the collector stood still", seconds=round(late, 1), remedy="give it more CPU")
            api.fleet.deaf(late)
        for name, guard in guards.items():
            for news in guard.news():
                (log.info if news.is_good else log.warning)(news.event, listener=name, why=news.why)
        api.fleet.tick(api.now())
        api.record()
        if store.dropped > dropped:
            log.error("events were not written", events=store.dropped - dropped, why=store.last_error)
            dropped = store.dropped
        due = clock.monotonic() + TICK
        await clock.sleep(TICK)


async def _prune(store: Store, clock: Clock, log: FilteringBoundLogger) -> None:
    """Apart from the tick, because a disk may keep it waiting."""
    while True:
        try:
            await store.prune(clock.now())
        except StoreError as error:
            log.error("the history was not pruned", why=str(error))
        await clock.sleep(PRUNE_EVERY)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="outrider collector",
        description="The health of a fleet: takes heartbeats and OTLP from sidecars, answers for all of them.",
    )
    made.add_argument("--listen", metavar="HOST:PORT", help=f"default {LISTEN}; environment OUTRIDER_COLLECTOR_LISTEN")
    made.add_argument(
        "--grpc", metavar="HOST:PORT", help=f"of OTLP/gRPC; default {GRPC}; environment OUTRIDER_COLLECTOR_GRPC"
    )
    made.add_argument(
        "--db", metavar="FILE", help=f"where events are kept; default {DB}; environment OUTRIDER_COLLECTOR_DB"
    )
    made.add_argument(
        "--token-file",
        metavar="FILE",
        help="heartbeats must bring the token in this file, as `Authorization: Bearer TOKEN`; it is read again when it "
        "changes; default none needed; environment OUTRIDER_COLLECTOR_TOKEN_FILE",
    )
    made.add_argument(
        "--cert",
        metavar="FILE",
        help="TLS on both ports by this certificate (PEM); environment OUTRIDER_COLLECTOR_CERT",
    )
    made.add_argument("--key", metavar="FILE", help="its key; environment OUTRIDER_COLLECTOR_KEY")
    made.add_argument(
        "--client-ca",
        metavar="FILE",
        help="only clients with a certificate of these authorities are served; environment OUTRIDER_COLLECTOR_CLIENT_CA",
    )
    return made


def settings_from(argv: Sequence[str], environ: Mapping[str, str]) -> Settings | Problem:
    """Flags before environment before defaults."""
    flags = vars(parser().parse_args(argv))

    def setting(name: str, default: str) -> tuple[str, str]:
        variable = f"OUTRIDER_COLLECTOR_{name.upper()}"
        if flags[name] is not None:
            return flags[name], f"flag --{name.replace('_', '-')}"
        found = environ.get(variable, "")
        # Kubernetes sets OUTRIDER_COLLECTOR_… for a Service named outrider-collector.
        if found and not found.startswith(("tcp://", "udp://")):
            return found, f"environment {variable}"
        return default, "default"

    places = {"listen": setting("listen", LISTEN), "grpc": setting("grpc", GRPC)}
    db, db_place = setting("db", DB)
    token_file, token_place = setting("token_file", "")
    if not db:
        return Problem(db_place, "", '"" is not a file', "a path, or :memory:")
    if not token_file and token_place != "default":
        return Problem(token_place, "", '"" is not a file', "the path of a file with a token")
    addresses = {}
    for name, (text, place) in places.items():
        try:
            addresses[name] = parse_address(text)
        except Invalid as error:
            return Problem(place, "", error.problem, f"host:port such as {LISTEN}", error.meant)
    if addresses["grpc"].overlaps(addresses["listen"]):
        place = places["grpc"][1]
        return Problem(place, "", f"{addresses['grpc']} is --listen too", "another host or port")
    tls = _tls(*(setting(name, "") for name in ("cert", "key", "client_ca")))
    return tls if isinstance(tls, Problem) else Settings(addresses["listen"], addresses["grpc"], db, token_file, tls)


def _tls(cert: tuple[str, str], key: tuple[str, str], client_ca: tuple[str, str]) -> TlsConfig | Problem | None:
    """Of values and their places."""
    given = [place for value, place in (cert, key, client_ca) if value]
    if not given:
        return None
    if not cert[0] or not key[0]:
        return Problem(given[0], "", "not enough for TLS", "a certificate and its key (--cert, --key)")
    return TlsConfig(cert=cert[0], key=key[0], client_ca=client_ca[0] or None)


def main(argv: Sequence[str] | None = None) -> int:
    """Serves until SIGTERM or SIGINT. Exit 78 for a setting or a file that can't be used, 1 for a port that can't."""
    settings = settings_from(sys.argv[1:] if argv is None else argv, os.environ)
    if isinstance(settings, Problem):
        sys.stderr.write(f"outrider collector: {settings}\n")
        return EX_CONFIG
    try:
        importlib.import_module(_NEEDED)
    except ModuleNotFoundError:
        sys.stderr.write(
            "outrider collector: opentelemetry-proto is not installed; pip install 'outrider[collector]'\n"
        )
        return 1
    if settings.token_file:
        try:
            TokenFile(settings.token_file).read()
        except OSError as error:
            sys.stderr.write(f"outrider collector: --token-file: {error}\n")
            return EX_CONFIG
    if settings.tls is not None and (unusable := list(chain.from_iterable(settings.tls.unusable()))):
        for name, why in unusable:
            sys.stderr.write(f"outrider collector: --{name.replace('_', '-')}: {why}\n")
        return EX_CONFIG
    try:
        uvloop.run(_serve(settings))
    except StoreError as error:
        sys.stderr.write(f"outrider collector: --db: {error}\n")
        return EX_CONFIG
    except OSError as error:
        sys.stderr.write(f"outrider collector: {error}\n")
        return 1
    return 0


async def _serve(settings: Settings) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    log = logging.configure("info")
    descriptors = raise_limit()  # every sidecar keeps a connection
    async with build(settings, SystemClock(), log) as running:
        url = f"{'https' if settings.tls else 'http'}://{Address(settings.listen.host or '127.0.0.1', running.port)}"
        rpc = str(Address(settings.grpc.host or "127.0.0.1", running.grpc_port)) if running.grpc_port else "none yet"
        log.info("collector listens", url=url, otlp_grpc=rpc, db=settings.db, descriptors=descriptors)
        await stopping.wait()
        log.info("collector stops")
