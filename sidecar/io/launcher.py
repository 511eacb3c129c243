"""The launcher of `outrider run -- COMMAND`, as the sidecar that it has started sees it; `logic.launch` has the messages."""

from __future__ import annotations

import os
import socket

from ..logic.launch import LARGEST, Hello, Ready
from .readable import readable


class LauncherGoneError(Exception):
    """Before it has said anything."""


def _open() -> list[int]:
    """Descriptors; without /proc, those that are likely."""
    try:
        return [int(number) for number in os.listdir("/proc/self/fd")]
    except OSError:
        return list(range(256))


class Launcher:
    """`copy` has what the command writes."""

    def __init__(self, descriptors: str) -> None:
        """`descriptors` are two numbers, of control and copy. What else was inherited belongs to the command, and is closed."""
        control, copy = (int(number) for number in descriptors.split(","))
        for number in _open():
            if number > 2 and number not in (control, copy):
                try:
                    os.close(number)
                except OSError:
                    pass  # not open: the directory itself
        self._control = socket.socket(fileno=control)
        self.copy = socket.socket(fileno=copy)
        message = self._control.recv(LARGEST)
        if not message:
            raise LauncherGoneError
        self.hello = Hello.decode(message)
        self.arguments = [os.fsdecode(word) for word in self.hello.command]
        for end in (self._control, self.copy):
            end.set_inheritable(False)
            end.setblocking(False)

    async def started(self, ready: Ready) -> int:
        """Say that we are ready; the command's process id, or 0 where it is not started."""
        pid = self.hello.pid
        try:
            self._control.send(ready.encode())
        except OSError:
            return 0
        if not pid and (message := await self._receive()):
            pid = Hello.decode(message).pid
        return pid

    async def gone(self) -> None:
        """Returns when the launcher has ended, or wants us to."""
        while await self._receive():
            pass

    async def _receive(self) -> bytes:
        await readable(self._control)
        try:
            return self._control.recv(LARGEST)
        except OSError:
            return b""
