"""The sidecar as the launcher's second process: started, asked what the command needs, started again when it breaks."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator

from ..logic.copied import lines_in
from ..logic.launch import LARGEST, Hello, Ready
from .passing import say

PATIENCE = 5.0
"""Seconds that the command waits for a sidecar that does not say that it is ready."""
SHORTEST, LONGEST = 1.0, 60.0
"""Seconds between an end and the next start. Who has run for the longest is taken for well again."""
DECISIVE = (0, 64, 78)
"""Exit codes before it is ready that keep the command from being started: help was shown, usage, configuration."""


class Sidecar:
    """`pid` is 0 while it does not run. `copy` is where the launcher writes frames."""

    def __init__(
        self, options: list[str], command: list[str], environ: dict[bytes, bytes], mask: set[int | signal.Signals]
    ) -> None:
        self._arguments = [*sys.orig_argv[: len(sys.orig_argv) - len(sys.argv[1:])], "run", *options]
        self._environ = environ
        self._mask = mask
        self._hello = Hello(os.urandom(8).hex(), [os.fsencode(word) for word in command], {})
        self._control: socket.socket | None = None
        self.copy, self._taken = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = 0
        self._started = 0.0
        self._pause = 0.0
        self._told = False
        self.due: float | None = None
        """When to start it again, by the monotonic clock."""

    def start(self) -> None:
        self.due, self._started = None, time.monotonic()
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (theirs, self._taken):
            end.set_inheritable(True)
        try:
            self.pid = os.posix_spawn(
                sys.executable,
                [*self._arguments, "--launched", f"{theirs.fileno()},{self._taken.fileno()}"],
                self._environ,
                file_actions=[(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0), (os.POSIX_SPAWN_DUP2, 2, 1)],
                setsid=True,  # Ctrl-C is for the command
                setsigmask=self._mask,
                setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
            )
        except OSError as error:
            self._again(f"the sidecar cannot be started: {error.strerror}")
        finally:
            theirs.close()
            self._taken.set_inheritable(False)
        self._tell()

    def ready(self) -> Ready | int | None:
        """What it says; the exit code that it has ended with instead; None when it takes too long."""
        if self._control is None:
            return None
        self._control.settimeout(PATIENCE)
        try:
            message = self._control.recv(LARGEST)
        except TimeoutError:
            return None
        except OSError:  # it has ended without having read what we said
            message = b""
        if not message:
            status = os.waitpid(self.pid, 0)[1]
            code = os.waitstatus_to_exitcode(status)
            if code not in DECISIVE:
                self.ended(status)
            return code
        ready = Ready.decode(message)
        self._hello.again = ready.again
        return ready

    def beside(self, command: int) -> None:
        """The command runs, with this process id."""
        self._hello.pid = command
        self._tell()

    def _tell(self) -> None:
        if self._control is not None:
            try:
                self._control.send(self._hello.encode())
            except OSError:
                pass  # it has just ended: its exit code says more, and the next is told too

    def ended(self, status: int) -> None:
        """Its process has: start it again, later and later, unless it says that this is of no use."""
        code = os.waitstatus_to_exitcode(status)
        how = f"with exit code {code}" if code >= 0 else f"by {signal.Signals(-code).name}"
        self._again(f"the sidecar has ended {how}", useless=code in DECISIVE[1:])

    def _again(self, what: str, *, useless: bool = False) -> None:
        self.pid = 0
        if self._control is not None:
            self._control.close()
            self._control = None
        now = time.monotonic()
        well = now - self._started > LONGEST
        self._pause = SHORTEST if well or not self._pause else min(LONGEST, 2 * self._pause)
        self.due = None if useless else now + self._pause
        if useless or not self._told:
            self._told = True
            say(f"{what}; the command runs on, {'without it' if useless else 'and it is started again'}")

    def stop(self) -> None:
        """It takes what is still copied, as far as its drain allows, and ends."""
        if self._control is not None:
            self._control.close()
            self._control = None

    def untaken(self) -> int:
        """Lines that were copied for it and that it has not taken. It must have ended, and so must what is copied."""
        self._taken.setblocking(True)  # it has changed that for both of us
        return lines_in(self._frames())

    def _frames(self) -> Iterator[bytes]:
        while frame := self._taken.recv(LARGEST):
            yield frame
