package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	traces "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

func stream(ctx context.Context, count int) {
	target := strings.TrimPrefix(os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT"), "http://")
	connection, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	check(err)
	defer connection.Close()
	client := collector.NewTraceServiceClient(connection)
	var calls sync.WaitGroup
	for n := range count {
		calls.Go(func() {
			span := &traces.Span{Name: fmt.Sprintf("stream-%04d", n), TraceId: make([]byte, 16), SpanId: make([]byte, 8)}
			scope := &traces.ScopeSpans{Spans: []*traces.Span{span}}
			_, err := client.Export(ctx, &collector.ExportTraceServiceRequest{
				ResourceSpans: []*traces.ResourceSpans{{ScopeSpans: []*traces.ScopeSpans{scope}}},
			})
			check(err)
		})
	}
	calls.Wait()
}
