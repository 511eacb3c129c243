package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/metric"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

var (
	began = time.Unix(1_700_000_000, 0)
	app   = resource.NewSchemaless(attribute.String("service.name", "checkout"), attribute.String("app.only", "kept"))
)

// One signal after the other, so that what is refused of one is not mixed with another.
func send(ctx context.Context, count int) {
	spans, metrics, logs := exporters(ctx)
	sendSpans(ctx, spans, count)
	sendPoints(ctx, metrics, count)
	sendRecords(ctx, logs, count)
}

func exporters(ctx context.Context) (sdktrace.SpanExporter, sdkmetric.Exporter, sdklog.Exporter) {
	var spans sdktrace.SpanExporter
	var metrics sdkmetric.Exporter
	var logs sdklog.Exporter
	var errors [3]error
	if os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL") == "grpc" {
		spans, errors[0] = otlptracegrpc.New(ctx)
		metrics, errors[1] = otlpmetricgrpc.New(ctx)
		logs, errors[2] = otlploggrpc.New(ctx)
	} else {
		spans, errors[0] = otlptracehttp.New(ctx)
		metrics, errors[1] = otlpmetrichttp.New(ctx)
		logs, errors[2] = otlploghttp.New(ctx)
	}
	for _, err := range errors {
		check(err)
	}
	return spans, metrics, logs
}

func sendSpans(ctx context.Context, exporter sdktrace.SpanExporter, count int) {
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(app))
	tracer := provider.Tracer("test")
	for n := range count {
		start := began.Add(time.Duration(n) * time.Millisecond)
		_, span := tracer.Start(ctx, fmt.Sprintf("span-%d", n),
			trace.WithTimestamp(start), trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
				attribute.Int("n", n), attribute.String("text", fmt.Sprintf("é%d", n)), attribute.Float64("ratio", float64(n)/8),
				attribute.Bool("even", n%2 == 0), attribute.StringSlice("list", []string{"a", "b"})))
		span.AddEvent("cache.miss", trace.WithTimestamp(start.Add(time.Millisecond)))
		if n%2 == 1 {
			span.SetStatus(codes.Error, "odd")
		}
		span.End(trace.WithTimestamp(start.Add(5 * time.Millisecond)))
		fmt.Println("span-"+fmt.Sprint(n), span.SpanContext().TraceID(), span.SpanContext().SpanID())
	}
	report(provider.Shutdown(ctx))
}

func sendPoints(ctx context.Context, exporter sdkmetric.Exporter, count int) {
	reader := sdkmetric.NewPeriodicReader(exporter, sdkmetric.WithInterval(time.Hour))
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader), sdkmetric.WithResource(app))
	meter := provider.Meter("test")
	orders, err := meter.Int64Counter("orders")
	check(err)
	latency, err := meter.Float64Histogram("latency")
	check(err)
	level, err := meter.Float64Gauge("level")
	check(err)
	for n := range count {
		orders.Add(ctx, int64(n), metric.WithAttributes(attribute.Int("n", n)))
		latency.Record(ctx, 0.5)
	}
	level.Record(ctx, 0.25)
	report(provider.Shutdown(ctx))
}

func sendRecords(ctx context.Context, exporter sdklog.Exporter, count int) {
	provider := sdklog.NewLoggerProvider(sdklog.WithProcessor(sdklog.NewBatchProcessor(exporter)), sdklog.WithResource(app))
	logger := provider.Logger("test")
	for n := range count {
		var record log.Record
		record.SetTimestamp(began.Add(time.Duration(n) * time.Millisecond))
		record.SetSeverity(log.SeverityInfo)
		record.SetSeverityText("INFO")
		record.SetBody(attribute.StringValue(fmt.Sprintf("line-%d", n)))
		record.AddAttributes(attribute.Int("n", n))
		logger.Emit(ctx, record)
	}
	report(provider.Shutdown(ctx))
}
