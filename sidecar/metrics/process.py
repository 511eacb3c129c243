"""The neighbour's process, sampled: found, followed through restarts, and measured with its whole tree."""

from __future__ import annotations

import errno
import threading

import msgspec
import psutil

from ..io.proc import ENDED, Proc, Stat
from ..logic.command_line import redacted
from ..logic.printable import printable
from ..model.process import Missing, ProcessSample
from .locate import Config as Config
from .locate import Located, Locator
from .tree import Tree

_TROUBLE = {
    errno.EMFILE: ("the sidecar has no file descriptors left", "raise RLIMIT_NOFILE (ulimit -n) of the sidecar"),
    errno.ENFILE: ("this machine has no file descriptors left", "raise fs.file-max of the machine"),
    errno.ENOMEM: ("the sidecar has no memory left", "raise its memory limit"),
    errno.EACCES: ("/proc may not be read", "mount /proc without hidepid, or run the sidecar under the service's uid"),
}


class ProcessMetrics:
    """Samples synchronously, from any thread, in about a millisecond for a tree of ten. Never reads a process's environment.

    A process is known by its pid and start time. While it lives only its tree is read; when it is gone, each sample
    looks for it anew. Another process in its place is a restart: counters begin again with its start time.
    """

    def __init__(self, config: Config | None, target_url: str | None, proc: Proc | None = None) -> None:
        self._proc = proc or Proc()
        self._locator = Locator(config, target_url, self._proc)
        self._life: _Life | None = None
        self._lives = 0
        self._last: ProcessSample | None = None
        self._lock = threading.Lock()

    def sample(self, now: float) -> ProcessSample:
        """The process now; `now` is unix seconds. While we cannot look, it is as it was seen last, with `process` missing."""
        try:
            with self._lock:
                self._last = self._sample(now)
        except (ProcessLookupError, psutil.NoSuchProcess):
            self._last = self._absent("the process ended while it was looked at")
        except (OSError, psutil.AccessDenied) as error:
            return self._unseen(error)
        return self._last

    def _unseen(self, error: OSError | psutil.AccessDenied) -> ProcessSample:
        number = error.errno if isinstance(error, OSError) else errno.EACCES
        reason, remedy = _TROUBLE.get(number or 0, (f"/proc cannot be read: {error}", "see why"))
        missing = Missing("process", reason, remedy)
        last = self._last or self._absent(reason)
        return msgspec.structs.replace(last, metrics=(), missing=(missing,))

    def _sample(self, now: float) -> ProcessSample:
        stat = self._known()
        if stat is None or stat.state in ENDED:
            found = self._locator.find()
            if isinstance(found, Located):
                stat = found.stat
                if self._life is None or not self._life.is_of(stat):
                    self._life = _Life(found, self._proc)
                    self._lives += 1
            elif stat is None:
                return self._absent(found.why, *([found.missing] if found.missing else []))
        life = self._life
        if life is None or stat is None:
            raise ProcessLookupError  # never: it was just found, or known from before
        life.renamed(stat, self._proc)
        metrics, missing = life.tree.read(now) if stat.state not in ENDED else ((), ())
        return ProcessSample(
            found=True,
            why=life.how,
            pid=stat.pid,
            name=printable(stat.name),
            cmdline=printable(life.cmdline),
            state=stat.state,
            started=life.started,
            restarts=self._restarts(),
            pids=life.tree.size,
            metrics=metrics,
            missing=missing,
        )

    def _known(self) -> Stat | None:
        if self._life is None:
            return None
        try:
            stat = self._proc.stat(self._life.pid)
        except ProcessLookupError:
            return None
        return stat if self._life.is_of(stat) else None

    def _absent(self, why: str, *missing: Missing) -> ProcessSample:
        return ProcessSample(found=False, why=why, restarts=self._restarts(), missing=missing)

    def _restarts(self) -> int:
        return max(0, self._lives - 1)


class _Life:
    """One process from its start to its end."""

    def __init__(self, found: Located, proc: Proc) -> None:
        self.pid = found.stat.pid
        self.how = found.how
        self.started = psutil.Process(self.pid).create_time()
        self.tree = Tree(self.pid, self.started, proc)
        self.cmdline = ""
        self._ticks = found.stat.started
        self._name = ""

    def is_of(self, stat: Stat) -> bool:
        return (stat.pid, stat.started) == (self.pid, self._ticks)

    def renamed(self, stat: Stat, proc: Proc) -> None:
        """Arguments are read only at first and after an exec: reading them can wait for the process's memory lock."""
        if stat.name != self._name:
            self._name, self.cmdline = stat.name, redacted(proc.cmdline(self.pid))
