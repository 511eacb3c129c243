"""Where Outrider's time goes under a cell's load: by library (perf, where it is installed: interpreter, kernel, event loop), and
by Python function with the C that it calls (cProfile, which slows it: read the order, not the amounts; `run` of `runners.py`
is the event loop, and its waiting)."""

from __future__ import annotations

import io
import pstats
import subprocess
import tempfile
import time
from pathlib import Path

import msgspec

from . import traffic
from .cells import Cell
from .process import stop
from .programs import program
from .run import WARM, started, target
from .subjects import OUTRIDER, Ports, Subject
from .traffic import Sink

TOP = 40
_LAUNCH = """
import cProfile
from sidecar.cli import main
profile = cProfile.Profile(builtins=False)
try:
    profile.runcall(main)
finally:
    profile.dump_stats({file!r})
"""


def profile(cell: Cell, seconds: float) -> str:
    """An outage is left out."""
    cell = msgspec.structs.replace(cell, outage=0.0)
    return "\n".join([cell.name, *_libraries(cell, seconds), _functions(cell, seconds)])


def _libraries(cell: Cell, seconds: float) -> list[str]:
    perf = program("perf")
    if perf is None:
        return ["perf is not installed"]
    with tempfile.TemporaryDirectory(prefix="bench-") as name, traffic.sink(cell.delay) as sink:
        data = str(Path(name, "perf.data"))
        with started(OUTRIDER, cell, sink, Path(name)) as (process, ports, _):
            record = [
                perf,
                "record",
                "-q",
                "-F",
                "999",
                "-o",
                data,
                "-p",
                str(process.pid),
                "--",
                "sleep",
                str(seconds),
            ]
            with traffic.sending(cell, target(cell, ports), WARM + seconds, 1):
                time.sleep(WARM)
                subprocess.run(record, check=True, stderr=subprocess.DEVNULL)
        report = [perf, "report", "-i", data, "--stdio", "--sort", "dso", "--percent-limit", "0.5"]
        said = subprocess.run(report, check=True, capture_output=True, text=True).stdout
    return [line.rstrip() for line in said.splitlines() if line.strip() and not line.startswith("#")]


def _functions(cell: Cell, seconds: float) -> str:
    with tempfile.TemporaryDirectory(prefix="bench-") as name, traffic.sink(cell.delay) as sink:
        file = str(Path(name, "profile"))

        def command(cell: Cell, ports: Ports, sink: Sink, directory: Path) -> list[str]:
            python, _, _, *rest = OUTRIDER.command(cell, ports, sink, directory)
            return [python, "-c", _LAUNCH.format(file=file), *rest]

        profiled = Subject("outrider under cProfile", command, root=OUTRIDER.root)
        with started(profiled, cell, sink, Path(name)) as (process, ports, _):
            done = traffic.send(cell, target(cell, ports), WARM + seconds, 1)
            stop(process)
        out = io.StringIO()
        pstats.Stats(file, stream=out).strip_dirs().sort_stats("tottime").print_stats(
            r"^(?!.*(<frozen|<module>|_parser|_compiler))", TOP
        )
    return f"{done.accepted} requests accepted\n{out.getvalue()}"
