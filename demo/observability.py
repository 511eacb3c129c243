"""What both demo services emit: JSON log lines with trace ids, traces and metrics by OTLP, over HTTP or gRPC as
OTEL_EXPORTER_OTLP_PROTOCOL says.

An ordinary use of opentelemetry-sdk, as its documentation shows it. Without OTEL_EXPORTER_OTLP_ENDPOINT
nothing is traced or sent, so a service runs and is tested alone.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog
from opentelemetry import metrics, trace
from structlog.typing import EventDict, WrappedLogger

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricExporter
    from opentelemetry.sdk.trace.export import SpanExporter

# Read by the instrumentation when it starts: today's semantic conventions, and no span per health probe.
INSTRUMENTATION = {
    "OTEL_SEMCONV_STABILITY_OPT_IN": "http",
    "OTEL_PYTHON_EXCLUDED_URLS": "/healthz$,/readyz$,/metrics$",
}


def trace_ids(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Adds `trace_id` and `span_id` (lower hex, W3C) to a line that is logged inside a span."""
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = trace.format_trace_id(context.trace_id)
        event["span_id"] = trace.format_span_id(context.span_id)
    return event


def start_logging(level: str = "info") -> None:
    """One JSON object per line on stdout, from structlog and from the libraries' standard logging alike."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
        trace_ids,
        structlog.processors.format_exc_info,
    ]
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def start_telemetry(service: str) -> Callable[[], None]:
    """Traces and metrics to OTEL_EXPORTER_OTLP_ENDPOINT. Call before the first app or client session is made.

    Returns what flushes and stops them.
    """
    if not os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return lambda: None
    for key, value in {"OTEL_SERVICE_NAME": service, **INSTRUMENTATION}.items():
        os.environ.setdefault(key, value)

    # Here, because they cost 100 ms and a service without telemetry needs none of them.
    from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
    from opentelemetry.instrumentation.aiohttp_server import AioHttpServerInstrumentor
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    spans, points = exporters()
    tracers = TracerProvider()
    tracers.add_span_processor(BatchSpanProcessor(spans))
    trace.set_tracer_provider(tracers)
    meters = MeterProvider([PeriodicExportingMetricReader(points)])
    metrics.set_meter_provider(meters)
    AioHttpServerInstrumentor().instrument()
    AioHttpClientInstrumentor().instrument()

    def stop() -> None:
        tracers.shutdown()
        meters.shutdown()

    return stop


def exporters() -> tuple[SpanExporter, MetricExporter]:
    if os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetricExporter
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter

        return GrpcSpanExporter(), GrpcMetricExporter()
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter(), OTLPMetricExporter()
