"""The bench's load and sink, without anything between them: what is said to be sent is what is counted."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from bench import traffic
from bench.cells import Cell
from tests.real import require


def cell(protocol: str, **more: float) -> Cell:
    return Cell(protocol=protocol, upstream=protocol, spans=7, connections=3, rate=more.pop("rate", 100.0), **more)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _built() -> None:
    require(traffic.LOAD)


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_each_span_that_was_accepted_is_counted_once(protocol: str) -> None:
    with traffic.sink() as sink:
        sent = traffic.send(cell(protocol), sink.port(protocol), 0.5, 1)
        assert (sent.requests, sent.accepted, sent.spans, sent.next) == (50, 50, 350, 351)
        assert (sent.refused, sent.errors) == ({}, {})
        assert 0 < sent.p50_ms <= sent.p99_ms <= sent.max_ms
        counts = sink.counts()
        assert (counts.requests, counts.spans, counts.distinct, counts.duplicates) == (50, 350, 350, 0)
        assert (counts.resources, counts.spliced, counts.foreign, counts.malformed) == (50, 0, 0, 0)


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_spans_that_come_again_are_duplicates(protocol: str) -> None:
    with traffic.sink() as sink:
        for _ in range(2):
            traffic.send(cell(protocol), sink.port(protocol), 0.2, 1)
        counts = sink.counts()
        assert (counts.spans, counts.distinct, counts.duplicates) == (280, 140, 140)


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_sink_that_is_down_accepts_nothing_until_it_is_up(protocol: str) -> None:
    with traffic.sink() as sink:
        sink.switch("down")
        sent = traffic.send(cell(protocol), sink.port(protocol), 0.2, 1)
        assert sent.accepted == 0
        assert sent.errors == {"connection refused": sent.requests}
        sink.switch("up")
        assert traffic.send(cell(protocol), sink.port(protocol), 0.2, 1).accepted == 20
        assert sink.counts().distinct == 140


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_late_answer_is_latency(protocol: str) -> None:
    with traffic.sink(0.08) as sink:
        sent = traffic.send(cell(protocol, rate=20.0), sink.port(protocol), 0.5, 1)
        assert sent.accepted == 10
        assert sent.p50_ms >= 80


class _Upstream(BaseHTTPRequestHandler):
    """Keeps bodies, and answers each with what is due."""

    protocol_version = "HTTP/1.1"
    bodies: list[bytes] = []
    answers: list[tuple[int, bytes]] = []

    def do_POST(self) -> None:
        self.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        status, body = self.answers.pop(0)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Silent."""


def test_requests_are_otlp_and_only_what_was_accepted_counts_as_accepted() -> None:
    """An empty partial success, as the Collector sends it, rejects nothing."""
    empty, some = ExportTraceServiceResponse(), ExportTraceServiceResponse()
    empty.partial_success.SetInParent()
    some.partial_success.rejected_spans = 3
    _Upstream.bodies = []
    _Upstream.answers = [
        (200, b""),
        (200, empty.SerializeToString()),
        (200, some.SerializeToString()),
        (429, b"later"),
    ]
    server = HTTPServer(("127.0.0.1", 0), _Upstream)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        one = Cell(protocol="http", upstream="http", spans=7, connections=1, rate=20.0)
        sent = traffic.send(one, server.server_port, 0.2, 1)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert (sent.requests, sent.accepted, sent.spans) == (4, 2, 14)
    assert sent.refused == {"partial success": 1, "429": 1}
    ids = set()
    for body in _Upstream.bodies:
        [resource] = ExportTraceServiceRequest.FromString(body).resource_spans
        spans = [span for scope in resource.scope_spans for span in scope.spans]
        assert len(spans) == 7
        assert all(len(s.trace_id) == 16 and s.start_time_unix_nano <= s.end_time_unix_nano for s in spans)
        ids |= {span.span_id for span in spans}
    assert len(ids) == 28
