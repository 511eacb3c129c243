"""The command `outrider`.

Nothing heavy is imported at the top: `outrider healthcheck` runs every few seconds in every container.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    import socket
    from collections.abc import Callable, Sequence

    from .api import Surface
    from .config import BadConfig, Loaded
    from .io.launcher import Launcher
    from .model.health import Verdict

EXIT_CONFIG = 78
"""EX_CONFIG of sysexits.h: the configuration is bad."""

EXIT_USAGE = 64
"""EX_USAGE of sysexits.h: the command line is wrong. argparse's own 2 would be a verdict of `check`."""

EXIT_BY_STATE = {"pass": 0, "warn": 1, "fail": 2, "unknown": 3}
"""Exit codes of `outrider check`, as Nagios and Datadog number them."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    args = list(sys.argv[1:] if argv is None else argv)
    try:
        return _command(args)
    except KeyboardInterrupt:  # before the handlers of signals are there
        return 130
    except SystemExit as done:
        return EXIT_USAGE if done.code == 2 else int(done.code or 0)


def _command(args: list[str]) -> int:
    match args[:1]:
        case []:
            parser().print_help(sys.stderr)
            return EXIT_USAGE
        case ["run"] if "--" in args:
            from .launcher.command import main as launch

            end = args.index("--")
            return launch(args[1:end], args[end + 1 :])
        case ["healthcheck"]:
            return healthcheck(args[1:], os.environ)
        case ["collector"]:
            return _extra("collector", "collector.app", args[1:])
        case ["demo"]:
            return _extra("demo", "demo.run", args[1:])
    options = parser().parse_args(args)
    code: int = options.run(options)
    return code


def parser() -> argparse.ArgumentParser:
    import argparse

    from .version import VERSION

    top = argparse.ArgumentParser(
        prog="outrider",
        description="An observability sidecar: is the service beside it well, since when and why?",
    )
    top.add_argument("--version", action="version", version=f"outrider {VERSION}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, run: object, text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        made.set_defaults(run=run)
        return made

    def configured(made: argparse.ArgumentParser) -> argparse.ArgumentParser:
        made.add_argument("--config", metavar="FILE", help="YAML file (or OUTRIDER_CONFIG)")
        made.add_argument("--target", metavar="URL", help="the service: http://…, https://… or tcp://host:port")
        made.add_argument(
            "--logs",
            metavar="FILES",
            help="log files to follow, such as '/var/log/app/*.log', commas between; - reads standard input",
        )
        made.add_argument("--collector", metavar="URL", help="the collector that takes heartbeats and telemetry")
        return made

    run = configured(command("run", _run, "run the sidecar until SIGTERM, or a command with one beside it"))
    run.usage = "outrider run [OPTION ...] [-- COMMAND [ARGUMENT ...]]"
    run.epilog = "With a command its output is passed on and read as logs, and its exit code is kept."
    run.add_argument("--launched", help=argparse.SUPPRESS)
    run.add_argument(
        "--on-bad-config",
        choices=["exit", "idle"],
        default="exit",
        help="exit: code 78; idle: stay alive without telemetry and show why",
    )
    configured(command("check", _check, "look once: exit 0 pass, 1 warn, 2 fail, 3 unknown"))
    configured(command("config", _config, "show the configuration in force and where each value comes from"))
    configured(command("validate", _validate, "check the configuration; exit 78 when it is bad"))
    about = "look into the queue on disk: ls, verify, export, purge"
    _spool(
        commands.add_parser("spool", help=about, description="Look into the queue on disk, which waits for upstreams.")
    )
    for name, text in (
        ("healthcheck", "ask a running sidecar whether it lives, for a HEALTHCHECK"),
        ("collector", "run the fleet's health aggregation API"),
        ("demo", "run two services, sidecars and a collector here, until Ctrl-C"),
    ):
        commands.add_parser(name, help=text, add_help=False)
    return top


def _spool(made: argparse.ArgumentParser) -> None:
    from .spool_command import arguments

    arguments(made)


def _flags(options: argparse.Namespace) -> dict[str, str]:
    given = {"target.url": options.target, "logs": options.logs, "collector.url": options.collector}
    return {path: value for path, value in given.items() if value is not None}


def _load(options: argparse.Namespace) -> Loaded:
    from .config import load

    return load(_flags(options), os.environ, options.config)


def _bad(error: BadConfig) -> int:
    count = len(error.problems)
    print(error, file=sys.stderr)
    print(f"outrider: {count} problem{'s' * (count != 1)} in the configuration", file=sys.stderr)
    return EXIT_CONFIG


def _run(options: argparse.Namespace) -> int:
    from .config import BadConfig, load

    _fill_standard_files()
    launcher, flags = None, _flags(options)
    if options.launched is not None:
        from .io.launcher import Launcher, LauncherGoneError

        try:
            launcher = Launcher(options.launched)
        except LauncherGoneError:
            return 0
        flags |= launcher.hello.again
    import uvloop

    try:
        loaded = load(flags, os.environ, options.config)
    except BadConfig as error:
        if options.on_bad_config == "exit":
            return _bad(error)
        return uvloop.run(_idle(error, launcher))
    return uvloop.run(_serve(loaded, launcher))


def _fill_standard_files() -> None:
    """Of 0, 1 and 2 whichever is closed: the next file would get its number, and libuv ends a process that closes such a one."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115 - as long as we run


async def _serve(loaded: Loaded, launcher: Launcher | None) -> int:
    """The sidecar until SIGTERM or Ctrl-C; a second signal ends it without draining. With a launcher, until that has gone."""
    import asyncio
    import signal

    from .daemon.daemon import Daemon, build
    from .logs.sources.child import Copy

    async def surface(daemon: Daemon) -> Surface:
        from .api import application, open_surface
        from .io.http_server import Limits

        limits = Limits(connections=daemon.parts.connections.api)
        guard = daemon.parts.guards["api"]
        routes = application(daemon, guard.bearer)
        made = await open_surface(routes, loaded.config.api.listen, daemon.clock, limits, guard.tls)
        if launcher is not None:
            from .io.proc import Proc
            from .launched import hint, introduce, until_gone

            await introduce(daemon, made, launcher, os.environ, loaded.places)
            beside.append(asyncio.create_task(until_gone(daemon, launcher, serving)))
            beside.append(asyncio.create_task(hint(daemon, Proc())))
        return made

    beside: list[asyncio.Task[None]] = []
    serving = asyncio.current_task()
    copy = Copy(launcher.copy, launcher.hello.run) if launcher else None
    daemon = build(loaded, command=launcher.arguments if launcher else (), copy=copy)
    if launcher is None:
        # Somebody at a keyboard does not wait for the service to end.
        _on_signals(lambda number: daemon.stop(patient=number == signal.SIGTERM))
    try:
        await daemon.run(surface)
    except asyncio.CancelledError:
        return 1
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
    return 0


async def _idle(error: BadConfig, launcher: Launcher | None) -> int:
    """Live without telemetry: a sidecar that exits would hold its application in Init."""
    import asyncio

    from .api import idle_application, open_surface
    from .config import Api
    from .io.clock import SystemClock
    from .io.log import configure
    from .logic.launch import Ready
    from .logic.scalars import Invalid, parse_address

    problems = [str(problem) for problem in error.problems]
    log = configure("info")
    for problem in problems:
        log.error("bad configuration", problem=problem)
    try:
        address = parse_address(_listen(os.environ.get("OUTRIDER_API_LISTEN", "")))
    except Invalid:
        address = Api().listen
    surface = await open_surface(idle_application(problems), address, SystemClock())
    if not surface.listener.up:
        log.warning("api not open yet", why=surface.listener.why)
    if launcher is not None:
        await launcher.started(Ready(0.0, {}, {}))
        await launcher.gone()
    else:
        stopped = asyncio.Event()
        _on_signals(lambda _: stopped.set())
        await stopped.wait()
    await surface.close()
    return 0


def _on_signals(stop: Callable[[int], None]) -> None:
    """Call `stop` on the first SIGTERM or SIGINT; the second cancels the task that runs now."""
    import asyncio
    import signal

    loop, running = asyncio.get_running_loop(), asyncio.current_task()
    stopping = False

    def arrived(number: int) -> None:
        nonlocal stopping
        if stopping and running is not None:
            running.cancel()
        stopping = True
        stop(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, arrived, number)


def _check(options: argparse.Namespace) -> int:
    import uvloop

    from .config import BadConfig

    try:
        loaded = _load(options)
    except BadConfig as error:
        return _bad(error)
    verdict, text = uvloop.run(_look_once(loaded))
    print(text, end="")
    return EXIT_BY_STATE[verdict.status]


async def _look_once(loaded: Loaded) -> tuple[Verdict, str]:
    """One look at everything, without schedule and thresholds, as a table for a person."""
    import random

    from .daemon.checks import monitor_of
    from .io.clock import SystemClock
    from .io.resolver import Resolver
    from .logic.once import once_text
    from .metrics.process import ProcessMetrics
    from .monitor import verdict_of
    from .probes import log

    config, clock = loaded.config, SystemClock()
    process = ProcessMetrics(config.target.process, config.target.url).sample(clock.now())
    monitor = monitor_of(config, clock, random.Random(), Resolver(), lambda: process, lambda watch: None)
    results, reports = await monitor.once(), monitor.checks()
    checks, _ = verdict_of(results, reports, clock.now())
    # Logs are read by a sidecar that runs: one look knows nothing of them, which is nobody's fault.
    _, verdict = verdict_of(results, [report for report in reports if report.kind != log.KIND], clock.now())
    return verdict, once_text(checks, verdict, process)


def _config(options: argparse.Namespace) -> int:
    from .config import BadConfig, show

    try:
        loaded = _load(options)
    except BadConfig as error:
        return _bad(error)
    rows = show(loaded)
    left = max(len(path) + len(value) for path, value, _ in rows) + 2
    for path, value, place in rows:
        print(f"{path}: {value}".ljust(min(left, 72)) + f"  # {place}")
    for warning in loaded.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return 0


def _validate(options: argparse.Namespace) -> int:
    from .config import BadConfig

    try:
        loaded = _load(options)
    except BadConfig as error:
        return _bad(error)
    for warning in loaded.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    config = loaded.config
    counts = {"check": len(config.probes), "upstream": len(config.export), "log source": len(config.logs)}
    print("ok:", ", ".join(f"{count} {what}{'s' * (count != 1)}" for what, count in counts.items()))
    return 0


HEALTHCHECK_USAGE = """usage: outrider healthcheck [URL]

Ask a running sidecar (or collector) whether it lives; exit 0 when it answers
2xx, else 1. URL is http://host:port/path, or https; by default /livez at
OUTRIDER_API_LISTEN, or at 127.0.0.1:4319, by TLS where OUTRIDER_API_TLS_CERT is
set. The certificate is not verified: nothing but "are you there?" is said.
"""


def healthcheck(args: Sequence[str], environ: os._Environ[str] | dict[str, str]) -> int:
    """One GET by socket: no HTTP library, so that a container's HEALTHCHECK costs next to nothing."""
    if args[:1] in (["-h"], ["--help"]):
        print(HEALTHCHECK_USAGE, end="")
        return 0
    host, port = _listen(environ.get("OUTRIDER_API_LISTEN", "")), "4319"
    if host:
        host, _, port = host.rpartition(":")
    scheme, path = "https" if environ.get("OUTRIDER_API_TLS_CERT") else "http", "/livez"
    if args:
        scheme, _, rest = args[0].rpartition("://")
        address, slash, tail = rest.partition("/")
        host, _, port = address.rpartition(":")
        path = slash + tail or "/livez"
        if scheme not in ("", "http", "https") or not port.isdigit():
            print(f'healthcheck: "{args[0]}" is not a URL, expected http://host:port/path', file=sys.stderr)
            return EXIT_USAGE
        scheme = scheme or "http"
    host = host.strip("[]")
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    try:
        with _connected(host, int(port), secure=scheme == "https") as connection:
            connection.sendall(f"GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
            answer = connection.recv(512)
    except OSError as error:
        print(f"healthcheck: {scheme}://{host}:{port}{path}: {error.strerror or error}", file=sys.stderr)
        return 1
    except UnicodeError:  # a text that can be no name
        print(f"healthcheck: {scheme}://{host}:{port}{path}: no such host", file=sys.stderr)
        return 1
    status = answer.split(b" ", 2)[1:2]
    if status and status[0].startswith(b"2"):
        return 0
    first = answer.partition(b"\r\n")[0].decode(errors="replace")
    print(f"healthcheck: {scheme}://{host}:{port}{path}: {first or 'no answer'}", file=sys.stderr)
    return 1


def _connected(host: str, port: int, *, secure: bool) -> socket.socket:
    import socket

    connection = socket.create_connection((host, port), timeout=2)
    if not secure:
        return connection
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(connection)


def _listen(text: str) -> str:
    """`host:port` where it is one; a Kubernetes service link (`tcp://…`) is not."""
    return text if text and "://" not in text and text.rpartition(":")[2].isdigit() else ""


def _extra(name: str, module: str, args: Sequence[str]) -> int:
    """Another program of the same distribution, behind an extra."""
    import importlib

    try:
        run = importlib.import_module(module).main
    except ModuleNotFoundError as error:
        print(f"outrider {name}: {error.name} is not installed; pip install 'outrider[{name}]'", file=sys.stderr)
        return 1
    code: int = run(list(args))
    return code
