// The OpenTelemetry SDK of Go and grpc-go, for tests/e2e/test_otlp_foreign_sdks.py, which says what is sent.
//
//	send N     N spans, points and records by the exporters that OTEL_EXPORTER_OTLP_PROTOCOL names
//	streams N  N calls at once, by grpc-go on one connection, one span in each
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"go.opentelemetry.io/otel"
)

func main() {
	count, err := strconv.Atoi(os.Args[2])
	check(err)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	otel.SetErrorHandler(otel.ErrorHandlerFunc(report))
	switch os.Args[1] {
	case "send":
		send(ctx, count)
	case "streams":
		stream(ctx, count)
	}
}

func check(err error) {
	if err != nil {
		report(err)
		os.Exit(1)
	}
}

func report(err error) {
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, err)
}
