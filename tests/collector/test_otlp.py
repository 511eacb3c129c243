"""The OpenTelemetry SDK's own exporters, posting to the collector."""

from __future__ import annotations

import asyncio
import io
import socket

import aiohttp
import grpc
import msgspec
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import SpanKind, Status, StatusCode

from collector import resources
from collector.app import Settings, build
from sidecar.io import log as logging
from sidecar.io.clock import SystemClock
from sidecar.logic.scalars import Address
from sidecar.model.signals import Signal

from .test_api import FREE, collector, get

RESOURCE = Resource({"service.name": "shop", "service.instance.id": "shop-1"})


def make_traces(exporter: SpanExporter) -> str:
    """Three orders, of which the second fails; answers the trace id of that one."""
    provider = TracerProvider(resource=RESOURCE, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer, failed = provider.get_tracer("test"), ""
    for number in range(3):
        with tracer.start_as_current_span("POST /orders", kind=SpanKind.SERVER) as span:
            with tracer.start_as_current_span("INSERT orders", kind=SpanKind.CLIENT) as inner:
                inner.set_attribute("db.system.name", "sqlite")
                inner.set_attribute("db.rows", [number, number + 1])
            if number == 1:
                span.set_status(Status(StatusCode.ERROR, "no stock"))
                span.add_event("refused", {"item": "chair"})
                failed = f"{span.get_span_context().trace_id:032x}"
    provider.shutdown()
    return failed


@pytest.mark.parametrize("protocol", ["http", "grpc"])
async def test_traces_of_the_sdk_can_be_asked_for(protocol: str) -> None:
    async with collector() as (running, session):
        over_http = OTLPSpanExporter(
            endpoint=f"http://127.0.0.1:{running.port}/v1/traces", compression=Compression.Gzip
        )
        over_grpc = GrpcSpanExporter(
            endpoint=f"http://127.0.0.1:{running.grpc_port}", insecure=True, compression=grpc.Compression.Gzip
        )
        failed = await asyncio.to_thread(make_traces, over_http if protocol == "http" else over_grpc)
        body = (await get(session, "/v1/traces?service=shop"))[2]
        assert [t.spans for t in msgspec.json.decode(body, type=resources.Traces).traces] == [2, 2, 2]
        body = (await get(session, "/v1/traces?error=true"))[2]
        (found,) = msgspec.json.decode(body, type=resources.Traces).traces
        assert (found.trace_id, found.service, found.name) == (failed, "shop", "POST /orders")
        body = (await get(session, f"/v1/traces/{failed}"))[2]
        root, child = msgspec.json.decode(body, type=resources.TraceDetail).spans
        assert (root.kind, root.status, root.message, root.parent) == ("server", "error", "no stock", None)
        assert [(event.name, event.attributes) for event in root.events] == [("refused", {"item": "chair"})]
        assert (child.parent, child.kind, child.instance) == (root.span_id, "client", "shop-1")
        assert child.attributes == {"db.system.name": "sqlite", "db.rows": [1, 2]}
        assert root.start <= child.start
        assert root.duration_ms >= child.duration_ms > 0


async def test_traces_in_json_can_be_asked_for_too() -> None:
    request = {
        "resourceSpans": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "web"}}]},
                "scopeSpans": [
                    {
                        "spans": [
                            {
                                "traceId": "0AF7651916cd43dd8448eb211c80319c",
                                "spanId": "b7ad6b7169203331",
                                "name": "click",
                                "kind": 3,
                                "startTimeUnixNano": "1700000000000000000",
                                "endTimeUnixNano": "1700000000005000000",
                            }
                        ]
                    }
                ],
            }
        ]
    }
    async with collector() as (running, session):
        async with (
            aiohttp.ClientSession(f"http://127.0.0.1:{running.port}") as exporter,
            exporter.post("/v1/traces", json=request) as answer,
        ):
            assert (answer.status, answer.content_type, await answer.read()) == (200, "application/json", b"{}")
        body = (await get(session, "/v1/traces/0af7651916cd43dd8448eb211c80319c"))[2]
        (span,) = msgspec.json.decode(body, type=resources.TraceDetail).spans
        assert (span.name, span.kind, span.duration_ms) == ("click", "client", 5.0)


def make_metrics(endpoint: str) -> None:
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(endpoint=f"{endpoint}/v1/metrics"))
    provider = MeterProvider([reader], resource=RESOURCE, shutdown_on_exit=False)
    provider.get_meter("test").create_counter("orders").add(1)
    provider.shutdown()


async def test_metrics_of_the_sdk_are_accepted_counted_and_dropped() -> None:
    async with collector() as (running, session):
        await asyncio.to_thread(make_metrics, f"http://127.0.0.1:{running.port}")
        telemetry = msgspec.json.decode((await get(session, "/"))[2], type=resources.Index).telemetry
        assert telemetry.metrics_dropped >= 1
        assert running.traces.received[Signal.METRICS] == telemetry.metrics_dropped


async def test_a_port_of_grpc_that_is_taken_leaves_the_rest_open_and_is_told() -> None:
    said = io.StringIO()
    log = logging.configure("info", said)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = Address("127.0.0.1", other.getsockname()[1])
        async with build(Settings(FREE, taken, ":memory:"), SystemClock(), log) as running:
            assert running.grpc_port == 0
            async with aiohttp.ClientSession(f"http://127.0.0.1:{running.port}") as session:
                assert (await get(session, "/livez"))[0] == 200
    assert f"cannot listen on {taken}: the port is taken by another process" in said.getvalue()
