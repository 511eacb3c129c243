"""One subject under one cell's load: started, warmed, loaded, drained, killed; what it cost and what arrived.

The subject has a core of its own (0), load, sink and this process share another. CPU is read when the sink has everything, so
that work put off counts too.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from tests.ports import free_port

from . import traffic
from .cells import Cell
from .process import Memory, cpu_seconds, memory, peak, start, until_200
from .subjects import Ports, Subject
from .traffic import Sent, Sink

CORES = sorted(os.sched_getaffinity(0))
SUBJECT_CORE, LOAD_CORE = CORES[0], CORES[-1]
WARM = 1.0
"""Seconds of load before the measured ones."""
DRAIN = 30.0
"""Seconds that a subject may take until the sink has everything."""
RECOVER = 15.0
"""Seconds of load after an outage."""
BEFORE = 5.0
"""Seconds of load before an outage."""
PROTOBUF = {"Content-Type": "application/x-protobuf"}


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """Times in seconds unless said, memory in MB. What was sent while warming is part of `lost` and `duplicates`."""

    first_ok_ms: float
    """From exec to the first OTLP request that is answered 200."""
    idle: Memory
    loaded: Memory
    peak: float
    cpu: float
    """CPU, from the begin of the load until the sink had everything."""
    outage_cpu: float | None = None
    """Of a core, in per cent, while the upstream was gone."""
    drained: bool
    """Did the sink get everything that was acknowledged, in time?"""
    drain: float
    """From the end of the load until then."""
    delivered: int
    """Spans, of those sent in the measured time."""
    lost: int
    """Spans that were acknowledged and did not arrive."""
    duplicates: int
    whole: bool
    """Was every request well-formed, and had every resource what was to be added to it?"""
    sent: Sent
    upstream_requests: int

    @property
    def per_million(self) -> float:
        return self.cpu / self.delivered * 1e6 if self.delivered else float("nan")

    @property
    def core(self) -> float:
        """Per cent of a core."""
        return self.cpu / (self.sent.seconds + self.drain) * 100

    @property
    def refused(self) -> float:
        """Share of the requests that were not acknowledged."""
        return 1 - self.sent.accepted / self.sent.requests if self.sent.requests else 0.0


def stay_on_the_load_core() -> None:
    """This process and what it starts; subjects are moved to theirs."""
    os.sched_setaffinity(0, {LOAD_CORE})


def target(cell: Cell, ports: Ports) -> int:
    """Where the cell's load goes."""
    return ports.http if cell.protocol == "http" else ports.grpc


@contextmanager
def started(
    subject: Subject, cell: Cell, sink: Sink, directory: Path
) -> Iterator[tuple[subprocess.Popen[bytes], Ports, float]]:
    """A subject that answers, its ports, and milliseconds until then. Killed in the end. Raises `RuntimeError` with its log."""
    ports = Ports(free_port(), free_port())
    command = ["taskset", "--cpu-list", str(SUBJECT_CORE), *subject.command(cell, ports, sink, directory)]
    log = directory / "log"
    since = time.perf_counter()
    process = start(command, subject.root, log)
    try:
        first_ok = until_200(ports.http, "POST", "/v1/traces", PROTOBUF, since, process)
        yield process, ports, first_ok
    except (OSError, subprocess.SubprocessError) as error:
        raise RuntimeError(f"{subject.name}: {error}\n{log.read_text(errors='replace')[-2000:]}") from error
    finally:
        process.kill()
        process.wait()


def measure(subject: Subject, cell: Cell, seconds: float) -> Run:
    """Raises `RuntimeError` with the subject's log when it does not start or does not live through it."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as directory,
        traffic.sink(cell.delay) as sink,
        started(subject, cell, sink, Path(directory)) as (process, ports, first_ok),
    ):
        pid, port = process.pid, target(cell, ports)
        time.sleep(0.5)
        idle = memory(pid)
        warm = traffic.send(cell, port, WARM, 1)
        sink.settled(warm.spans, DRAIN)
        before = sink.counts()
        cpu = cpu_seconds(pid)
        with traffic.sending(cell, port, _length(cell, seconds), warm.next) as load:
            outage_cpu = _outage(cell, sink, pid) if cell.outage else None
            time.sleep((RECOVER if cell.outage else seconds) * 0.7)
            loaded = memory(pid)
            done = traffic.reported(load)
        ended = time.monotonic()
        drained = sink.settled(warm.spans + done.spans, DRAIN * (3 if cell.outage else 1))
        drain = time.monotonic() - ended
        used = cpu_seconds(pid) - cpu
        after = sink.counts()
        return Run(
            first_ok_ms=first_ok,
            idle=idle,
            loaded=loaded,
            peak=peak(pid),
            cpu=used,
            outage_cpu=outage_cpu,
            drained=drained,
            drain=drain,
            delivered=after.distinct - before.distinct,
            lost=max(0, warm.spans + done.spans - after.distinct),
            duplicates=after.duplicates,
            whole=after.malformed == 0 and after.spliced == (after.resources if subject.adds else 0),
            sent=done,
            upstream_requests=after.requests - before.requests,
        )


def _length(cell: Cell, seconds: float) -> float:
    return BEFORE + cell.outage + RECOVER if cell.outage else seconds


def _outage(cell: Cell, sink: Sink, pid: int) -> float:
    """The upstream goes and comes back; CPU in between, from two seconds after it went."""
    time.sleep(BEFORE)
    sink.switch("down")
    time.sleep(2)
    cpu, since = cpu_seconds(pid), time.monotonic()
    time.sleep(cell.outage - 2)
    share = (cpu_seconds(pid) - cpu) / (time.monotonic() - since) * 100
    sink.switch("up")
    return share
