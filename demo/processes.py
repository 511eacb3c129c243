"""The demo's children: started so that none can outlive us, stopped in order.

Each child leads its own process group (the terminal's Ctrl-C reaches the demo alone, which then stops them in
order) and the kernel kills it when the demo dies, even by SIGKILL. Output goes to a file of its own.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from .commands import Command

PR_SET_PDEATHSIG = 1
GRACE = 5.0
MAX_LOG = 16 << 20

# Traffic first, or it would count our stopping as errors; services before their sidecars, which pass on the
# last spans; the collector last, to hear them.
STOP_ORDER = ("traffic", "service", "sidecar", "collector")


class Child:
    def __init__(self, name: str, kind: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self.kind = kind
        self.process = process
        self.log = log

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process.returncode is None

    def obituary(self) -> str:
        """`cache-server-1 (pid 7) was killed by SIGKILL`"""
        code = self.process.returncode or 0
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"
        return f"{self.name} (pid {self.pid}) {how}"

    def report(self) -> str:
        """How it ended and, where that was its own doing, the end of its log: one line or several."""
        if (self.process.returncode or 0) < 0:
            return f"{self.obituary()}; log: {self.log}"
        return "\n    ".join([f"{self.obituary()}; its log ends:", *self.last_words()])

    def last_words(self, lines: int = 5) -> list[str]:
        """The end of its log."""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - 4096))
            return file.read().decode(errors="replace").splitlines()[-lines:]

    def trim_log(self) -> None:
        """Starts the log afresh beyond `MAX_LOG`: children append, so the file may be cut under them."""
        if self.log.stat().st_size > MAX_LOG:
            os.truncate(self.log, 0)

    async def stop(self, grace: float) -> None:
        """SIGTERM, then SIGKILL after `grace` seconds. Returns when it is gone."""
        self.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(grace):
                await self.process.wait()
        except TimeoutError:
            self.signal(signal.SIGKILL)
            await self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        if self.running:
            try:
                os.killpg(self.pid, number)
            except ProcessLookupError:
                pass  # it ended before we knew


class Children:
    """`directory` takes the logs; `env` is the environment that all share. Start from the main thread."""

    def __init__(self, directory: Path, env: Mapping[str, str]) -> None:
        self.directory = directory
        self.env = env
        self.all: list[Child] = []

    async def start(self, name: str, kind: str, command: Command) -> Child:
        """`kind` is one of `STOP_ORDER`."""
        path = self.directory / f"{name}.log"
        with path.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *command.argv,
                env={**self.env, **command.env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,
                preexec_fn=die_with(os.getpid()),
            )
        child = Child(name, kind, process, path)
        self.all.append(child)
        return child

    async def stop(self, grace: float = GRACE) -> None:
        for kind in STOP_ORDER:
            await asyncio.gather(*(child.stop(grace) for child in self.all if child.kind == kind))


def die_with(parent: int) -> Callable[[], None]:
    """Runs in the child between fork and exec: the kernel kills it when its parent dies."""
    prctl = ctypes.CDLL(None).prctl  # looked up before the fork

    def bind() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died in between
            os._exit(1)

    return bind
