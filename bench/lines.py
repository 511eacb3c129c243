"""Logs beside the OpenTelemetry Collector: `python -m bench logs`.

*Throughput*: a file of `LINES` lines appears under the pattern that a subject follows; what it costs until the sink has every
line. *Losses*: a program writes 2,000 lines a second for 20 s and rotates its file every second, while the subject is killed
twice and started again; how many lines never arrive.

Every line has a number of its own (`#0000000042#`), which the sink reads back, so nothing is taken on trust.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen
from typing import Any

import msgspec

from tests.ports import free_port

from . import traffic
from .process import cpu_seconds, memory, peak, start, until_200
from .programs import must
from .run import SUBJECT_CORE
from .subjects import ROOT
from .traffic import Sink

LINES = 400_000
DRAIN = 120.0
SILENCE = 20.0
"""Seconds without a line after which no more will come. The last line comes alone, for it has waited for what might belong to it;
on a busy machine that may take a while, and a line that is late is not lost."""


class Form(msgspec.Struct, frozen=True):
    """How lines look, and what is made of them."""

    name: str
    line: Callable[[int], str]
    attributes: str = "all"


_SPREAD = 0x9E3779B97F4A7C15F39CC0605CEDC835
"""Makes ids of numbers that look like those of programs, digits and letters mixed."""


def json_line(n: int) -> str:
    """268 bytes with its line end."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(1_770_000_000 + n // 1000))
    return (
        f'{{"time":"{stamp}.{n % 1000:03d}Z","level":"{"warn" if n % 50 == 0 else "info"}","msg":"request handled #{n:010d}#",'
        f'"method":"GET","path":"/api/items/{n % 1000:03d}","status":{200 if n % 50 else 404},"duration_ms":{10 + n % 90}.25,'
        f'"trace_id":"{n * _SPREAD % (1 << 128):032x}",'
        f'"span_id":"{n * 0xBF58476D1CE4E5B9 % (1 << 64):016x}","user":"u{n % 5000:05d}",'
        '"pool":"blue-7"}'
    )


_REST = "and said no more of it than that it was well, took its time, and left. ".ljust(223, "x")


def plain_line(n: int) -> str:
    """As long as that."""
    return f"worker {n % 16:02d} handled the request #{n:010d}# {_REST}"


FORMS = (
    Form("json", json_line),
    Form("json, lifted", json_line, "lifted"),
    Form("plain", plain_line, "none"),
)


class Place(msgspec.Struct, frozen=True):
    """Where a subject works: what it follows, what it keeps across a kill, and where its sink is."""

    pattern: str
    state: Path
    sink: Sink
    form: Form


class LogSubject(msgspec.Struct, frozen=True):
    """`command(place, port)` answers GET / or /livez on the port when it is up."""

    name: str
    command: Callable[[Place, int], list[str]]
    path: str
    root: Path | None = None
    forms: tuple[str, ...] = ("json", "plain")


def _outrider(place: Place, port: int) -> list[str]:
    config = {
        "service": {"name": "bench"},
        "api": {"listen": f"127.0.0.1:{port}"},
        "otlp": {"grpc": "off", "http": "off"},
        "logs": [{"file": place.pattern, "attributes": place.form.attributes}],
        "export": [{"otlp_http": {"endpoint": f"http://127.0.0.1:{place.sink.http}", "compression": "none"}}],
        "spool": {"path": str(place.state / "spool"), "max_bytes": 256 << 20},
    }
    return [sys.executable, "-m", "sidecar", "run", "--config", _written(config, place)]


def _otelcol(place: Place, port: int, *, durable: bool) -> list[str]:
    receiver: dict[str, Any] = {"include": [place.pattern], "start_at": "beginning"}
    exporter: dict[str, Any] = {"endpoint": f"http://127.0.0.1:{place.sink.http}", "compression": "none"}
    extensions: dict[str, Any] = {"health_check": {"endpoint": f"127.0.0.1:{port}"}}
    if place.form.name != "plain":
        stamp = {"parse_from": "attributes.time", "layout_type": "gotime", "layout": "2006-01-02T15:04:05.000Z"}
        receiver["operators"] = [
            {"type": "json_parser", "timestamp": stamp, "severity": {"parse_from": "attributes.level"}}
        ]
    processors: dict[str, Any] = {"memory_limiter": {"check_interval": "1s", "limit_mib": 512, "spike_limit_mib": 128}}
    extensions["file_storage"] = {"directory": str(place.state / "storage"), "create_directory": True}
    receiver["storage"] = "file_storage"
    if durable:
        queue = {"storage": "file_storage", "sizer": "items", "queue_size": 700_000, "batch": {}}
        exporter["sending_queue"] = queue
    else:
        processors["batch"] = {}
    metrics = {"readers": [{"pull": {"exporter": {"prometheus": {"host": "127.0.0.1", "port": free_port()}}}}]}
    config = {
        "receivers": {"file_log": receiver},
        "processors": processors,
        "exporters": {"otlp_http": exporter},
        "extensions": extensions,
        "service": {
            "extensions": list(extensions),
            "telemetry": {"metrics": metrics},
            "pipelines": {
                "logs": {"receivers": ["file_log"], "processors": list(processors), "exporters": ["otlp_http"]}
            },
        },
    }
    return [must("otelcol"), "--config", _written(config, place)]


def _written(config: dict[str, Any], place: Place) -> str:
    file = place.state / "config.yaml"
    file.write_text(json.dumps(config, indent=1))
    return str(file)


OUTRIDER = LogSubject("outrider", _outrider, "/livez", ROOT, ("json", "json, lifted", "plain"))
DURABLE = LogSubject(
    "otelcol, checkpoints and disk queue", lambda place, port: _otelcol(place, port, durable=True), "/"
)
SUBJECTS = (
    OUTRIDER,
    DURABLE,
    LogSubject("otelcol, checkpoints", lambda place, port: _otelcol(place, port, durable=False), "/"),
)


@contextmanager
def running(subject: LogSubject, place: Place) -> Iterator[Popen[bytes]]:
    """A subject that is up. Killed in the end."""
    place.state.mkdir(exist_ok=True)
    port = free_port()
    since = time.perf_counter()
    log = place.state / "log"
    process = start(["taskset", "--cpu-list", str(SUBJECT_CORE), *subject.command(place, port)], subject.root, log)
    try:
        until_200(port, "GET", subject.path, {}, since, process)
        yield process
    except OSError as error:
        raise RuntimeError(f"{subject.name}: {error}\n{log.read_text(errors='replace')[-2000:]}") from error
    finally:
        process.kill()
        process.wait()


class Throughput(msgspec.Struct, frozen=True):
    """Times in seconds, memory in MB."""

    lines_per_second: float
    cpu_per_million: float
    idle: float
    peak: float
    lost: int
    duplicates: int


def write_lines(form: Form, count: int, to: Path) -> None:
    with to.open("w", encoding="ascii") as file:
        file.writelines(form.line(n) + "\n" for n in range(count))


def throughput(subject: LogSubject, form: Form, lines: Path, count: int = LINES) -> Throughput:
    """`lines` is the file with `count` lines of that form; it is linked into the place where it is followed."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=lines.parent) as at, traffic.sink() as sink:
        watched = Path(at, "watched")
        watched.mkdir()
        with running(subject, Place(f"{watched}/*.log", Path(at, "state"), sink, form)) as process:
            time.sleep(1.0)
            idle, cpu = memory(process.pid).rss, cpu_seconds(process.pid)
            began = time.perf_counter()
            os.link(lines, watched / "app.log")
            ended = _arrived(sink, count, DRAIN)
            used = cpu_seconds(process.pid) - cpu
            counts = sink.lines()
            return Throughput(
                counts.distinct / (ended - began),
                used / max(1, counts.distinct) * 1e6,
                idle,
                peak(process.pid),
                count - counts.distinct,
                counts.duplicates,
            )


def _arrived(sink: Sink, lines: int, within: float) -> float:
    """When so many lines had arrived, or the last one did."""
    until, last, since = time.perf_counter() + within, -1, time.perf_counter()
    while (now := time.perf_counter()) < until:
        arrived = sink.lines().distinct
        if arrived != last:
            last, since = arrived, now
        if arrived >= lines or now - since > SILENCE:
            break
        time.sleep(0.02)
    return since


RATE = 2000
SECONDS = 20


class Case(msgspec.Struct, frozen=True):
    """How a file is rotated while the subject is killed at these times."""

    name: str
    pattern: str
    copytruncate: bool
    kills: tuple[float, ...]


CASES = (
    Case("rename, app.log, killed between rotations", "app.log", copytruncate=False, kills=(5.5, 12.5)),
    Case("rename, app.log, killed 40 ms before a rotation", "app.log", copytruncate=False, kills=(5.96, 12.96)),
    Case("rename, app.log*, killed 40 ms before a rotation", "app.log*", copytruncate=False, kills=(5.96, 12.96)),
    Case("copytruncate, app.log, not killed", "app.log", copytruncate=True, kills=()),
    Case("copytruncate, app.log*, not killed", "app.log*", copytruncate=True, kills=()),
    Case("copytruncate, app.log, killed between rotations", "app.log", copytruncate=True, kills=(5.5, 12.5)),
)


class Losses(msgspec.Struct, frozen=True):
    written: int
    lost: int
    duplicates: int


def losses(subject: LogSubject, case: Case, seconds: int = SECONDS) -> Losses:
    """The program does not wait until the subject is there again after a kill."""
    with tempfile.TemporaryDirectory(prefix="bench-") as at, traffic.sink() as sink:
        watched = Path(at, "watched")
        watched.mkdir()
        place = Place(f"{watched}/{case.pattern}", Path(at, "state"), sink, FORMS[-1])
        writer = Writer(watched / "app.log", RATE * seconds, case.copytruncate)
        for kill in (*case.kills, None):
            with running(subject, place):
                if writer.ident is None:
                    writer.start()
                if kill is not None:
                    time.sleep(max(0.0, writer.began + kill - time.perf_counter()))
                else:
                    writer.join()
                    _arrived(sink, writer.written, DRAIN)
        counts = sink.lines()
        return Losses(writer.written, writer.written - counts.distinct, counts.duplicates)


class Writer(threading.Thread):
    """Writes `total` lines at `RATE`, and rotates where a second is full. Rotated files are kept, two deep."""

    def __init__(self, path: Path, total: int, copytruncate: bool) -> None:
        super().__init__(daemon=True)
        self.began = time.perf_counter()
        self.written = 0
        self._path, self._total, self._copytruncate = path, total, copytruncate
        self._open()

    def _open(self) -> None:
        self._file = open(self._path, "a", buffering=1, encoding="ascii")  # noqa: SIM115 - it is exchanged on the way

    def run(self) -> None:
        self.began = time.perf_counter()
        while self.written < self._total:
            due = min(self._total, int((time.perf_counter() - self.began) * RATE))
            while self.written < due:
                self._file.write(plain_line(self.written) + "\n")
                self.written += 1
                if self.written % RATE == 0:
                    self._rotate()
            time.sleep(0.001)
        self._file.close()

    def _rotate(self) -> None:
        first, second = (self._path.with_name(f"{self._path.name}.{n}") for n in (1, 2))
        if first.exists():
            first.replace(second)
        if self._copytruncate:
            first.write_bytes(self._path.read_bytes())
            os.truncate(self._path, 0)
        else:
            self._path.replace(first)
            self._file.close()
            self._open()
