import io.opentelemetry.api.common.AttributeKey;
import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.api.logs.Severity;
import io.opentelemetry.api.trace.SpanKind;
import io.opentelemetry.api.trace.StatusCode;
import io.opentelemetry.context.Context;
import io.opentelemetry.exporter.otlp.http.logs.OtlpHttpLogRecordExporter;
import io.opentelemetry.exporter.otlp.http.metrics.OtlpHttpMetricExporter;
import io.opentelemetry.exporter.otlp.http.trace.OtlpHttpSpanExporter;
import io.opentelemetry.exporter.otlp.logs.OtlpGrpcLogRecordExporter;
import io.opentelemetry.exporter.otlp.metrics.OtlpGrpcMetricExporter;
import io.opentelemetry.exporter.otlp.trace.OtlpGrpcSpanExporter;
import io.opentelemetry.sdk.logs.SdkLoggerProvider;
import io.opentelemetry.sdk.logs.export.BatchLogRecordProcessor;
import io.opentelemetry.sdk.logs.export.LogRecordExporter;
import io.opentelemetry.sdk.metrics.SdkMeterProvider;
import io.opentelemetry.sdk.metrics.export.MetricExporter;
import io.opentelemetry.sdk.metrics.export.PeriodicMetricReader;
import io.opentelemetry.sdk.resources.Resource;
import io.opentelemetry.sdk.trace.SdkTracerProvider;
import io.opentelemetry.sdk.trace.export.BatchSpanProcessor;
import io.opentelemetry.sdk.trace.export.SpanExporter;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.concurrent.TimeUnit;

/**
 * The OpenTelemetry SDK of Java, for tests/e2e/test_otlp_foreign_sdks.py, which says what is sent: `Send N` sends N spans, points
 * and records by the exporters that OTEL_EXPORTER_OTLP_PROTOCOL names.
 */
public final class Send {
  private static final String ENDPOINT = System.getenv("OTEL_EXPORTER_OTLP_ENDPOINT");
  private static final String COMPRESSION = System.getenv("OTEL_EXPORTER_OTLP_COMPRESSION");
  private static final boolean GRPC = System.getenv("OTEL_EXPORTER_OTLP_PROTOCOL").equals("grpc");
  private static final Resource APP =
      Resource.create(Attributes.builder().put("service.name", "checkout").put("app.only", "kept").build());
  private static final Instant BEGAN = Instant.ofEpochSecond(1_700_000_000);

  /** One signal after the other, so that what is refused of one is not mixed with another. */
  public static void main(String[] args) {
    int count = Integer.parseInt(args[0]);
    sendSpans(count);
    sendPoints(count);
    sendRecords(count);
  }

  private static void sendSpans(int count) {
    SpanExporter exporter = GRPC
        ? OtlpGrpcSpanExporter.builder().setEndpoint(ENDPOINT).setCompression(COMPRESSION).build()
        : OtlpHttpSpanExporter.builder().setEndpoint(ENDPOINT + "/v1/traces").setCompression(COMPRESSION).build();
    var provider = SdkTracerProvider.builder()
        .setResource(APP)
        .addSpanProcessor(BatchSpanProcessor.builder(exporter).build())
        .build();
    var tracer = provider.get("test");
    var out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    for (int n = 0; n < count; n++) {
      Instant start = BEGAN.plusMillis(n);
      var span = tracer.spanBuilder("span-" + n)
          .setNoParent()
          .setSpanKind(SpanKind.SERVER)
          .setStartTimestamp(start)
          .setAttribute("n", (long) n)
          .setAttribute("text", "\u00e9" + n)
          .setAttribute("ratio", n / 8.0)
          .setAttribute("even", n % 2 == 0)
          .setAttribute(AttributeKey.stringArrayKey("list"), java.util.List.of("a", "b"))
          .startSpan();
      span.addEvent("cache.miss", start.plusMillis(1));
      if (n % 2 == 1) {
        span.setStatus(StatusCode.ERROR, "odd");
      }
      span.end(start.plusMillis(5));
      out.println("span-" + n + " " + span.getSpanContext().getTraceId() + " " + span.getSpanContext().getSpanId());
    }
    out.flush();
    provider.shutdown().join(30, TimeUnit.SECONDS);
  }

  private static void sendPoints(int count) {
    MetricExporter exporter = GRPC
        ? OtlpGrpcMetricExporter.builder().setEndpoint(ENDPOINT).setCompression(COMPRESSION).build()
        : OtlpHttpMetricExporter.builder().setEndpoint(ENDPOINT + "/v1/metrics").setCompression(COMPRESSION).build();
    var reader = PeriodicMetricReader.builder(exporter).setInterval(Duration.ofHours(1)).build();
    var provider = SdkMeterProvider.builder().setResource(APP).registerMetricReader(reader).build();
    var meter = provider.get("test");
    var orders = meter.counterBuilder("orders").build();
    var latency = meter.histogramBuilder("latency").build();
    for (int n = 0; n < count; n++) {
      orders.add(n, Attributes.of(AttributeKey.longKey("n"), (long) n));
      latency.record(0.5);
    }
    meter.gaugeBuilder("level").build().set(0.25);
    provider.shutdown().join(30, TimeUnit.SECONDS);
  }

  private static void sendRecords(int count) {
    LogRecordExporter exporter = GRPC
        ? OtlpGrpcLogRecordExporter.builder().setEndpoint(ENDPOINT).setCompression(COMPRESSION).build()
        : OtlpHttpLogRecordExporter.builder().setEndpoint(ENDPOINT + "/v1/logs").setCompression(COMPRESSION).build();
    var provider = SdkLoggerProvider.builder()
        .setResource(APP)
        .addLogRecordProcessor(BatchLogRecordProcessor.builder(exporter).build())
        .build();
    var logger = provider.get("test");
    for (int n = 0; n < count; n++) {
      logger.logRecordBuilder()
          .setContext(Context.root())
          .setTimestamp(BEGAN.plusMillis(n))
          .setSeverity(Severity.INFO)
          .setSeverityText("INFO")
          .setBody("line-" + n)
          .setAttribute(AttributeKey.longKey("n"), (long) n)
          .emit();
    }
    provider.shutdown().join(30, TimeUnit.SECONDS);
  }
}
