"""What `outrider check` prints, literally."""

from __future__ import annotations

from sidecar.logic.once import once_text
from sidecar.logic.rollup import rollup
from sidecar.model.health import Check, Role, State
from sidecar.model.process import Missing, ProcessSample
from sidecar.model.signals import Metric, Point

CHECKS = [
    Check(name="ready", kind="http", role=Role.READINESS, state=State.PASS, output="GET http://x/readyz: 200 in 3ms"),
    Check(name="db", kind="tcp", state=State.FAIL, output="connection refused by 127.0.0.1:5432"),
]
PROCESS = ProcessSample(
    found=True,
    why="listens on port 8080",
    pid=12,
    name="nginx",
    state="sleeping",
    pids=3,
    metrics=(
        Metric("process.memory.usage", "updowncounter", "By", "", (Point(12.3 * (1 << 20)),)),
        Metric("process.thread.count", "updowncounter", "{thread}", "", (Point(3),)),
    ),
    missing=(Missing("process.disk.io", "/proc/12/io: permission denied", "run the sidecar as uid 33"),),
)


def test_a_table_the_process_and_the_verdict() -> None:
    assert once_text(CHECKS, rollup(CHECKS), PROCESS) == (
        "check  kind  role       state  seen\n"
        "ready  http  readiness  pass   GET http://x/readyz: 200 in 3ms\n"
        "db     tcp              FAIL   connection refused by 127.0.0.1:5432\n"
        "\n"
        "process: nginx, pid 12, sleeping, 3 processes, 12.3 MiB, 3 threads (listens on port 8080)\n"
        "  not measured: process.disk.io: /proc/12/io: permission denied; run the sidecar as uid 33\n"
        "\n"
        "verdict: FAIL\n"
    )


def test_a_process_that_cannot_be_seen_is_told_once_with_the_remedy() -> None:
    unseen = Missing("process", "no process is named nginx: only our own are seen", "share the process namespace")
    absent = ProcessSample(found=False, why="no process is named nginx", missing=(unseen,))
    assert (
        "\nprocess: not found (no process is named nginx: only our own are seen; share the process namespace)\n\n"
        in (once_text([], rollup([]), absent))
    )


def test_nothing_to_look_at_says_what_to_give() -> None:
    absent = ProcessSample(found=False, why="no target is configured")
    assert once_text([], rollup([]), absent) == (
        "no checks: give --target URL, or probes in a file\n\nprocess: not found (no target is configured)\n\nverdict: UNKNOWN\n"
    )
