"""The OpenTelemetry SDK of Python, with its own exporters of HTTP and of gRPC, sends through a sidecar: all arrives once."""

from __future__ import annotations

import asyncio
import gzip
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

from tests.e2e.processes import eventually, outrider, running
from tests.fakes import RecordingUpstream
from tests.ports import free_port

MANY = 10_000
APP = Resource({"service.name": "checkout", "app.only": "kept"})
SIDECAR = {
    "OTEL_SERVICE_NAME": "not-this-one",
    "OTEL_RESOURCE_ATTRIBUTES": "k8s.pod.name=pod-7",
    "OUTRIDER_SERVICE_INSTANCE": "pod-7/app",
    "OUTRIDER_METRICS_INTERVAL": "10m",
    "OUTRIDER_DRAIN": "100ms",
}


@asynccontextmanager
async def relayed(
    tmp_path: Path, compression: str, **settings: str
) -> AsyncIterator[tuple[RecordingUpstream, str, str]]:
    """A recording upstream, and the URLs of a sidecar process in front of it, for HTTP and for gRPC. `settings` are more
    environment variables for it."""
    otlp, rpc, api = free_port(), free_port(), free_port()
    async with RecordingUpstream() as upstream:
        config = tmp_path / "outrider.yaml"
        config.write_text(f"export: [{{otlp_http: {{endpoint: '{upstream.url}', compression: {compression}}}}}]\n")
        environ = {
            **SIDECAR,
            "OUTRIDER_OTLP_GRPC": f"127.0.0.1:{rpc}",
            "OUTRIDER_OTLP_HTTP": f"127.0.0.1:{otlp}",
            "OUTRIDER_API_LISTEN": f"127.0.0.1:{api}",
            **settings,
        }
        log = tmp_path / "sidecar.log"
        with running(outrider("run", "--config", str(config)), log, environ):
            await asyncio.to_thread(eventually, lambda: post(f"http://127.0.0.1:{otlp}/v1/traces", b"") == 200)
            yield upstream, f"http://127.0.0.1:{otlp}", f"http://127.0.0.1:{rpc}"


def post(url: str, body: bytes, **headers: str) -> int:
    request = urllib.request.Request(url, body, {"Content-Type": "application/x-protobuf", **headers})
    with urllib.request.urlopen(request, timeout=10) as response:
        return int(response.status)


def exporters_over_http(url: str, gzip: bool) -> tuple[SpanExporter, MetricExporter, LogRecordExporter]:
    compression = Compression.Gzip if gzip else Compression.NoCompression
    return (
        OTLPSpanExporter(f"{url}/v1/traces", compression=compression),
        OTLPMetricExporter(f"{url}/v1/metrics", compression=compression),
        OTLPLogExporter(f"{url}/v1/logs", compression=compression),
    )


def exporters_over_grpc(url: str, gzip: bool) -> tuple[SpanExporter, MetricExporter, LogRecordExporter]:
    compression = grpc.Compression.Gzip if gzip else grpc.Compression.NoCompression
    return (
        GrpcSpanExporter(url, insecure=True, compression=compression),
        GrpcMetricExporter(url, insecure=True, compression=compression),
        GrpcLogExporter(url, insecure=True, compression=compression),
    )


def send_spans(exporter: SpanExporter) -> None:
    provider = TracerProvider(resource=APP, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=2 * MANY))
    tracer = provider.get_tracer("test")
    for n in range(MANY):
        tracer.start_span(f"span-{n}", attributes={"n": n}).end()
    provider.shutdown()


def send_points(exporter: MetricExporter) -> None:
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)
    provider = MeterProvider([reader], resource=APP, shutdown_on_exit=False)
    counter = provider.get_meter("test").create_counter("orders")
    for n in range(1000):
        counter.add(n, {"n": n})
    provider.shutdown()


def send_records(exporter: LogRecordExporter) -> None:
    provider = LoggerProvider(resource=APP, shutdown_on_exit=False)
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter, max_queue_size=2 * MANY))
    logger = provider.get_logger("test")
    for n in range(1000):
        logger.emit(LogRecord(body=f"line-{n}", severity_number=SeverityNumber.INFO))
    provider.shutdown()


def check_resource(resource: dict[str, str]) -> None:
    """The application's attributes as they were, and the sidecar's where there were none."""
    assert resource == {
        "service.name": "checkout",
        "app.only": "kept",
        "service.instance.id": "pod-7/app",
        "k8s.pod.name": "pod-7",
    }


@pytest.mark.parametrize("compression", ["none", "gzip"])
@pytest.mark.parametrize("protocol", ["http", "grpc"])
async def test_everything_the_sdk_sends_arrives_once_with_the_resource_added(
    tmp_path: Path, compression: str, protocol: str
) -> None:
    async with relayed(tmp_path, compression) as (upstream, http_url, grpc_url):
        made = exporters_over_http if protocol == "http" else exporters_over_grpc
        tracing, metering, logging = made(http_url if protocol == "http" else grpc_url, compression == "gzip")
        await asyncio.to_thread(send_spans, tracing)
        await asyncio.to_thread(send_points, metering)
        await asyncio.to_thread(send_records, logging)
        assert Counter(span.name for _, span in upstream.spans) == Counter(f"span-{n}" for n in range(MANY))
        assert Counter(record.body.string_value for _, record in upstream.records) == Counter(
            f"line-{n}" for n in range(1000)
        )
        points = [(point.attributes[0].value.int_value, point.as_int) for _, point in upstream.points]
        assert sorted(points) == [(n, n) for n in range(1000)]
        for resource, _ in (*upstream.spans, *upstream.records, *upstream.points):
            check_resource(resource)
        sent = [headers for _, headers, length in upstream.requests if length]
        assert {headers.get("content-encoding", "none") for headers in sent} == {compression}


async def test_a_request_without_a_resource_gets_one(tmp_path: Path) -> None:
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.add(name="bare")
    request.resource_spans.add().scope_spans.add().spans.add(name="two")
    async with relayed(tmp_path, "none") as (upstream, url, _):
        body = request.SerializeToString()
        assert await asyncio.to_thread(post, f"{url}/v1/traces", body) == 200
        squeezed = gzip.compress(body)
        encoded = {"Content-Encoding": "gzip"}
        assert await asyncio.to_thread(lambda: post(f"{url}/v1/traces", squeezed, **encoded)) == 200
        assert [span.name for _, span in upstream.spans] == ["bare", "two"] * 2
        for resource, _ in upstream.spans:
            assert resource["service.name"] == "not-this-one"
            assert resource["service.instance.id"] == "pod-7/app"
            assert resource["k8s.pod.name"] == "pod-7"


JSON_REQUESTS = {
    "traces": b"""{"resourceSpans": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "web"}}]},
        "scopeSpans": [{"spans": [{"traceId": "0AF7651916cd43dd8448eb211c80319c", "spanId": "b7ad6b7169203331", "kind": 3,
            "name": "click", "startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": "1700000000000000001"}]}]}]}""",
    "metrics": b"""{"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "clicks", "sum": {"isMonotonic": true,
        "aggregationTemporality": 2, "dataPoints": [{"asInt": "9007199254740993"}]}}]}]}]}""",
    "logs": b"""{"resourceLogs": [{"scopeLogs": [{"logRecords": [{"severityNumber": 9,
        "body": {"stringValue": "clicked"}}]}]}]}""",
}


@pytest.mark.parametrize("compression", ["none", "gzip"])
async def test_json_arrives_as_protobuf_with_the_resource_added(tmp_path: Path, compression: str) -> None:
    async with relayed(tmp_path, compression) as (upstream, url, _):
        for signal, body in JSON_REQUESTS.items():
            headers = {"Content-Type": "application/json"}
            assert await asyncio.to_thread(post, f"{url}/v1/{signal}", body, **headers) == 200
            headers["Content-Encoding"] = "gzip"
            assert await asyncio.to_thread(post, f"{url}/v1/{signal}", gzip.compress(body), **headers) == 200
        for resource, span in upstream.spans:
            assert (span.trace_id.hex(), span.span_id.hex()) == ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
            assert (span.name, span.kind, span.end_time_unix_nano) == ("click", 3, 1700000000000000001)
            assert resource == {"service.name": "web", "service.instance.id": "pod-7/app", "k8s.pod.name": "pod-7"}
        assert [point.as_int for _, point in upstream.points] == [9007199254740993] * 2
        assert [record.body.string_value for _, record in upstream.records] == ["clicked"] * 2
        assert len(upstream.spans) == 2


async def test_an_upstream_that_fails_is_told_to_the_sdk_which_sends_again(tmp_path: Path) -> None:
    """Nothing is lost: 503 with Retry-After makes the SDK's exporter keep its batch."""
    async with relayed(tmp_path, "none") as (upstream, url, _):
        upstream.script = [(503, {"Retry-After": "1"}, b"")]

        def send() -> None:
            provider = TracerProvider(resource=APP, shutdown_on_exit=False)
            provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{url}/v1/traces")))
            for n in range(3):
                provider.get_tracer("test").start_span(f"span-{n}").end()
            provider.shutdown()

        await asyncio.to_thread(send)
        assert sorted(span.name for _, span in upstream.spans) == ["span-0", "span-1", "span-2"]
