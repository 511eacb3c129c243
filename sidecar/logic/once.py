"""What `outrider check` prints: the process, a line a check, the verdict."""

from __future__ import annotations

from collections.abc import Sequence

from ..model.health import Check, Role, State, Verdict
from ..model.process import ProcessSample


def once_text(checks: Sequence[Check], verdict: Verdict, process: ProcessSample) -> str:
    """A table for a person. A state that is no pass stands in capitals: colour alone would be lost in a log."""
    rows = [
        (check.name, check.kind, "" if check.role is Role.NONE else check.role.value, _word(check.state), check.output)
        for check in checks
    ]
    head = ("check", "kind", "role", "state", "seen")
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(4)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]])
        for row in [head, *rows]
    ]
    if not checks:
        lines = ["no checks: give --target URL, or probes in a file"]
    lines += ["", _process(process)]
    lines += [f"  not measured: {missing}" for missing in process.missing if process.found]
    lines += ["", f"verdict: {_word(verdict.status)}"]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _word(state: State) -> str:
    return state.value if state is State.PASS else state.value.upper()


def _process(sample: ProcessSample) -> str:
    if not sample.found:
        unseen = sample.unseen
        return f"process: not found ({f'{unseen.reason}; {unseen.remedy}' if unseen else sample.why})"
    values = {metric.name: metric.points[0].value for metric in sample.metrics if len(metric.points) == 1}
    facts = [f"pid {sample.pid}", sample.state]
    if sample.pids > 1:
        facts.append(f"{sample.pids} processes")
    if memory := values.get("process.memory.usage"):
        facts.append(f"{memory / (1 << 20):.1f} MiB")
    if threads := values.get("process.thread.count"):
        facts.append(f"{threads:.0f} thread{'s' * (threads != 1)}")
    return f"process: {sample.name}, {', '.join(facts)} ({sample.why})"
