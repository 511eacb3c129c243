// The loggers of Go, for tests/e2e/test_log_programs.py, which says what each line must become: `logs NAME` writes with zap,
// zerolog, slog (JSON), slog-text, log (the standard library's), klog or panic.
package main

import (
	"errors"
	"flag"
	"log"
	"log/slog"
	"os"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/zap"
	"k8s.io/klog/v2"
)

const (
	trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	span  = "00f067aa0ba902b7"
)

var failed = errors.New("connection refused")

func main() {
	map[string]func(){
		"zap": withZap, "zerolog": withZerolog, "slog": withSlog, "slog-text": withSlogText, "log": withLog, "klog": withKlog,
		"panic": withPanic,
	}[os.Args[1]]()
}

func withZap() {
	logger, err := zap.NewProduction()
	if err != nil {
		panic(err)
	}
	logger.Info("order placed", zap.Int64("order", 9007199254740993), zap.Float64("total", 12.5), zap.Bool("gift", true),
		zap.Strings("items", []string{"a", "b"}), zap.String("trace_id", trace), zap.String("span_id", span))
	logger.Named("db").Error("write failed", zap.Error(failed), zap.Duration("after", 1500*time.Millisecond))
}

func withZerolog() {
	zerolog.TimeFieldFormat = zerolog.TimeFormatUnixMs
	logger := zerolog.New(os.Stderr).With().Timestamp().Str("service", "checkout").Logger()
	logger.Warn().Int("attempt", 3).Err(failed).Msg("retrying")
	logger.Debug().Str("text", "é\n\"x\"").Dict("user", zerolog.Dict().Int("id", 7)).Send()
}

func withSlog() {
	logger := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	logger.Info("order placed", "order", 7, "took", 1500*time.Millisecond)
	logger.With("request", "r1").WithGroup("http").Error("write failed", "status", 502, "error", failed)
	logger.Log(nil, slog.LevelDebug+2, "between")
}

func withSlogText() {
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	logger.Info("order placed", "order", 7, "took", 1500*time.Millisecond, "path", "/a b")
	logger.Warn("quotes \"in\" it", "empty", "", "trace_id", trace, "span_id", span)
}

func withLog() {
	log.Print("listening on :8080")
	log.SetFlags(log.LstdFlags | log.Lmicroseconds | log.Lshortfile)
	log.Print("ERROR: write failed")
}

func withKlog() {
	klog.InitFlags(nil)
	flag.CommandLine.Parse([]string{"-logtostderr"})
	klog.Info("Starting controller")
	klog.ErrorS(failed, "Unable to sync pod", "pod", klog.KRef("kube-system", "dns"), "attempt", 3)
	klog.Flush()
}

type account struct{ balance *int }

func withPanic() {
	log.Print("before")
	go func() { select {} }()
	charge(&account{})
}

//go:noinline
func charge(account *account) { *account.balance -= 5 }
