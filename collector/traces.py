"""The traces of the last minutes, in a ring bounded by spans and by bytes; the oldest spans leave first.

A span is kept as its protobuf bytes, beside the few values that searching needs: what is held is then what is counted,
and only a trace that is asked for is decoded. A span that comes twice (OTLP is at least once) is kept once. Metrics and
logs are counted and dropped for now.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Literal, cast

import msgspec

from sidecar.logic.otlp_http import OK, Reply, refusal
from sidecar.model.signals import Batch, Signal

from .resources import AttributeValue, Span, SpanEvent, Trace, instant

MAX_SPANS = 20_000
MAX_BYTES = 32 << 20
OFF_LOOP = 256 << 10
"""Bodies above this many bytes are decoded in a thread, so that heartbeats do not wait for them."""

SpanKind = Literal["unspecified", "internal", "server", "client", "producer", "consumer"]
_KINDS: tuple[SpanKind, ...] = ("unspecified", "internal", "server", "client", "producer", "consumer")
_STATUSES: tuple[Literal["unset", "ok", "error"], ...] = ("unset", "ok", "error")


class Held(msgspec.Struct, frozen=True):
    """One span: what is searched for, and the rest as bytes. Times are unix nanoseconds."""

    trace_id: bytes
    span_id: bytes
    parent: bytes
    service: str
    instance: str
    name: str
    start: int
    end: int
    error: bool
    body: bytes


class Traces:
    def __init__(self, max_spans: int = MAX_SPANS, max_bytes: int = MAX_BYTES) -> None:
        self.received = dict.fromkeys(Signal, 0)
        """Items by signal since the start."""
        self._max_spans = max_spans
        self._max_bytes = max_bytes
        self._bytes = 0
        self._order: deque[Held] = deque()
        self._traces: dict[bytes, dict[bytes, Held]] = {}

    def __len__(self) -> int:
        """Spans held."""
        return len(self._order)

    async def take(self, batch: Batch) -> Reply:
        """The receiver's: holds a batch's spans; of metrics and logs only the count."""
        if batch.signal is Signal.TRACES:
            try:
                if len(batch.body) > OFF_LOOP:
                    spans = await asyncio.to_thread(decode, batch.body)
                else:
                    spans = decode(batch.body)
            except ValueError as error:
                return refusal(400, str(error))
            self.hold(spans)
        self.received[batch.signal] += batch.items
        return OK

    def hold(self, spans: Iterable[Held]) -> None:
        for span in spans:
            trace = self._traces.pop(span.trace_id, None) or {}
            self._traces[span.trace_id] = trace  # now the newest
            if span.span_id in trace:
                continue
            trace[span.span_id] = span
            self._order.append(span)
            self._bytes += len(span.body)
        while len(self._order) > self._max_spans or self._bytes > self._max_bytes:
            oldest = self._order.popleft()
            self._bytes -= len(oldest.body)
            trace = self._traces[oldest.trace_id]
            del trace[oldest.span_id]
            if not trace:
                del self._traces[oldest.trace_id]

    def find(self, service: str | None = None, error: bool | None = None, limit: int = 50) -> list[Trace]:
        """Newest first. `service` is any of a trace's, `error` is about any of its spans."""
        found: list[Trace] = []
        for trace in reversed(self._traces.values()):
            spans = trace.values()
            if service is not None and all(span.service != service for span in spans):
                continue
            if error is not None and any(span.error for span in spans) is not error:
                continue
            found.append(summary(spans))
            if len(found) == limit:
                break
        return found

    def get(self, trace_id: str) -> tuple[Trace, tuple[Span, ...]] | None:
        """One trace by its 32 hex digits, its spans by start; None where it is not held."""
        try:
            trace = self._traces.get(bytes.fromhex(trace_id))
        except ValueError:
            return None
        if trace is None:
            return None
        spans = sorted(trace.values(), key=lambda span: (span.start, span.span_id))
        return summary(spans), tuple(_span(held) for held in spans)


def decode(body: bytes) -> list[Held]:
    """The spans of an ExportTraceServiceRequest. Raises `ValueError`."""
    # Here and not above, because the command's help must not need the extra.
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    try:
        return list(_decode(ExportTraceServiceRequest.FromString(body)))
    except DecodeError:
        raise ValueError("not an ExportTraceServiceRequest") from None


def _decode(request: Any) -> Iterator[Held]:
    for resource_spans in request.resource_spans:
        attributes = {pair.key: pair.value.string_value for pair in resource_spans.resource.attributes}
        service = sys.intern(attributes.get("service.name", "unknown_service"))
        instance = sys.intern(attributes.get("service.instance.id", ""))
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                yield Held(
                    trace_id=span.trace_id,
                    span_id=span.span_id,
                    parent=span.parent_span_id,
                    service=service,
                    instance=instance,
                    name=span.name,
                    start=span.start_time_unix_nano,
                    end=span.end_time_unix_nano,
                    error=span.status.code == 2,
                    body=span.SerializeToString(),
                )


def summary(spans: Iterable[Held]) -> Trace:
    """`spans` is not empty and of one trace. Its root is the earliest span whose parent is not held here."""
    spans = list(spans)
    held = {span.span_id for span in spans}
    root = min(spans, key=lambda span: (span.parent in held, bool(span.parent), span.start))
    start = min(span.start for span in spans)
    return Trace(
        trace_id=root.trace_id.hex(),
        service=root.service,
        name=root.name,
        start=_time(start),
        duration_ms=_ms(max(0, max(span.end for span in spans) - start)),
        spans=len(spans),
        error=any(span.error for span in spans),
        services=tuple(sorted({span.service for span in spans})),
    )


def _span(held: Held) -> Span:
    from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage

    message: Any = SpanMessage.FromString(held.body)
    return Span(
        span_id=held.span_id.hex(),
        parent=held.parent.hex() or None,
        service=held.service,
        instance=held.instance or None,
        name=held.name,
        kind=_KINDS[message.kind] if message.kind < len(_KINDS) else "unspecified",
        start=_time(held.start),
        duration_ms=_ms(max(0, held.end - held.start)),
        status=_STATUSES[message.status.code] if message.status.code < len(_STATUSES) else "unset",
        message=message.status.message,
        attributes=_attributes(message.attributes),
        events=tuple(
            SpanEvent(name=e.name, time=_time(e.time_unix_nano), attributes=_attributes(e.attributes))
            for e in message.events
        ),
    )


def _attributes(pairs: Iterable[Any]) -> dict[str, AttributeValue]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> AttributeValue:
    match value.WhichOneof("value"):
        case None:
            return None
        case "array_value":
            return [_value(item) for item in value.array_value.values]
        case "kvlist_value":
            return _attributes(value.kvlist_value.values)
        case "bytes_value":
            return cast("str", value.bytes_value.hex())
        case kind:
            return cast("AttributeValue", getattr(value, kind))


def _time(nanos: int) -> datetime:
    # A producer may send any 64 bits; what no calendar holds is shown as the epoch.
    return instant(nanos // 1000 / 1e6 if nanos < 253_402_300_799 * 10**9 else 0)


def _ms(nanos: int) -> float:
    return round(nanos / 1e6, 3)
