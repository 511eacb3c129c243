package main

import (
	"strings"
	"time"
)

// taker is what the sink does with a request, by whichever protocol it came.
type taker struct {
	traces, logs later
	delay        time.Duration // from a request's end until its answer
}

func newTaker(delay time.Duration) *taker {
	t := &taker{delay: delay}
	t.traces.tally = &tally{number: spanNumber}
	t.logs.tally = &tally{number: lineNumber}
	return t
}

// of finds who counts what came to this path, whether it is of HTTP or of gRPC; nil for metrics.
func (t *taker) of(path string) *later {
	switch {
	case strings.Contains(path, "/v1/traces") || strings.Contains(path, "TraceService"):
		return &t.traces
	case strings.Contains(path, "/v1/logs") || strings.Contains(path, "LogsService"):
		return &t.logs
	}
	return nil
}

// take counts the body, which belongs to the caller again afterwards.
func take(kind *later, gzip bool, body []byte) {
	switch {
	case kind == nil:
	case gzip:
		kind.take(body)
	default:
		kind.tally.take(body, len(body))
	}
}

func (t *taker) wait() {
	if t.delay > 0 {
		time.Sleep(t.delay)
	}
}

// after calls answer when the delay is over; without one at once.
func (t *taker) after(answer func()) {
	if t.delay > 0 {
		time.AfterFunc(t.delay, answer)
	} else {
		answer()
	}
}
