"""A reader of /proc for what psutil lacks; the root is an argument.

Every method reads small files synchronously (tens of microseconds). A process that is gone raises `ProcessLookupError`,
one that may not be read `PermissionError`. proc(5) has the formats.
"""

from __future__ import annotations

import os
import stat
from typing import NamedTuple

LISTEN = "0A"
KTHREADD = 2

# proc(5)'s letters in psutil's words.
STATES = {
    "R": "running",
    "S": "sleeping",
    "D": "disk-sleep",
    "T": "stopped",
    "t": "tracing-stop",
    "Z": "zombie",
    "X": "dead",
    "I": "idle",
}
ENDED = frozenset({"zombie", "dead"})


class Stat(NamedTuple):
    """`/proc/PID/stat`. `started` is in clock ticks since boot: with the pid it names a process for good."""

    pid: int
    name: str
    state: str
    parent: int
    minor_faults: int
    major_faults: int
    started: int


class Proc:
    def __init__(self, root: str = "/proc") -> None:
        self.root = root

    def pids(self) -> list[int]:
        return [int(name) for name in os.listdir(self.root) if name.isdigit()]

    def stat(self, pid: int) -> Stat:
        text = self._read(f"{pid}/stat").decode(errors="replace")
        # The name stands in parentheses and may itself hold spaces and parentheses.
        head, _, tail = text.rpartition(")")
        rest = tail.split()
        return Stat(
            pid=pid,
            name=head.partition("(")[2],
            state=STATES.get(rest[0], rest[0]),
            parent=int(rest[1]),
            minor_faults=int(rest[7]),
            major_faults=int(rest[9]),
            started=int(rest[19]),
        )

    def stats(self) -> dict[int, Stat]:
        """All processes by pid, without the kernel's threads."""
        found = {}
        for pid in self.pids():
            try:
                found[pid] = self.stat(pid)
            except (ProcessLookupError, PermissionError):
                continue
        if KTHREADD in found and found[KTHREADD].name == "kthreadd":
            found = {p: s for p, s in found.items() if KTHREADD not in (p, s.parent)}
        return found

    def output_file(self, pid: int) -> str:
        """The path, as the process knows it, of the file that its standard output goes to; nothing where that is no file."""
        link = f"{self.root}/{pid}/fd/1"
        try:
            return os.readlink(link) if stat.S_ISREG(os.stat(link).st_mode) else ""
        except FileNotFoundError:
            raise ProcessLookupError(pid) from None

    def children(self, pid: int) -> list[int]:
        """Direct children. Kernels without CONFIG_PROC_CHILDREN cost a scan of all processes."""
        found: list[int] = []
        for task in self._list(f"{pid}/task"):
            try:
                found += map(int, self._read(f"{pid}/task/{task}/children").split())
            except ProcessLookupError:
                if not os.path.exists(f"{self.root}/{pid}/task/{pid}/children"):
                    return sorted(s.pid for s in self.stats().values() if s.parent == pid)
                # That thread has just ended.
        return found

    def tree(self, pid: int) -> list[int]:
        """`pid` and all its descendants, parents first."""
        found, seen = [pid], {pid}
        for parent in found:
            try:
                born = [child for child in self.children(parent) if child not in seen]
            except ProcessLookupError:
                continue
            found += born
            seen.update(born)
        return found

    def cmdline(self, pid: int) -> list[str]:
        return [part.decode(errors="replace") for part in self._read(f"{pid}/cmdline").rstrip(b"\0").split(b"\0")]

    def uid(self, pid: int) -> int:
        """The effective uid, also of a process that is not dumpable (whose files in /proc belong to root)."""
        for line in self._read(f"{pid}/status").splitlines():
            if line.startswith(b"Uid:"):
                return int(line.split()[2])
        raise ProcessLookupError(pid)

    def fd_count(self, pid: int) -> int:
        """Open file descriptors. Since Linux 6.2 the directory's size says it, also under another uid."""
        try:
            size = os.stat(f"{self.root}/{pid}/fd").st_size
        except FileNotFoundError:
            raise ProcessLookupError(pid) from None
        return size or len(self._list(f"{pid}/fd"))

    def socket_inodes(self, pid: int) -> set[int]:
        """The inodes of the sockets that the process holds."""
        found = set()
        for fd in self._list(f"{pid}/fd"):
            try:
                link = os.readlink(f"{self.root}/{pid}/fd/{fd}")
            except FileNotFoundError:
                continue  # closed meanwhile
            if link.startswith("socket:["):
                found.add(int(link[8:-1]))
        return found

    def listeners(self, pid: int) -> dict[int, set[int]]:
        """TCP ports that are listened on in the process's network namespace, with the sockets' inodes."""
        found: dict[int, set[int]] = {}
        for table in ("tcp", "tcp6"):
            try:
                lines = self._read(f"{pid}/net/{table}").decode().splitlines()[1:]
            except ProcessLookupError:
                if table == "tcp6":
                    continue  # IPv6 is switched off
                raise
            for line in lines:
                parts = line.split()
                if parts[3] == LISTEN:
                    found.setdefault(int(parts[1].rpartition(":")[2], 16), set()).add(int(parts[9]))
        return found

    def ports(self, pid: int) -> list[int]:
        """TCP ports on which the process or one of its descendants listens."""
        sockets = set[int]().union(*(self.socket_inodes(member) for member in self.tree(pid)))
        return sorted(port for port, inodes in self.listeners(pid).items() if inodes & sockets)

    def net_namespace(self, pid: int) -> str | None:
        """An identity for the network namespace; None where it may not be read."""
        try:
            return os.readlink(f"{self.root}/{pid}/ns/net")
        except OSError:
            return None

    def _list(self, path: str) -> list[str]:
        try:
            return os.listdir(f"{self.root}/{path}")
        except FileNotFoundError:
            raise ProcessLookupError(path) from None

    def _read(self, path: str) -> bytes:
        try:
            with open(f"{self.root}/{path}", "rb", buffering=0) as file:
                chunks = []
                while chunk := file.read(1 << 16):
                    chunks.append(chunk)
        except FileNotFoundError:
            raise ProcessLookupError(path) from None
        return b"".join(chunks)
