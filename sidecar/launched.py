"""A sidecar beside a command that our launcher runs: where it listens, what it tells the command, when it ends.

Several such sidecars live on one machine without being told apart, so ports that are taken and that nobody has asked for are
replaced by free ones. The command is told where we listen.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Collection, Mapping

from .daemon.daemon import Closing, Daemon
from .io.launcher import Launcher
from .io.listener import Listener
from .io.proc import Proc
from .logic.child_environment import changes
from .logic.found import found_text
from .logic.launch import Ready
from .logic.scalars import Address, show_duration

LOOKS, LOOK = 60, 0.5
"""How often, and after how many seconds each, to look whether the command listens."""
ANY_PORT = Address("127.0.0.1", 0)
_NEAR = {"localhost": "127.0.0.1", "": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}
"""Where a program beside us reaches what listens there."""


async def introduce(
    daemon: Daemon, surface: Closing, launcher: Launcher, environ: Mapping[str, str], asked: Collection[str]
) -> None:
    """We listen: let the command start, and learn which process it is. `asked` are the settings that somebody has made."""
    named = {**daemon.parts.listeners, "api": surface.listener}
    listeners = {f"{name.replace(' ', '.')}.listen": listener for name, listener in named.items()}
    for path, listener in listeners.items():
        if path not in asked and path.removesuffix(".listen") not in asked:
            await listener.move(ANY_PORT)
    changed, why = dict[str, str | None](), "no upstream"
    if daemon.parts.upstreams:
        http, grpc = _endpoint(daemon, "otlp http"), _endpoint(daemon, "otlp grpc")
        changed, why = changes(environ, http, grpc, daemon.config.service.name)
    again = {
        path: str(_bound(listener)) for path, listener in listeners.items() if listener.up and not listener.address.port
    }
    pid = await launcher.started(Ready(daemon.config.drain, again, changed))
    if not pid:
        daemon.announce = lambda: None  # the launcher has said why, and nothing else is of interest
        return
    daemon.beside(pid)
    if sys.stderr.isatty():
        period = show_duration(daemon.config.metrics.interval)
        daemon.announce = lambda: print(
            found_text(daemon.status(), period, changed, why, is_over=_is_over(daemon)), end="", file=sys.stderr
        )
    else:
        told = " ".join(sorted(name for name, value in changed.items() if value is not None))
        daemon.log.info("command runs", pid=pid, **({"not_told": why} if why else {"told": told}))


def _is_over(daemon: Daemon) -> bool:
    """The command that we have looked for, and not what the configuration names."""
    return daemon.config.target.process is None and not daemon.process.found and daemon.process.unseen is None


async def hint(daemon: Daemon, proc: Proc) -> None:
    """Without any check: say on which port one could be, as soon as the command listens."""
    if daemon.config.probes:
        return
    for _ in range(LOOKS):
        await daemon.clock.sleep(LOOK)
        try:
            ports = await asyncio.to_thread(proc.ports, daemon.process.pid)
        except (ProcessLookupError, PermissionError):
            continue
        if ports:
            remedy = f"give --target http://127.0.0.1:{ports[0]} to have its health checked"
            daemon.log.info("command listens", ports=", ".join(map(str, ports)), remedy=remedy)
            return


async def until_gone(daemon: Daemon, launcher: Launcher, serving: asyncio.Task[int] | None) -> None:
    """Our life is the launcher's. What asks us alone to end would cost the command's last words (systemd asks every process of
    a service). Once the launcher has closed its end, SIGINT ends us at once."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, daemon.log.info, "stays until the command has ended and all is delivered")
    await launcher.gone()
    if serving is not None:
        loop.add_signal_handler(signal.SIGINT, serving.cancel)
    daemon.stop(patient=True)


def _endpoint(daemon: Daemon, name: str) -> str | None:
    """Where a program can send to without further settings: no TLS, no token."""
    listener, guard = daemon.parts.listeners.get(name), daemon.parts.guards[name]
    if listener is None or not listener.up or guard.tls is not None or guard.bearer is not None:
        return None
    bound = _bound(listener)
    return f"http://{Address(_NEAR.get(bound.host, bound.host), bound.port)}"


def _bound(listener: Listener) -> Address:
    return Address(listener.address.host, listener.ports[0])
