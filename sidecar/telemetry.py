"""Every metric that we emit about ourselves, declared once.

Names are OpenTelemetry's form (dots, unit apart); Prometheus sees them by the usual mapping (`outrider.otlp.requests`
becomes `outrider_otlp_requests_total`). The counters themselves live with the code that counts (`model/counters`).
"""

from __future__ import annotations

import os
import resource as rusage
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from .model.counters import HeartbeatCounters, ReceiverCounters, UpstreamCounters
from .model.health import CheckReport, State, Verdict
from .model.process import ProcessSample
from .model.signals import Kind, Metric, Point
from .version import VERSION

NUMBERS = {State.PASS: 0, State.WARN: 1, State.FAIL: 2, State.UNKNOWN: 3}
"""States as numbers, for dashboards."""


class Declared(msgspec.Struct, frozen=True):
    """A metric without its values. `attributes` are the names that every point carries, in order."""

    name: str
    kind: Kind
    unit: str
    description: str
    attributes: tuple[str, ...] = ()


_STATES = "0 pass, 1 warn, 2 fail, 3 unknown"

INFO = Declared("outrider.info", "gauge", "", "The sidecar's version; always 1.", ("version",))
HEALTH = Declared("outrider.health.status", "gauge", "", f"The verdict on the service by gate: {_STATES}.", ("gate",))
CHECK = Declared(
    "outrider.check.status",
    "gauge",
    "",
    f"The state of a check after its thresholds: {_STATES}.",
    ("check", "kind", "role", "severity"),
)
CHECK_DURATION = Declared(
    "outrider.check.duration", "gauge", "s", "How long the last run of a check took.", ("check", "kind")
)
CHECK_RUNS = Declared(
    "outrider.check.runs", "counter", "{run}", "Runs of a check by what they saw.", ("check", "kind", "result")
)
CHECK_TRANSITIONS = Declared(
    "outrider.check.transitions", "counter", "{transition}", "Changes of a check's state.", ("check", "kind")
)
TARGET_UP = Declared("outrider.target.up", "gauge", "", "1 when the neighbour's process is found, else 0.")
TARGET_RESTARTS = Declared(
    "outrider.target.restarts", "counter", "{restart}", "Starts of the neighbour's process after the first."
)
OTLP_REQUESTS = Declared("outrider.otlp.requests", "counter", "{request}", "OTLP requests taken.", ("signal",))
OTLP_ITEMS = Declared(
    "outrider.otlp.items", "counter", "{item}", "Spans, data points and log records taken.", ("signal",)
)
OTLP_BYTES = Declared("outrider.otlp.bytes", "counter", "By", "Bytes of OTLP taken, after decompression.", ("signal",))
OTLP_REFUSED = Declared(
    "outrider.otlp.refused_requests", "counter", "{request}", "OTLP requests refused, by HTTP status.", ("status",)
)
RELAY_ITEMS = Declared(
    "outrider.relay.items",
    "counter",
    "{item}",
    "Items by what became of them: accepted, rejected by the upstream (never retried), failed (the producer was told).",
    ("upstream", "signal", "outcome"),
)
RELAY_SENDS = Declared(
    "outrider.relay.sends", "counter", "{request}", "Requests to an upstream.", ("upstream", "signal", "outcome")
)
RELAY_IN_FLIGHT = Declared("outrider.relay.in_flight", "gauge", "By", "Bytes taken and not yet settled.")
RELAY_UP = Declared("outrider.relay.upstream.up", "gauge", "", "1 while an upstream accepts, else 0.", ("upstream",))
HEARTBEATS = Declared("outrider.heartbeats", "counter", "{heartbeat}", "Reports to the collector.", ("outcome",))
LOOP_LAG = Declared("outrider.loop.lag", "gauge", "s", "How late the sidecar's own event loop is.")
CPU = Declared("outrider.cpu", "counter", "s", "CPU time of the sidecar itself, user and system.")
MEMORY = Declared("outrider.resident_memory", "gauge", "By", "Resident memory of the sidecar itself.")
FDS = Declared("outrider.open_file_descriptors", "gauge", "{file_descriptor}", "Open files of the sidecar itself.")

DECLARED = [value for value in list(globals().values()) if isinstance(value, Declared)]

Labels = tuple[str, ...]


def made(declared: Declared, points: Iterable[tuple[Labels, float]], start: float = 0.0) -> Metric:
    """The metric with its values; labels stand in the declared order."""
    return Metric(
        declared.name,
        declared.kind,
        declared.unit,
        declared.description,
        tuple(Point(value, tuple(zip(declared.attributes, labels, strict=True))) for labels, value in points),
        start,
    )


def health(
    verdict: Verdict,
    checks: Sequence[CheckReport],
    runs: Mapping[str, Mapping[State, int]],
    transitions: Mapping[str, int],
    start: float,
) -> Iterator[Metric]:
    """The verdict and every check."""
    gates = {"overall": verdict.status, "live": verdict.live, "ready": verdict.ready, "started": verdict.started}
    yield made(HEALTH, (((gate,), NUMBERS[state]) for gate, state in gates.items()))
    yield made(CHECK, (((c.name, c.kind, c.role, c.severity), NUMBERS[c.state]) for c in checks))
    yield made(CHECK_DURATION, (((c.name, c.kind), c.duration) for c in checks if c.duration is not None))
    kinds = {check.name: check.kind for check in checks}
    yield made(CHECK_RUNS, (((n, kinds[n], raw), count) for n, by in runs.items() for raw, count in by.items()), start)
    yield made(CHECK_TRANSITIONS, (((n, kinds[n]), count) for n, count in transitions.items()), start)


def target(sample: ProcessSample, start: float) -> Iterator[Metric]:
    """The neighbour's process: is it there, how often did it start, and what it uses."""
    yield made(TARGET_UP, [((), float(sample.found))])
    yield made(TARGET_RESTARTS, [((), sample.restarts)], start)
    yield from sample.metrics


def receiver(counters: ReceiverCounters, start: float) -> Iterator[Metric]:
    """What applications have sent us."""
    for declared, values in (
        (OTLP_REQUESTS, counters.requests),
        (OTLP_ITEMS, counters.items),
        (OTLP_BYTES, counters.bytes),
    ):
        yield made(declared, (((signal,), value) for signal, value in values.items()), start)
    yield made(OTLP_REFUSED, (((str(status),), n) for status, n in sorted(counters.refused.items())), start)


def relay(upstreams: Mapping[str, tuple[UpstreamCounters, bool]], in_flight: int, start: float) -> Iterator[Metric]:
    """What became of it: counters and whether it accepts, by upstream."""
    yield made(
        RELAY_ITEMS,
        (((name, *key), n) for name, (counters, _) in upstreams.items() for key, n in sorted(counters.items.items())),
        start,
    )
    yield made(
        RELAY_SENDS,
        (((name, *key), n) for name, (counters, _) in upstreams.items() for key, n in sorted(counters.sends.items())),
        start,
    )
    yield made(RELAY_IN_FLIGHT, [((), in_flight)])
    yield made(RELAY_UP, (((name,), float(up)) for name, (_, up) in upstreams.items()))


def heartbeats(counters: HeartbeatCounters, start: float) -> Metric:
    return made(HEARTBEATS, [(("sent",), counters.sent), (("failed",), counters.failed)], start)


def ourselves(loop_lag: float, start: float) -> Iterator[Metric]:
    """The sidecar's own process."""
    used = rusage.getrusage(rusage.RUSAGE_SELF)
    yield made(INFO, [((VERSION,), 1)])
    yield made(LOOP_LAG, [((), loop_lag)])
    yield made(CPU, [((), used.ru_utime + used.ru_stime)], start)
    with open("/proc/self/statm", "rb") as statm:
        yield made(MEMORY, [((), int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE"))])
    yield made(FDS, [((), len(os.listdir("/proc/self/fd")))])
