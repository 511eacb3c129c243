"""Which process is the neighbour: by pid, name, command line or port; by the port of the target's URL if none is said.

Of the processes that match, the topmost: a server's workers share its name, and its listening socket.
"""

from __future__ import annotations

import ipaddress
import os
from typing import Annotated, NamedTuple
from urllib.parse import urlsplit

import msgspec

from ..io.proc import ENDED, Proc, Stat
from ..logic.scalars import Regex, Rule
from ..logic.schema import Checks
from ..model.process import Missing

# What container runtimes put into a PID namespace beside the containers' own processes.
_RUNTIMES = frozenset({"pause", "catatonit", "conmon"})
_SHARE = "share the PID namespace (shareProcessNamespace: true in Kubernetes, pid: service:NAME in Compose)"
_PORTS = {"http": 80, "https": 443}


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """At most one of these; by default whoever listens on the port of `target.url`, if that is on this host.

    `name` is the name of the executable, `cmdline` is searched for in the arguments joined by spaces.
    """

    pid: Annotated[int, Rule(lambda pid: pid >= 1, "is not a process id", "1 or more")] | None = None
    name: str | None = None
    cmdline: Regex | None = None
    port: Annotated[int, Rule(lambda port: 0 < port < 65536, "is not a port", "1 to 65535")] | None = None

    def problems(self) -> Checks:
        given = [key for key in self.__struct_fields__ if getattr(self, key) is not None]
        if len(given) > 1:
            yield "", " and ".join(given) + " together", "one of pid, name, cmdline and port"


class Located(NamedTuple):
    stat: Stat
    how: str


class NotLocated(NamedTuple):
    """`missing` says that it may be there, but that we cannot see it."""

    why: str
    missing: Missing | None = None


class Locator:
    def __init__(self, config: Config | None, target_url: str | None, proc: Proc, own_pid: int | None = None) -> None:
        self._config = config or Config()
        self._url = target_url
        self._proc = proc
        self._own = own_pid or os.getpid()
        self._shared = False

    def find(self) -> Located | NotLocated:
        """Looks at every process: milliseconds, so only while the neighbour is not known."""
        found = self._find()
        self._shared = self._shared or isinstance(found, Located)
        return found

    def _find(self) -> Located | NotLocated:
        config = self._config
        stats = self._proc.stats()
        line = _lineage(self._own, stats)
        stats.pop(self._own, None)
        living = {p: s for p, s in stats.items() if s.state not in ENDED}
        if config.pid is not None:
            found = stats.get(config.pid)
            return (
                Located(found, f"pid {config.pid}") if found else self._absent(f"no process {config.pid}", stats, line)
            )
        # Above us stand the shells and supervisors that started us: our arguments are often among theirs.
        strangers = {p: s for p, s in living.items() if p not in line}
        if config.name is not None:
            what = f'name "{config.name}"'
            return self._topmost([p for p in strangers if self._named(strangers[p], config.name)], what, stats, line)
        if config.cmdline is not None:
            what = f'command line "{config.cmdline.pattern}"'
            matching = [p for p in strangers if config.cmdline.search(" ".join(self._arguments(p)))]
            return self._topmost(matching, what, stats, line)
        if config.port is not None:
            return self._by_port(config.port, None, living, line)
        port = self._port_of_url()
        if isinstance(port, NotLocated):
            return port
        # On loopback: in our own network namespace, so one table says it.
        return self._by_port(port, self._proc.listeners(self._own).get(port, set()), living, line)

    def _topmost(self, matching: list[int], what: str, stats: dict[int, Stat], line: list[int]) -> Located | NotLocated:
        if not matching:
            return self._absent(f"no process with {what}", stats, line)
        roots = [p for p in matching if not set(_lineage(p, stats)[1:]) & set(matching)]
        oldest = min(roots, key=lambda p: (stats[p].started, p))
        others = f"; the oldest of {len(roots)} that match" if len(roots) > 1 else ""
        return Located(stats[oldest], what + others)

    def _by_port(
        self, port: int, sockets: set[int] | None, living: dict[int, Stat], line: list[int]
    ) -> Located | NotLocated:
        """`sockets` are those that listen on the port; None means that each network namespace has its own."""
        what = f"listens on port {port}"
        spaces: dict[str | int, set[int]] = {}
        owners, unseen = [], []
        for pid in living:
            try:
                listening = sockets
                if listening is None:
                    # The kernel needs milliseconds for its table of sockets: one look for each network namespace, and
                    # where that may not be told, one for each tree of processes.
                    space = self._proc.net_namespace(pid) or _top(pid, living, set(line))
                    if space not in spaces:
                        spaces[space] = self._proc.listeners(pid).get(port, set())
                    listening = spaces[space]
                if listening and listening & self._proc.socket_inodes(pid):
                    owners.append(pid)
            except ProcessLookupError:
                continue
            except PermissionError:
                unseen.append(pid)
        if owners:
            return self._topmost(owners, what, living, line)
        if unseen:
            return self._only_tree(unseen, port, living, line)
        if sockets or port in self._proc.listeners(self._own):
            reason = f"something listens on port {port}, but no process seen here holds the socket"
            return NotLocated(reason, Missing("process", reason, _SHARE))
        return self._absent(f"no process listens on port {port}", living, line)

    def _only_tree(
        self, unseen: list[int], port: int, living: dict[int, Stat], line: list[int]
    ) -> Located | NotLocated:
        """The port is listened on, but under another uid sockets are hidden: take the only tree that it can be."""
        ignored = {p for p, s in living.items() if s.name in _RUNTIMES} | set(line)
        trees = {_top(pid, living, ignored) for pid in unseen if pid not in ignored}
        uids = sorted({self._proc.uid(pid) for pid in trees})
        reason = f"the sockets of pid {', '.join(map(str, sorted(trees)))} cannot be read: permission denied"
        if len(trees) == 1:
            return Located(living[trees.pop()], f"the only other process tree, as {reason}")
        if not trees:
            return self._absent(f"no process listens on port {port}", living, line)
        remedy = f"run the sidecar as uid {' or '.join(map(str, uids))}, or set target.process to pid, name or cmdline"
        if len(trees) > 5:
            reason, remedy = (
                f"the sockets of {len(trees)} processes cannot be read: permission denied",
                ("run the sidecar under the uid of the service, or set target.process to pid, name or cmdline"),
            )
        why = f"cannot tell which process listens on port {port}: {reason}"
        return NotLocated(why, Missing("process", why, remedy))

    def _absent(self, why: str, stats: dict[int, Stat], line: list[int]) -> NotLocated:
        """Nothing but ourselves in sight is no proof that the neighbour is gone, unless it once was in sight."""
        if not self._shared and set(stats) <= set(line):
            return NotLocated(why, Missing("process", f"{why}: only the sidecar's own processes are seen", _SHARE))
        return NotLocated(why)

    def _port_of_url(self) -> int | NotLocated:
        remedy = "set target.process to pid, name, cmdline or port"
        if self._url is None:
            why = "neither target.process nor target.url is configured"
            return NotLocated(why, Missing("process", why, remedy))
        parts = urlsplit(self._url)
        if not _is_loopback(parts.hostname or ""):
            why = f"{parts.hostname} of target.url is not a loopback address, so its process is not looked for"
            return NotLocated(why, Missing("process", why, remedy))
        return parts.port or _PORTS.get(parts.scheme, 80)

    def _named(self, stat: Stat, name: str) -> bool:
        # The kernel keeps 15 characters of a name; a longer one stands in the arguments.
        if stat.name == name[:15] and len(name) <= 15:
            return True
        return os.path.basename(self._arguments(stat.pid)[0]) == name

    def _arguments(self, pid: int) -> list[str]:
        try:
            return self._proc.cmdline(pid)
        except (ProcessLookupError, PermissionError):
            return [""]


def _lineage(pid: int, stats: dict[int, Stat]) -> list[int]:
    """`pid`, its parent, and so on upwards as far as seen."""
    line: list[int] = []
    while pid in stats and pid not in line:
        line.append(pid)
        pid = stats[pid].parent
    return line


def _top(pid: int, stats: dict[int, Stat], ignored: set[int]) -> int:
    top = pid
    for above in _lineage(pid, stats):
        if above in ignored:
            break
        top = above
    return top


def _is_loopback(host: str) -> bool:
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
