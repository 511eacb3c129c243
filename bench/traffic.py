"""The load and the sink, each the program in Go that `bench/load` holds, and what they report."""

from __future__ import annotations

import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from .cells import Cell
from .programs import must

LOAD = "outrider-load"


class Sent(msgspec.Struct, frozen=True):
    """What became of the load. Latencies are those of accepted requests."""

    seconds: float
    requests: int
    accepted: int
    spans: int
    """In accepted requests."""
    refused: dict[str, int]
    errors: dict[str, int]
    next: int
    p50_ms: float
    p99_ms: float
    max_ms: float


class Counts(msgspec.Struct, frozen=True):
    """What arrived at the sink; `spans` may be log records. `distinct` and `duplicates` are of those that have numbers."""

    requests: int
    spans: int
    distinct: int
    duplicates: int
    foreign: int
    resources: int
    spliced: int
    malformed: int
    bytes: int
    inflated: int


class Sink(msgspec.Struct, frozen=True):
    """A backend that accepts everything; its ports."""

    http: int
    grpc: int
    control: int

    def port(self, protocol: str) -> int:
        return self.http if protocol == "http" else self.grpc

    def counts(self) -> Counts:
        """Of spans."""
        return self._counted("count")

    def lines(self) -> Counts:
        """Of log records, each by the number that its line has: #0123456789#."""
        return self._counted("lines")

    def _counted(self, what: str) -> Counts:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.control}/{what}", timeout=120) as answer:
            return msgspec.json.decode(answer.read(), type=Counts)

    def switch(self, way: str) -> None:
        """`down`: connections are reset and refused. `up`: as before."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.control}/{way}", b"", timeout=30):
            pass

    def settled(self, spans: int, within: float) -> bool:
        """Wait until so many distinct spans have arrived, or nothing came for two seconds, or `within` seconds are over."""
        until, last, since = time.monotonic() + within, -1, time.monotonic()
        while (now := time.monotonic()) < until:
            arrived = self.counts().distinct
            if arrived >= spans:
                return True
            if arrived != last:
                last, since = arrived, now
            elif now - since > max(2.0, within / 4):
                return False
            time.sleep(0.05)
        return False


@contextmanager
def sink(delay: float = 0.0) -> Iterator[Sink]:
    process = subprocess.Popen([must(LOAD), "sink", "--delay", f"{delay}s"], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield msgspec.json.decode(process.stdout.readline(), type=Sink)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@contextmanager
def sending(cell: Cell, port: int, seconds: float, first: int) -> Iterator[subprocess.Popen[bytes]]:
    """Load in the background, of spans numbered from `first`; `reported` waits for its end. Killed on the way out."""
    options = {
        "to": f"127.0.0.1:{port}",
        "protocol": cell.protocol,
        "spans": cell.spans,
        "connections": cell.connections,
        "streams": cell.streams,
        "seconds": seconds,
        "rate": cell.rate,
        "first": first,
    }
    arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    with subprocess.Popen([must(LOAD), "send", *arguments], stdout=subprocess.PIPE) as load:
        try:
            yield load
        finally:
            load.kill()


def reported(load: subprocess.Popen[bytes]) -> Sent:
    """Raises `subprocess.CalledProcessError` when the load itself failed."""
    out, _ = load.communicate()
    if load.returncode:
        raise subprocess.CalledProcessError(load.returncode, load.args)
    return msgspec.json.decode(out, type=Sent)


def send(cell: Cell, port: int, seconds: float, first: int) -> Sent:
    """Load until its end."""
    with sending(cell, port, seconds, first) as load:
        return reported(load)
