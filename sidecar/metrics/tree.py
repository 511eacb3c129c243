"""The counters and sizes of one process tree: sums over its members that never fall when a member ends.

Names and units are OpenTelemetry's for process metrics
(https://opentelemetry.io/docs/specs/semconv/system/process-metrics/).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

import psutil

from ..io.proc import ENDED, Proc
from ..model.process import Missing
from ..model.signals import Declared, Kind, Metric

Values = dict[str, float]
# A share of processor time over less than this says more about the kernel's 10 ms ticks than about the process.
UTILIZATION_WINDOW = 1.0


def _summed(name: str, kind: Kind, unit: str, description: str, attribute: str = "") -> Declared:
    return Declared(name, kind, unit, description, (attribute,) if attribute else ())


UTILIZATION = Declared(
    "process.cpu.utilization",
    "gauge",
    "1",
    "Processor time used since the last measurement, of that available to the process.",
    ("cpu.mode",),
)
UPTIME = Declared("process.uptime", "gauge", "s", "Time since the process started.")


class Field(NamedTuple):
    """One sum over the tree: how it is read for one process, by the value of its attribute ("" where it has none)."""

    declared: Declared
    file: str
    read: Callable[[psutil.Process, Proc], Values]

    @property
    def name(self) -> str:
        return self.declared.name


def _cpu(process: psutil.Process, proc: Proc) -> Values:
    times = process.cpu_times()
    return {"user": times.user, "system": times.system}


def _disk(process: psutil.Process, proc: Proc) -> Values:
    io = process.io_counters()
    return {"read": io.read_bytes, "write": io.write_bytes}


def _switches(process: psutil.Process, proc: Proc) -> Values:
    switches = process.num_ctx_switches()
    return {"voluntary": switches.voluntary, "involuntary": switches.involuntary}


def _faults(process: psutil.Process, proc: Proc) -> Values:
    stat = proc.stat(process.pid)
    return {"minor": stat.minor_faults, "major": stat.major_faults}


FIELDS = (
    Field(_summed("process.cpu.time", "counter", "s", "Processor time used.", "cpu.mode"), "stat", _cpu),
    Field(
        _summed(
            "process.memory.usage",
            "updowncounter",
            "By",
            "Resident memory; pages shared by several processes of the tree count several times.",
        ),
        "statm",
        lambda process, _: {"": process.memory_info().rss},
    ),
    Field(
        _summed("process.memory.virtual", "updowncounter", "By", "Virtual memory."),
        "statm",
        lambda process, _: {"": process.memory_info().vms},
    ),
    Field(
        _summed("process.disk.io", "counter", "By", "Bytes read from and written to disks.", "disk.io.direction"),
        "io",
        _disk,
    ),
    Field(
        _summed("process.thread.count", "updowncounter", "{thread}", "Threads."),
        "status",
        lambda process, _: {"": process.num_threads()},
    ),
    Field(
        _summed("process.unix.file_descriptor.count", "updowncounter", "{file_descriptor}", "Open file descriptors."),
        "fd",
        lambda process, proc: {"": proc.fd_count(process.pid)},
    ),
    Field(
        _summed(
            "process.context_switches",
            "counter",
            "{context_switch}",
            "Context switches of the main threads.",
            "process.context_switch.type",
        ),
        "status",
        _switches,
    ),
    Field(
        _summed("process.paging.faults", "counter", "{fault}", "Page faults.", "system.paging.fault.type"),
        "stat",
        _faults,
    ),
)
DECLARED = (*(field.declared for field in FIELDS), UTILIZATION, UPTIME)


class _Member:
    def __init__(self, process: psutil.Process) -> None:
        self.process = process
        self.values: dict[tuple[str, str], float] = {}


class Tree:
    """One life of the neighbour. `read` may be called at any rate."""

    def __init__(self, root: int, started: float, proc: Proc) -> None:
        self._root = root
        self._started = started
        self._proc = proc
        self._members: dict[tuple[int, int], _Member] = {}
        self._ended: dict[tuple[str, str], float] = {}
        self._cpu_before: tuple[float, Values] | None = None
        self._utilization: Values = {}

    @property
    def size(self) -> int:
        return len(self._members)

    def read(self, now: float) -> tuple[tuple[Metric, ...], tuple[Missing, ...]]:
        """Everything that may be read, and what may not. Raises `ProcessLookupError` when the root has ended.

        A field that one member hides is left out: never half a sum.
        """
        self._follow()
        missing: dict[str, Missing] = {}
        for member in self._members.values():
            self._measure(member, missing)
        metrics = [self._sum(field) for field in FIELDS if field.name not in missing]
        metrics += self._utilized(now, metrics)
        metrics.append(UPTIME.of([((), max(0.0, now - self._started))]))
        return tuple(metrics), tuple(missing.values())

    def _follow(self) -> None:
        """Bring the members up to date; what ended keeps its last counts in the sums."""
        present = {}
        for pid in self._proc.tree(self._root):
            try:
                stat = self._proc.stat(pid)
                if stat.state in ENDED:
                    continue
                key = (pid, stat.started)
                present[key] = self._members.get(key) or _Member(psutil.Process(pid))
            except (ProcessLookupError, psutil.NoSuchProcess):
                continue
        if self._root not in (pid for pid, _ in present):
            raise ProcessLookupError(self._root)
        counters = {field.name for field in FIELDS if field.declared.kind == "counter"}
        for key in self._members.keys() - present.keys():
            for name, value in self._members[key].values.items():
                if name[0] in counters:
                    self._ended[name] = self._ended.get(name, 0) + value
        self._members = present

    def _measure(self, member: _Member, missing: dict[str, Missing]) -> None:
        with member.process.oneshot():
            for field in FIELDS:
                try:
                    for attribute, value in field.read(member.process, self._proc).items():
                        member.values[field.name, attribute] = value
                except (PermissionError, psutil.AccessDenied):
                    if field.name not in missing:
                        missing[field.name] = self._denied(field, member.process.pid)
                except (ProcessLookupError, psutil.NoSuchProcess):
                    return  # ended just now: its last values stay

    def _denied(self, field: Field, pid: int) -> Missing:
        reason = f"/proc/{pid}/{field.file}: permission denied"
        try:
            uid = self._proc.uid(pid)
        except ProcessLookupError:
            uid = os.geteuid()
        if uid != os.geteuid():
            return Missing(field.name, reason, f"run the sidecar as uid {uid}, the uid of the process")
        remedy = "the process has capabilities that the sidecar has not, or changed its uid after its start: "
        return Missing(field.name, reason, remedy + "start it under its uid and without capabilities")

    def _sum(self, field: Field) -> Metric:
        sums = {name[1]: value for name, value in self._ended.items() if name[0] == field.name}
        for member in self._members.values():
            for (name, attribute), value in member.values.items():
                if name == field.name:
                    sums[attribute] = sums.get(attribute, 0) + value
        start = self._started if field.declared.kind == "counter" else 0.0
        return field.declared.of((((a,) if a else (), v) for a, v in sums.items()), start)

    def _utilized(self, now: float, metrics: list[Metric]) -> list[Metric]:
        """Used of available processor time since the last measurement; nothing at the first one."""
        spent = {
            dict(p.attributes)["cpu.mode"]: p.value for m in metrics if m.name == "process.cpu.time" for p in m.points
        }
        if self._cpu_before is None:
            self._cpu_before = (now, spent)
        elapsed = now - self._cpu_before[0]
        if elapsed >= UTILIZATION_WINDOW:
            available = elapsed * _processors(self._root)
            before = self._cpu_before[1]
            self._utilization = {mode: max(0.0, v - before.get(mode, v)) / available for mode, v in spent.items()}
        if not 0 <= elapsed < UTILIZATION_WINDOW:  # also when the clock was set back
            self._cpu_before = (now, spent)
        if not self._utilization:
            return []
        return [UTILIZATION.of(((mode,), share) for mode, share in self._utilization.items())]


def _processors(pid: int) -> int:
    try:
        return len(os.sched_getaffinity(pid))
    except OSError:
        return os.cpu_count() or 1
