"""The ring of traces."""

from __future__ import annotations

from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.traces import Traces, decode
from sidecar.model.signals import Batch, Signal

SECOND = 10**9


def request(service: str, *spans: dict[str, Any]) -> bytes:
    """`spans` by the fields that matter: trace, span, parent, start, end (seconds), error."""
    made: Any = ExportTraceServiceRequest()
    resource_spans = made.resource_spans.add()
    for key, value in {"service.name": service, "service.instance.id": f"{service}-1"}.items():
        resource_spans.resource.attributes.add(key=key).value.string_value = value
    scope = resource_spans.scope_spans.add()
    for given in spans:
        span = scope.spans.add(
            trace_id=bytes([given["trace"]] * 16),
            span_id=bytes([given["span"]] * 8),
            parent_span_id=bytes([given["parent"]] * 8) if "parent" in given else b"",
            name=given.get("name", f"span {given['span']}"),
            kind=given.get("kind", 2),
            start_time_unix_nano=int(given.get("start", 1) * SECOND),
            end_time_unix_nano=int(given.get("end", 2) * SECOND),
        )
        if given.get("error"):
            span.status.code = 2
            span.status.message = "boom"
        span.attributes.add(key="http.route").value.string_value = "/items"
        listed = span.attributes.add(key="list").value.array_value.values
        listed.add().int_value = 1
        listed.add().bool_value = True
        span.events.add(name="retry", time_unix_nano=int(1.5 * SECOND))
    return made.SerializeToString()  # type: ignore[no-any-return]


def ring(*bodies: bytes, **bounds: int) -> Traces:
    traces = Traces(**bounds)
    for body in bodies:
        traces.hold(decode(body))
    return traces


def test_a_trace_over_two_services_reads_as_one() -> None:
    traces = ring(
        request("cache", {"trace": 1, "span": 2, "parent": 1, "start": 1.2, "end": 1.4, "kind": 3, "error": True}),
        request("api", {"trace": 1, "span": 1, "name": "GET /items", "start": 1, "end": 2.5}),
    )
    found = traces.get("01" * 16)
    assert found is not None
    trace, spans = found
    assert (trace.service, trace.name, trace.duration_ms, trace.spans) == ("api", "GET /items", 1500.0, 2)
    assert (trace.error, trace.services) == (True, ("api", "cache"))
    assert trace.start.isoformat() == "1970-01-01T00:00:01+00:00"
    root, child = spans
    assert (root.parent, root.kind, root.status, root.instance) == (None, "server", "unset", "api-1")
    assert (child.parent, child.kind, child.status, child.message) == ("01" * 8, "client", "error", "boom")
    assert root.attributes == {"http.route": "/items", "list": [1, True]}
    assert [event.name for event in root.events] == ["retry"]


def test_traces_are_found_by_service_and_error_newest_first() -> None:
    traces = ring(
        request("api", {"trace": 1, "span": 1}),
        request("api", {"trace": 2, "span": 1, "error": True}),
        request("cache", {"trace": 3, "span": 1}),
        request("cache", {"trace": 1, "span": 2, "parent": 1}),
    )

    def found(**query: Any) -> list[str]:
        return [trace.trace_id[:2] for trace in traces.find(**query)]

    assert found() == ["01", "03", "02"]
    assert found(service="cache") == ["01", "03"]
    assert found(error=True) == ["02"]
    assert found(error=False) == ["01", "03"]
    assert found(limit=1) == ["01"]
    assert found(service="nobody") == []


def test_the_oldest_spans_leave_first() -> None:
    bodies = [request("api", {"trace": n, "span": 1}, {"trace": n, "span": 2}) for n in range(1, 6)]
    traces = ring(*bodies, max_spans=5)
    assert len(traces) == 5
    assert [(trace.trace_id[:2], trace.spans) for trace in traces.find()] == [("05", 2), ("04", 2), ("03", 1)]
    assert traces.get("01" * 16) is None


def test_bytes_are_bounded_too() -> None:
    long = [request("api", {"trace": n, "span": 1, "name": "x" * 1000}) for n in range(1, 100)]
    assert 5 <= len(ring(*long, max_bytes=10_000)) < 10


def test_a_span_that_comes_twice_is_held_once() -> None:
    body = request("api", {"trace": 1, "span": 1})
    traces = ring(body, body, body, max_spans=2)
    assert (len(traces), traces.find()[0].spans) == (1, 1)


def test_what_is_no_trace_id_is_not_found() -> None:
    assert ring().get("nonsense") is None


def test_a_time_beyond_every_calendar_is_shown_as_the_epoch() -> None:
    traces = ring(request("api", {"trace": 1, "span": 1, "start": 1.8e10, "end": 1.8e10}))
    assert traces.find()[0].start.year == 2540
    traces.hold([*decode(request("api", {"trace": 2, "span": 1}))])
    far: Any = ExportTraceServiceRequest.FromString(request("api", {"trace": 3, "span": 1}))
    far.resource_spans[0].scope_spans[0].spans[0].start_time_unix_nano = 2**64 - 1
    traces.hold(decode(far.SerializeToString()))
    assert traces.find()[0].start.year == 2554


async def test_metrics_and_logs_are_counted_and_dropped() -> None:
    traces = Traces()
    for signal, items in ((Signal.METRICS, 3), (Signal.LOGS, 4), (Signal.LOGS, 1)):
        assert (await traces.take(Batch(signal, b"anything", items))).status == 200
    assert traces.received == {Signal.TRACES: 0, Signal.METRICS: 3, Signal.LOGS: 5}
    assert len(traces) == 0


async def test_what_does_not_decode_is_refused_for_good() -> None:
    assert (await Traces().take(Batch(Signal.TRACES, b"\xff\xff\xff", 1))).status == 400


async def test_a_large_body_is_held_like_a_small_one() -> None:
    spans = [{"trace": 1 + n % 200, "span": 1 + n % 250, "name": "x" * 100} for n in range(2000)]
    body = request("api", *spans)
    assert len(body) > 256 << 10
    traces = Traces()
    assert (await traces.take(Batch(Signal.TRACES, body, 2000))).status == 200
    assert len(traces) == len({(s["trace"], s["span"]) for s in spans})
