"""Every metric that we emit about ourselves, declared once.

Names are OpenTelemetry's form (dots, unit apart); Prometheus sees them by the usual mapping (`outrider.otlp.requests`
becomes `outrider_otlp_requests_total`). The counters themselves live with the code that counts (`model/counters`).
"""

from __future__ import annotations

import os
import resource as rusage
from collections.abc import Iterator, Mapping, Sequence

from .logic.retry import UpstreamState
from .model.counters import HeartbeatCounters, LogCounters, ReceiverCounters, SpoolCounters
from .model.health import CheckReport, State, Verdict
from .model.process import ProcessSample
from .model.signals import Declared, Metric, Signal
from .parcel import UpstreamView
from .version import VERSION

NUMBERS = {State.PASS: 0, State.WARN: 1, State.FAIL: 2, State.UNKNOWN: 3}
"""States as numbers, for dashboards."""
STATES = {state: number for number, state in enumerate(UpstreamState)}


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
TARGET_UP = Declared(
    "outrider.target.up",
    "gauge",
    "",
    "1 while the neighbour's process runs, 0 when it has ended; absent where its process cannot be seen.",
)
TARGET_RESTARTS = Declared(
    "outrider.target.restarts",
    "counter",
    "{restart}",
    "Starts of the neighbour's process after the first; several between two looks (at most 5 s apart) count as one.",
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
    "Items by what became of them: accepted, refused (the producer was told), or lost: rejected by the upstream, too_large "
    "for it, evicted, corrupt (changed by the disk), dropped (our own telemetry).",
    ("upstream", "signal", "outcome"),
)
RELAY_SENDS = Declared(
    "outrider.relay.sends", "counter", "{request}", "Requests to an upstream.", ("upstream", "signal", "outcome")
)
RELAY_IN_FLIGHT = Declared("outrider.relay.in_flight", "gauge", "By", "Bytes taken and not yet settled.")
RELAY_BYTES = Declared(
    "outrider.relay.bytes",
    "counter",
    "By",
    "OTLP before compression: in is what was meant for an upstream, out what it has accepted.",
    ("upstream", "direction"),
)
RELAY_STATE = Declared(
    "outrider.relay.upstream.state",
    "gauge",
    "",
    "What an upstream does: 0 ok, 1 retrying, 2 held (it refuses us until somebody acts), 3 full (its place in the spool is).",
    ("upstream",),
)
RELAY_HELD = Declared(
    "outrider.relay.held",
    "gauge",
    "",
    "1 while an upstream says that it does not have this signal (404, UNIMPLEMENTED), which therefore waits; else 0.",
    ("upstream", "signal"),
)
RELAY_SUCCESS = Declared(
    "outrider.relay.upstream.last_success_time", "gauge", "s", "When it last accepted, in unix time.", ("upstream",)
)
RELAY_ERROR = Declared(
    "outrider.relay.upstream.last_error_time", "gauge", "s", "When a send last failed, in unix time.", ("upstream",)
)
RELAY_RETRY = Declared(
    "outrider.relay.upstream.retry_time",
    "gauge",
    "s",
    "When it, or a held signal, is tried again, in unix time; absent while all is well.",
    ("upstream",),
)
QUEUE_BYTES = Declared(
    "outrider.relay.queue", "gauge", "By", "What waits for an upstream, in the spool and in memory.", ("upstream",)
)
QUEUE_REQUESTS = Declared(
    "outrider.relay.queue_requests", "gauge", "{request}", "Requests that wait for an upstream.", ("upstream",)
)
QUEUE_AGE = Declared(
    "outrider.relay.queue_age", "gauge", "s", "How long the oldest of what waits has waited.", ("upstream",)
)
SPOOL_USABLE = Declared("outrider.spool.usable", "gauge", "", "1 while the spool can be written, else 0.")
SPOOL_DISK = Declared("outrider.spool.disk", "gauge", "By", "The spool's files, its log included.")
SPOOL_WRITTEN = Declared(
    "outrider.spool.written", "counter", "{request}", "Requests written to the spool.", ("upstream",)
)
SPOOL_QUARANTINED = Declared(
    "outrider.spool.quarantined",
    "counter",
    "{request}",
    "Requests set aside: rejected by the upstream, too_large for it, corrupt or unreadable on the disk.",
    ("upstream", "reason"),
)
SPOOL_EVICTED = Declared(
    "outrider.spool.evicted",
    "counter",
    "{request}",
    "Requests that made room for newer ones (optional upstreams, and on_full: evict_oldest).",
    ("upstream",),
)
SPOOL_ERRORS = Declared("outrider.spool.errors", "counter", "{error}", "Failures of the spool's disk.", ("reason",))
HEARTBEATS = Declared("outrider.heartbeats", "counter", "{heartbeat}", "Reports to the collector.", ("outcome",))
LOG_LINES = Declared("outrider.logs.lines", "counter", "{line}", "Lines of logs read.", ("source",))
LOG_BYTES = Declared("outrider.logs.bytes", "counter", "By", "Bytes of lines of logs read.", ("source",))
LOG_RECORDS = Declared(
    "outrider.logs.records",
    "counter",
    "{record}",
    "Records made of lines, those that were dropped after that included.",
    ("source", "severity"),
)
LOG_DROPPED = Declared(
    "outrider.logs.dropped",
    "counter",
    "{line}",
    "Lines dropped as configured (severity, rate_limit, duplicate), or for want of room or time (launcher).",
    ("source", "reason"),
)
LOG_REDACTED = Declared("outrider.logs.redacted", "counter", "{value}", "Values made unreadable.", ("source", "rule"))
LOG_STREAMS = Declared(
    "outrider.logs.streams", "gauge", "{stream}", "Files or containers that are followed.", ("source",)
)
LOG_ROTATIONS = Declared(
    "outrider.logs.rotations",
    "counter",
    "{rotation}",
    "Files that were followed under one name and replaced.",
    ("source",),
)
LOG_TRUNCATIONS = Declared(
    "outrider.logs.truncations",
    "counter",
    "{truncation}",
    "Files that were emptied while they were followed; lines written shortly before may be lost.",
    ("source",),
)
LOG_CUT_LINES = Declared(
    "outrider.logs.cut_lines", "counter", "{line}", "Lines longer than max_line, cut there.", ("source",)
)
LOG_CUT_BYTES = Declared("outrider.logs.cut_bytes", "counter", "By", "What was cut off lines.", ("source",))
LOG_LOST = Declared(
    "outrider.logs.lost_bytes", "counter", "By", "Bytes known to have vanished before they could be read.", ("source",)
)
LOG_LAG = Declared(
    "outrider.logs.lag", "gauge", "By", "Written and not yet delivered, as far as it is known.", ("source",)
)
LOG_LAG_TIME = Declared(
    "outrider.logs.lag_time", "gauge", "s", "For how long the oldest of that has waited.", ("source",)
)
LOG_ERRORS = Declared(
    "outrider.logs.errors", "counter", "{error}", "What the system or an API refused to a source.", ("source", "reason")
)
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
    yield TARGET_UP.of([((), float(sample.runs))] if sample.unseen is None else [])
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


def relay(upstreams: Sequence[UpstreamView], in_flight: int, now: float, start: float) -> Iterator[Metric]:
    """By upstream: what became of it, what waits, and how the upstream does. `now` is unix seconds."""
    for declared, counted in (
        (RELAY_ITEMS, {u.name: u.counters.items for u in upstreams}),
        (RELAY_SENDS, {u.name: u.counters.sends for u in upstreams}),
    ):
        yield declared.of((((name, *key), n) for name, by in counted.items() for key, n in sorted(by.items())), start)
    ways = [((u.name, "in"), u.counters.taken_bytes) for u in upstreams]
    yield RELAY_BYTES.of([*ways, *(((u.name, "out"), u.counters.accepted_bytes) for u in upstreams)], start)
    yield RELAY_IN_FLIGHT.of([((), in_flight)])
    yield RELAY_STATE.of(((u.name,), STATES[u.state]) for u in upstreams)
    yield RELAY_HELD.of(((u.name, signal), float(signal in u.held_signals)) for u in upstreams for signal in Signal)
    yield QUEUE_BYTES.of(((u.name,), u.queue_bytes) for u in upstreams)
    yield QUEUE_REQUESTS.of(((u.name,), u.queue_rows) for u in upstreams)
    yield QUEUE_AGE.of(((u.name,), max(0.0, now - (u.oldest or now))) for u in upstreams)
    for declared, times in (
        (RELAY_SUCCESS, {u.name: u.counters.last_success_at for u in upstreams}),
        (RELAY_ERROR, {u.name: u.counters.last_error_at for u in upstreams}),
        (RELAY_RETRY, {u.name: None if u.retry_in is None else now + u.retry_in for u in upstreams}),
    ):
        yield declared.of(((name,), at) for name, at in times.items() if at is not None)


def spool(usable: bool, disk: int, counters: SpoolCounters, start: float) -> Iterator[Metric]:
    """The queue's disk: can it be written, and what was written, set aside and evicted."""
    yield SPOOL_USABLE.of([((), float(usable))])
    yield SPOOL_DISK.of([((), disk)])
    yield SPOOL_QUARANTINED.of(sorted(counters.quarantined.items()), start)
    for declared, counter in (
        (SPOOL_WRITTEN, counters.written),
        (SPOOL_EVICTED, counters.evicted),
        (SPOOL_ERRORS, counters.errors),
    ):
        yield declared.of((((key,), n) for key, n in sorted(counter.items())), start)


def logs(sources: Mapping[str, LogCounters], start: float) -> Iterator[Metric]:
    """By source: what was read, what became of it, and how far behind we are."""
    each = list(sources.items())
    yield LOG_RECORDS.of(
        (((name, severity), n) for name, c in each for severity, n in c.by_range().items()),
        start,
    )
    for declared, by_reason in (
        (LOG_DROPPED, {name: c.dropped for name, c in each}),
        (LOG_REDACTED, {name: c.redacted for name, c in each}),
        (LOG_ERRORS, {name: c.errors for name, c in each}),
    ):
        yield declared.of((((name, key), n) for name, by in by_reason.items() for key, n in sorted(by.items())), start)
    for declared, field in (
        (LOG_LINES, "lines"),
        (LOG_BYTES, "bytes"),
        (LOG_STREAMS, "streams"),
        (LOG_ROTATIONS, "rotations"),
        (LOG_TRUNCATIONS, "truncations"),
        (LOG_CUT_LINES, "cut_lines"),
        (LOG_CUT_BYTES, "cut_bytes"),
        (LOG_LOST, "lost_bytes"),
        (LOG_LAG, "lag_bytes"),
        (LOG_LAG_TIME, "lag_seconds"),
    ):
        yield declared.of((((name,), getattr(c, field)) for name, c in each), start)


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
