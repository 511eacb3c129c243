"""`outrider demo`: two services, their sidecars, a collector and some traffic on this machine, until Ctrl-C.

No Docker, no root; everything listens on the loopback interface. A child that dies is reported and not restarted:
killing one is what the demo is for.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import aiohttp

from sidecar.model.health import State

from . import commands, files, table
from .fleet import Fleet, last_rates
from .introduction import introduction
from .plan import HOST, FreePorts, Plan, plan
from .processes import Child, Children
from .screen import Screen

NEEDED = (
    "opentelemetry.proto",
    "opentelemetry.sdk",
    "opentelemetry.exporter.otlp.proto.grpc",
    "opentelemetry.exporter.otlp.proto.http",
    "opentelemetry.instrumentation.aiohttp_client",
    "opentelemetry.instrumentation.aiohttp_server",
)
START_WITHIN = 120.0
"""Seconds, on a machine that does much else meanwhile: a child that cannot start ends, and that is told at once."""
REFRESH = 1.0


class StartError(Exception):
    """The demo cannot start; the text says why."""


def main(argv: Sequence[str]) -> int:
    """Returns 0 after Ctrl-C, SIGTERM or `--duration`; 1 when the demo could not start."""
    options = parser().parse_args(argv)
    for module in NEEDED:
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            print(f"outrider demo: {error}; install the extra: pip install 'outrider[demo]'", file=sys.stderr)
            return 1
    return asyncio.run(run(options, Screen(sys.stdout, os.environ)))


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="outrider demo",
        description="Run fastjson-api (two replicas) and cache-server with a sidecar next to each, a collector "
        "and modest traffic, here, until Ctrl-C.",
    )
    made.add_argument(
        "--dir",
        type=Path,
        metavar="DIR",
        help="keep logs, sidecar configuration and the Prometheus scrape config here "
        "(default: a temporary directory, removed at the end)",
    )
    made.add_argument(
        "--duration", type=float, metavar="SECONDS", help="stop by itself so long after the start is complete"
    )
    made.add_argument("--rate", type=float, default=15.0, help="requests per second (default: 15)")
    made.add_argument("--free-ports", action="store_true", help="any free ports, not the documented ones")
    return made


async def run(options: argparse.Namespace, screen: Screen) -> int:
    """Owns the directory and every child; both are gone when it returns (a directory of the user's stays, and the logs of
    a start that failed)."""
    work: asyncio.Task[None]

    def stop() -> None:
        """The loop calls it, and runs only once there is work. Pressed again, it cancels what is cancelled: the stop below
        has its own deadlines."""
        work.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):  # before there is anything that could be left behind
        asyncio.get_running_loop().add_signal_handler(number, stop)
    directory = (options.dir or Path(tempfile.mkdtemp(prefix="outrider-demo-"))).absolute()
    children = Children(directory / "logs", commands.clean(os.environ))
    work = asyncio.create_task(show(options, directory, children, screen))
    try:
        await asyncio.wait([work])
    finally:
        await children.stop()
    failure = None if work.cancelled() else work.exception()
    if isinstance(failure, StartError):
        screen.say(f"outrider demo: {failure}\nlogs: {children.directory}")
        return 1
    if failure is not None:
        raise failure
    if options.dir is None:
        shutil.rmtree(directory)
    screen.say("stopped")
    return 0


async def show(options: argparse.Namespace, directory: Path, children: Children, screen: Screen) -> None:
    the_plan = plan(FreePorts(any_port=options.free_ports))
    files.write(the_plan, directory)
    screen.say("starting two services, three sidecars and a collector...")
    await start(the_plan, directory, children, options.rate)
    for line in introduction(the_plan, directory, {child.name: child.pid for child in children.all}):
        screen.say(line)
    try:
        async with asyncio.timeout(options.duration):
            await watch(the_plan, children, screen)
    except TimeoutError:
        pass  # the duration is over
    finally:
        screen.leave()
        screen.say("stopping...")


async def start(plan: Plan, directory: Path, children: Children, rate: float) -> None:
    """Services first, so that a sidecar's first look finds them; traffic last."""
    await children.start("collector", "collector", commands.collector(plan, directory / "collector.db"))
    for instance in plan.instances:
        command = commands.service(plan, instance, directory / "shop.db")
        child = await children.start(instance.name, "service", command)
        files.write_script(directory / f"start-{instance.name}.sh", command, child.log)
    await listening(children, {"collector": plan.collector_port, **{i.name: i.port for i in plan.instances}})
    for instance in plan.instances:
        command = commands.sidecar(files.sidecar_config_file(directory, instance))
        await children.start(f"{instance.name}-sidecar", "sidecar", command)
    await listening(children, {f"{i.name}-sidecar": i.api_port for i in plan.instances})
    await children.start("traffic", "traffic", commands.traffic(plan, rate))


async def listening(children: Children, ports: Mapping[str, int]) -> None:
    """Returns when every port, by its child's name, takes connections. Raises `StartError` when one will not."""
    deadline = time.monotonic() + START_WITHIN
    for name, port in ports.items():
        while not await accepts(port):
            for child in children.all:
                if not child.running:
                    raise StartError(child.report())
            if time.monotonic() > deadline:
                raise StartError(f"{name} does not listen on {HOST}:{port} after {START_WITHIN:.0f} s")
            await asyncio.sleep(0.05)


async def accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


async def watch(plan: Plan, children: Children, screen: Screen) -> None:
    """Shows the fleet until cancelled: a line per change, and the table where there is a TTY."""
    known: dict[str, State] = {}
    mourned: set[Child] = set()
    log = next(child.log for child in children.all if child.kind == "traffic")
    async with aiohttp.ClientSession() as session:
        fleet = Fleet(session, plan)
        while True:
            now = time.time()
            rows = await fleet.rows()
            for child in children.all:
                child.trim_log()
                if not child.running and child not in mourned:
                    mourned.add(child)
                    screen.say(f"{table.clock(now)}  {child.report()}")
            for row in rows:
                if row.status is not known.get(row.instance, State.UNKNOWN):
                    screen.say(table.change(row, known.get(row.instance), now))
                known[row.instance] = row.status
            lines = table.table(rows, now, width=screen.width, colour=screen.colour)
            screen.draw(["", *lines, "", table.traffic(last_rates(log))[: screen.width]])
            await asyncio.sleep(REFRESH)
