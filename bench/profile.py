"""Where Outrider's time goes under a cell's load, by cProfile: which functions, not how much (it slows them by about half)."""

from __future__ import annotations

import io
import pstats
import tempfile
from pathlib import Path

import msgspec

from . import traffic
from .cells import Cell
from .process import free_port, start, stop, until_200
from .run import PROTOBUF, WARM
from .subjects import Ports, Subject

TOP = 40


def profile(subject: Subject, cell: Cell, seconds: float) -> str:
    """The functions with most time of their own. An outage is left out."""
    cell = msgspec.structs.replace(cell, outage=0.0)
    with tempfile.TemporaryDirectory(prefix="bench-") as name, traffic.sink(cell.delay) as sink:
        directory = Path(name)
        ports = Ports(free_port(), free_port())
        python, *rest = subject.command(cell, ports, sink, directory)
        command = [python, "-m", "cProfile", "-o", str(directory / "profile"), *rest]
        process = start(command, subject.root, directory / "log")
        try:
            until_200(ports.http, "POST", "/v1/traces", PROTOBUF, 0.0, process)
            port = ports.http if cell.protocol == "http" else ports.grpc
            done = traffic.sent(traffic.send(cell, port, WARM + seconds, 1))
        finally:
            stop(process)
        out = io.StringIO()
        pstats.Stats(str(directory / "profile"), stream=out).sort_stats("tottime").print_stats(TOP)
        return f"{done.accepted} requests accepted\n{out.getvalue()}"
