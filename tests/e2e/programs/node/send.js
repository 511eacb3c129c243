// The OpenTelemetry SDK of Node, for tests/e2e/test_otlp_foreign_sdks.py, which says what is sent: `node send.js N` sends N
// spans, points and records by the exporters that OTEL_EXPORTER_OTLP_PROTOCOL names. Those read the other OTEL_ variables.
"use strict";
const { diag, DiagLogLevel, SpanKind, SpanStatusCode } = require("@opentelemetry/api");
const { SeverityNumber } = require("@opentelemetry/api-logs");
const { resourceFromAttributes } = require("@opentelemetry/resources");
const { BatchLogRecordProcessor, LoggerProvider } = require("@opentelemetry/sdk-logs");
const { MeterProvider, PeriodicExportingMetricReader } = require("@opentelemetry/sdk-metrics");
const { BasicTracerProvider, BatchSpanProcessor } = require("@opentelemetry/sdk-trace-base");

const said = (...words) => console.error(...words);
diag.setLogger({ error: said, warn: said, info() {}, debug() {}, verbose() {} }, DiagLogLevel.WARN);

const kind = { grpc: "grpc", "http/protobuf": "proto", "http/json": "http" }[process.env.OTEL_EXPORTER_OTLP_PROTOCOL];
const { OTLPTraceExporter } = require(`@opentelemetry/exporter-trace-otlp-${kind}`);
const { OTLPMetricExporter } = require(`@opentelemetry/exporter-metrics-otlp-${kind}`);
const { OTLPLogExporter } = require(`@opentelemetry/exporter-logs-otlp-${kind}`);

const resource = resourceFromAttributes({ "service.name": "checkout", "app.only": "kept" });
const at = (n) => 1_700_000_000_000 + n;
const count = Number(process.argv[2]);

async function sendSpans() {
  const provider = new BasicTracerProvider({ resource, spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())] });
  const tracer = provider.getTracer("test");
  for (let n = 0; n < count; n++) {
    const attributes = { n, text: `é${n}`, ratio: n / 8, even: n % 2 === 0, list: ["a", "b"] };
    const span = tracer.startSpan(`span-${n}`, { attributes, kind: SpanKind.SERVER, startTime: at(n), root: true });
    span.addEvent("cache.miss", at(n + 1));
    if (n % 2) span.setStatus({ code: SpanStatusCode.ERROR, message: "odd" });
    span.end(at(n + 5));
    console.log(span.name, span.spanContext().traceId, span.spanContext().spanId);
  }
  await provider.shutdown();
}

async function sendPoints() {
  const reader = new PeriodicExportingMetricReader({ exporter: new OTLPMetricExporter(), exportIntervalMillis: 3_600_000 });
  const provider = new MeterProvider({ resource, readers: [reader] });
  const meter = provider.getMeter("test");
  const orders = meter.createCounter("orders", { valueType: 0 });
  const latency = meter.createHistogram("latency");
  for (let n = 0; n < count; n++) {
    orders.add(n, { n });
    latency.record(0.5);
  }
  meter.createGauge("level").record(0.25);
  await provider.shutdown();
}

async function sendRecords() {
  const provider = new LoggerProvider({ resource, processors: [new BatchLogRecordProcessor({ exporter: new OTLPLogExporter() })] });
  const logger = provider.getLogger("test");
  for (let n = 0; n < count; n++) {
    const said = { body: `line-${n}`, severityNumber: SeverityNumber.INFO, severityText: "INFO" };
    logger.emit({ ...said, timestamp: at(n), attributes: { n } });
  }
  await provider.shutdown();
}

// One signal after the other, so that what is refused of one is not mixed with another.
(async () => {
  for (const send of [sendSpans, sendPoints, sendRecords]) await send().catch(said);
})();
