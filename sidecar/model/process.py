"""The neighbour's process as one sample: what it is, what it uses, and what could not be read."""

from __future__ import annotations

import msgspec

from .signals import Metric


class Missing(msgspec.Struct, frozen=True):
    """Something that cannot be read: why, and what to change. `field` is a metric's name, or `process`."""

    field: str
    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.field}: {self.reason}; {self.remedy}"


_DOWN = {
    "stopped": "stopped (SIGSTOP or SIGTSTP)",
    "tracing-stop": "stopped by a debugger",
    "zombie": "a zombie: it has ended and its parent has not asked why",
    "dead": "dead",
}


class ProcessSample(msgspec.Struct, frozen=True, kw_only=True):
    """The neighbour's process tree now.

    `why` says how it was found, or why it was not. Not found with `process` among `missing` means that we cannot see
    it; not found without means that it is not there. Found with `process` missing is what was seen last: we cannot look
    now. `state` is psutil's word (`sleeping`, `stopped`, `zombie`, …) for the root of the tree, `started` its start in
    unix seconds, `pids` the size of the tree. `cmdline` is redacted.
    """

    found: bool
    why: str
    pid: int = 0
    name: str = ""
    cmdline: str = ""
    state: str = ""
    started: float = 0.0
    restarts: int = 0
    pids: int = 0
    metrics: tuple[Metric, ...] = ()
    missing: tuple[Missing, ...] = ()

    @property
    def unseen(self) -> Missing | None:
        """What keeps us from seeing the process at all, where something does."""
        return next((missing for missing in self.missing if missing.field == "process"), None)

    @property
    def runs(self) -> bool:
        """Found, and not one that has ended and only its entry is left."""
        return self.found and self.state not in ("zombie", "dead")

    @property
    def trouble(self) -> str:
        """Why the process cannot work, in words; empty where it can, or is not seen."""
        if not self.found or self.state not in _DOWN or self.unseen is not None:
            return ""
        return f"{self.name} (pid {self.pid}) is {_DOWN[self.state]}"
