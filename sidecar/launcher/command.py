"""Starts the sidecar and then the command, hands signals on, and ends as the command has ended.

The command is in our process group, so a terminal's Ctrl-C and Ctrl-Z reach it without us. What is sent to us alone is handed on;
who sent it, the kernel or a process, is in the signal itself. All signals are blocked and taken one by one: nothing here can be
interrupted.
"""

from __future__ import annotations

import errno
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator

from ..logic.launch import STREAMS, Ready
from .beside import Sidecar
from .passing import Copy, Stream, say

NOT_FOUND, NOT_EXECUTABLE = 127, 126
"""As shells exit."""
HURRY = 1.0
"""Seconds for the rest of the output to reach its reader, once somebody wants us to end."""
MARGIN = 2.0
"""Seconds beyond `drain` after which a sidecar that has not ended is killed."""

# What a process brings on itself, what stops it, what is between us and our children: each has its own.
_OWN = "KILL STOP TSTP TTIN TTOU CONT SEGV BUS FPE ILL ABRT TRAP SYS PIPE XCPU XFSZ PROF VTALRM URG CHLD"
_ENDING = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT}


def main(options: list[str], words: list[str]) -> int:
    """Run `words` beside a sidecar with `options`. Returns an exit code, unless the process has to end by a signal."""
    if not words:
        say("no command after --")
        return 64
    _keep_standard_descriptors()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # What was ignored before us (nohup, a shell's background) stays ignored, for the command too.
    others = signal.valid_signals() - {getattr(signal, f"SIG{name}") for name in _OWN.split()}
    taken = {number for number in others if signal.getsignal(number) is not signal.SIG_IGN}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {*taken, signal.SIGCHLD})
    environ = _environment()

    sidecar = Sidecar(options, words, environ, mask)
    sidecar.start()
    said = sidecar.ready()
    if isinstance(said, int) and not sidecar.due:
        return said
    if said is None:
        say("the sidecar is not ready yet; the command does not wait for it")
    for number in signal.sigpending() & _ENDING:
        return _end_by(number)

    command = Command(words, environ, said if isinstance(said, Ready) else Ready(5.0, {}, {}), mask, sidecar, taken)
    try:
        command.start()
    except OSError as error:
        sidecar.stop()
        why = "command not found" if error.errno == errno.ENOENT and "/" not in words[0] else error.strerror
        say(f"{words[0]}: {why}")
        return NOT_FOUND if error.errno == errno.ENOENT else NOT_EXECUTABLE
    code = os.waitstatus_to_exitcode(command.watch())
    command.finish()
    return code if code >= 0 else _end_by(-code)


class Command:
    def __init__(
        self,
        words: list[str],
        environ: dict[bytes, bytes],
        ready: Ready,
        mask: set[int | signal.Signals],
        sidecar: Sidecar,
        taken: set[signal.Signals],
    ) -> None:
        self._words = words
        self._environ = dict(environ)
        for name, value in ready.environment.items():
            self._environ.pop(os.fsencode(name), None)
            if value is not None:
                self._environ[os.fsencode(name)] = os.fsencode(value)
        self._drain = ready.drain
        self._mask = mask
        self._sidecar = sidecar
        self._taken = taken
        self._pid = 0
        self._streams: list[Stream] = []
        self._asked = 0

    def start(self) -> None:
        """Raises `OSError` where there is nothing to run."""
        pipes = {number: os.pipe() for number in STREAMS}
        outputs = [(os.POSIX_SPAWN_DUP2, end, number) for number, (_, end) in pipes.items()]
        try:
            self._pid = self._spawn(self._words, outputs)
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise
            # A script that does not say what runs it: as execvp(3), and with it every shell, env and nohup.
            self._pid = self._spawn(["/bin/sh", _found(self._words[0]), *self._words[1:]], outputs)
        self._sidecar.beside(self._pid)
        self._copy = Copy(self._sidecar.copy)
        self._stopped, self._stop = os.pipe()
        for number, (source, end) in pipes.items():
            os.close(end)
            self._streams.append(Stream(number, source, number, self._copy, self._stopped))

    def _spawn(self, words: list[str], outputs: list[tuple[int, int, int]]) -> int:
        return os.posix_spawnp(
            words[0],
            words,
            self._environ,
            file_actions=outputs,
            setsigmask=self._mask,
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],  # Python ignores them
        )

    def watch(self) -> int:
        """Until it ends; its status as waitpid(2) has it. As process 1 of a container we reap what others leave behind."""
        while True:
            due = self._sidecar.due
            wait = 3600.0 if due is None else max(0.0, due - time.monotonic())
            info = signal.sigtimedwait({*self._taken, signal.SIGCHLD}, wait)
            if info is None:
                if due is not None:
                    self._sidecar.start()
            elif info.si_signo != signal.SIGCHLD:
                self._hand_on(info)
            else:
                ended = dict(_reaped())
                if self._sidecar.pid in ended:
                    self._sidecar.ended(ended[self._sidecar.pid])
                if self._pid in ended:
                    return ended[self._pid]

    def _hand_on(self, info: signal.struct_siginfo) -> None:
        self._asked += info.si_signo in _ENDING
        by_kernel = info.si_code > 0
        # The kernel tells the whole foreground group, but of a hangup only the session's leader.
        if not by_kernel or (info.si_signo == signal.SIGHUP and os.getsid(0) == os.getpid()):
            os.kill(self._pid, info.si_signo)

    def finish(self) -> None:
        """Pass on what is left; let the sidecar take the rest of the copy and deliver; say what it did not take."""
        os.close(self._stop)
        hurry = float("inf")
        for stream in self._streams:
            while stream.thread.is_alive() and time.monotonic() < hurry:
                stream.thread.join(0.05)
                if self._is_hurried(signal.sigtimedwait(_ENDING, 0)):
                    hurry = min(hurry, time.monotonic() + HURRY)
        # Who reads our output need not wait for the sidecar; it has our stderr too.
        with open(os.devnull, "wb", buffering=0) as nothing:
            os.dup2(nothing.fileno(), 1)
        self._copy.finish()
        self._sidecar.stop()
        self._await_sidecar()
        if lost := sum(stream.lost for stream in self._streams) + self._sidecar.untaken():
            say(f"{lost} line{'s' * (lost > 1)} of output did not reach the sidecar")

    def _await_sidecar(self) -> None:
        """Until it has ended, of itself, because somebody is in a hurry, or because it takes too long."""
        deadline = time.monotonic() + self._drain + MARGIN
        harder = [signal.SIGINT, signal.SIGKILL]
        while self._sidecar.pid and self._sidecar.pid not in dict(_reaped()):
            info = signal.sigtimedwait({*_ENDING, signal.SIGCHLD}, max(0.0, deadline - time.monotonic()))
            if info is None:
                say("the sidecar has not ended in time and is killed")
                os.kill(self._sidecar.pid, signal.SIGKILL)
                return
            if info.si_signo != signal.SIGCHLD and self._is_hurried(info):
                os.kill(self._sidecar.pid, harder.pop(0) if harder else signal.SIGKILL)

    def _is_hurried(self, info: signal.struct_siginfo | None) -> bool:
        """Whoever has ended the command may have asked us too; asking twice, or at the keyboard once it has ended, is more."""
        self._asked += info is not None
        return info is not None and (self._asked > 1 or info.si_signo == signal.SIGINT)


def _found(name: str) -> str:
    """Where on the PATH it is."""
    paths = [name] if "/" in name else [os.path.join(folder, name) for folder in os.get_exec_path()]
    return next((path for path in paths if os.access(path, os.X_OK)), name)


def _reaped() -> Iterator[tuple[int, int]]:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        yield pid, status


def _environment() -> dict[bytes, bytes]:
    """As we were given it: Python itself adds a variable in some locales."""
    try:
        with open("/proc/self/environ", "rb") as file:
            pairs = (pair.partition(b"=") for pair in file.read().split(b"\0") if b"=" in pair)
            return {name: value for name, _, value in pairs}
    except OSError:
        return dict(os.environb)


def _keep_standard_descriptors() -> None:
    """Where one is closed, our pipes would take its number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _end_by(number: int) -> int:
    """As the command has: who waits for us learns the signal. Process 1 cannot, and exits as shells do."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # its core is enough
    sys.stderr = None
    try:
        signal.signal(number, signal.SIG_DFL)
    except OSError:
        pass  # SIGKILL has no other
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    os.kill(os.getpid(), number)
    return 128 + number
