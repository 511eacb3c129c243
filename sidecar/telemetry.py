"""Every metric that we emit about ourselves, declared once.

Names are OpenTelemetry's form (dots, unit apart); Prometheus sees them by the usual mapping (`outrider.otlp.requests`
becomes `outrider_otlp_requests_total`). The counters themselves live with the code that counts (`model/counters`).
"""

from __future__ import annotations

import os
import resource as rusage
from collections.abc import Iterator, Mapping, Sequence

from .model.counters import HeartbeatCounters, ReceiverCounters, SpoolCounters, UpstreamCounters
from .model.health import CheckReport, State, Verdict
from .model.process import ProcessSample
from .model.signals import Declared, Metric
from .version import VERSION

NUMBERS = {State.PASS: 0, State.WARN: 1, State.FAIL: 2, State.UNKNOWN: 3}
"""States as numbers, for dashboards."""


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
SPOOL_BYTES = Declared("outrider.spool.bytes", "gauge", "By", "Bodies that wait in the spool.", ("upstream",))
SPOOL_DISK = Declared("outrider.spool.disk", "gauge", "By", "The spool's files, its log included.")
SPOOL_ROWS = Declared("outrider.spool.rows", "gauge", "{request}", "Requests that wait in the spool.", ("upstream",))
SPOOL_OLDEST = Declared(
    "outrider.spool.oldest_age", "gauge", "s", "Since when the oldest request in the spool waits.", ("upstream",)
)
SPOOL_WRITTEN = Declared(
    "outrider.spool.written", "counter", "{request}", "Requests written to the spool.", ("upstream",)
)
SPOOL_QUARANTINED = Declared(
    "outrider.spool.quarantined",
    "counter",
    "{request}",
    "Requests set aside because the upstream rejects them or the disk has changed them.",
    ("upstream",),
)
SPOOL_EVICTED = Declared(
    "outrider.spool.evicted",
    "counter",
    "{request}",
    "Requests lost because the spool was full (on_full: evict_oldest).",
    ("upstream",),
)
SPOOL_ERRORS = Declared("outrider.spool.errors", "counter", "{error}", "Failures of the spool's disk.", ("reason",))
HEARTBEATS = Declared("outrider.heartbeats", "counter", "{heartbeat}", "Reports to the collector.", ("outcome",))
LOOP_LAG = Declared("outrider.loop.lag", "gauge", "s", "How late the sidecar's own event loop is.")
CPU = Declared("outrider.cpu", "counter", "s", "CPU time of the sidecar itself, user and system.")
MEMORY = Declared("outrider.resident_memory", "gauge", "By", "Resident memory of the sidecar itself.")
FDS = Declared("outrider.open_file_descriptors", "gauge", "{file_descriptor}", "Open files of the sidecar itself.")

DECLARED = [value for value in list(globals().values()) if isinstance(value, Declared)]


def health(
    verdict: Verdict,
    checks: Sequence[CheckReport],
    runs: Mapping[str, Mapping[State, int]],
    transitions: Mapping[str, int],
    start: float,
) -> Iterator[Metric]:
    """The verdict and every check."""
    gates = {"overall": verdict.status, "live": verdict.live, "ready": verdict.ready, "started": verdict.started}
    yield HEALTH.of((((gate,), NUMBERS[state]) for gate, state in gates.items()))
    yield CHECK.of(((c.name, c.kind, c.role, c.severity), NUMBERS[c.state]) for c in checks)
    yield CHECK_DURATION.of(((c.name, c.kind), c.duration) for c in checks if c.duration is not None)
    kinds = {check.name: check.kind for check in checks}
    yield CHECK_RUNS.of((((n, kinds[n], raw), count) for n, by in runs.items() for raw, count in by.items()), start)
    yield CHECK_TRANSITIONS.of((((n, kinds[n]), count) for n, count in transitions.items()), start)


def target(sample: ProcessSample, start: float) -> Iterator[Metric]:
    """The neighbour's process: is it there, how often did it start, and what it uses."""
    yield TARGET_UP.of([((), float(sample.found))])
    yield TARGET_RESTARTS.of([((), sample.restarts)], start)
    yield from sample.metrics


def receiver(counters: ReceiverCounters, start: float) -> Iterator[Metric]:
    """What applications have sent us."""
    for declared, values in (
        (OTLP_REQUESTS, counters.requests),
        (OTLP_ITEMS, counters.items),
        (OTLP_BYTES, counters.bytes),
    ):
        yield declared.of((((signal,), value) for signal, value in values.items()), start)
    yield OTLP_REFUSED.of((((str(status),), n) for status, n in sorted(counters.refused.items())), start)


def relay(upstreams: Mapping[str, tuple[UpstreamCounters, bool]], in_flight: int, start: float) -> Iterator[Metric]:
    """What became of it: counters and whether it accepts, by upstream."""
    yield RELAY_ITEMS.of(
        (((name, *key), n) for name, (counters, _) in upstreams.items() for key, n in sorted(counters.items.items())),
        start,
    )
    yield RELAY_SENDS.of(
        (((name, *key), n) for name, (counters, _) in upstreams.items() for key, n in sorted(counters.sends.items())),
        start,
    )
    yield RELAY_IN_FLIGHT.of([((), in_flight)])
    yield RELAY_UP.of((((name,), float(up)) for name, (_, up) in upstreams.items()))


def spool(
    waiting: Mapping[str, tuple[int, int, float]], disk: int, counters: SpoolCounters, start: float
) -> Iterator[Metric]:
    """The queue on disk: by upstream rows, bytes and age of the oldest in seconds; what was written and what was lost."""
    yield SPOOL_ROWS.of(((name,), rows) for name, (rows, _, _) in waiting.items())
    yield SPOOL_BYTES.of(((name,), size) for name, (_, size, _) in waiting.items())
    yield SPOOL_OLDEST.of(((name,), age) for name, (_, _, age) in waiting.items())
    yield SPOOL_DISK.of([((), disk)])
    for declared, counter in (
        (SPOOL_WRITTEN, counters.written),
        (SPOOL_QUARANTINED, counters.quarantined),
        (SPOOL_EVICTED, counters.evicted),
        (SPOOL_ERRORS, counters.errors),
    ):
        yield declared.of((((key,), n) for key, n in sorted(counter.items())), start)


def heartbeats(counters: HeartbeatCounters, start: float) -> Metric:
    return HEARTBEATS.of([(("sent",), counters.sent), (("failed",), counters.failed)], start)


def ourselves(loop_lag: float, start: float) -> Iterator[Metric]:
    """The sidecar's own process. What needs a file descriptor is left out where there is none."""
    used = rusage.getrusage(rusage.RUSAGE_SELF)
    yield INFO.of([((VERSION,), 1)])
    yield LOOP_LAG.of([((), loop_lag)])
    yield CPU.of([((), used.ru_utime + used.ru_stime)], start)
    try:
        with open("/proc/self/statm", "rb") as statm:
            pages = int(statm.read().split()[1])
        files = len(os.listdir("/proc/self/fd"))
    except OSError:
        return
    yield MEMORY.of([((), pages * os.sysconf("SC_PAGE_SIZE"))])
    yield FDS.of([((), files)])
