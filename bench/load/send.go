package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// refusedWait is how long a worker rests after a refusal: exporters back off too.
	refusedWait = 10 * time.Millisecond
	// answerWait is how long an answer may take, over gRPC after the last request; then the connection is cut.
	answerWait = 15 * time.Second
)

// sent is what send prints.
type sent struct {
	Seconds  float64        `json:"seconds"`  // until the last answer
	Requests int            `json:"requests"` // answered or failed
	Accepted int            `json:"accepted"` // answered with OK and nothing rejected
	Spans    int            `json:"spans"`    // in accepted requests
	Refused  map[string]int `json:"refused"`  // by status
	Errors   map[string]int `json:"errors"`   // by what was wrong; no answer
	Next     uint64         `json:"next"`     // number of the first span not yet sent
	P50      float64        `json:"p50_ms"`   // of accepted requests; from when they were due, at a fixed rate
	P99      float64        `json:"p99_ms"`
	Max      float64        `json:"max_ms"`
}

type caller interface {
	// call sends a message that starts with its gRPC prefix. It answers "200" when all of it was accepted.
	call(framed []byte) (string, error)
}

type worker struct {
	caller    caller
	latencies []time.Duration
	refused   map[string]int
	errors    map[string]int
}

type plan struct {
	templates []*template
	spans     uint64
	numbers   atomic.Uint64
	until     time.Time
	every     time.Duration // between the requests of one worker; 0: as fast as they are answered
}

func send(args []string) error {
	flags := flag.NewFlagSet("send", flag.ExitOnError)
	address := flags.String("to", "127.0.0.1:4318", "host:port")
	protocol := flags.String("protocol", "http", "http or grpc")
	spans := flags.Int("spans", 100, "a request")
	connections := flags.Int("connections", 4, "")
	streams := flags.Int("streams", 1, "requests in the air on each gRPC connection")
	seconds := flags.Float64("seconds", 3, "")
	rate := flags.Float64("rate", 0, "requests a second in all; 0: as fast as they are answered")
	first := flags.Uint64("first", 1, "number of the first span")
	flags.Parse(args)
	debug.SetGCPercent(400)

	var workers []*worker
	var conns []*grpcConn
	for range *connections {
		if *protocol == "http" {
			workers = append(workers, &worker{caller: &httpCaller{address: *address}})
			continue
		}
		conn := newGrpcConn(*address)
		conns = append(conns, conn)
		for range *streams {
			workers = append(workers, &worker{caller: conn.caller()})
		}
	}
	p := &plan{templates: templates(*spans), spans: uint64(*spans)}
	p.numbers.Store(*first)
	began := time.Now()
	p.until = began.Add(time.Duration(*seconds * float64(time.Second)))
	if *rate > 0 {
		p.every = time.Duration(float64(len(workers)) / *rate * float64(time.Second))
	}
	watchdog := time.AfterFunc(time.Until(p.until)+answerWait, func() {
		for _, conn := range conns {
			conn.stop()
		}
	})
	var all sync.WaitGroup
	for i, w := range workers {
		all.Go(func() { w.run(p, began.Add(p.every*time.Duration(i)/time.Duration(len(workers)))) })
	}
	all.Wait()
	watchdog.Stop()
	line, err := json.Marshal(summary(workers, p, time.Since(began)))
	fmt.Println(string(line))
	return err
}

// run sends one request after the other. At a fixed rate a request is due every so often, however long the last one took,
// and its latency counts from then.
func (w *worker) run(p *plan, due time.Time) {
	w.refused, w.errors = map[string]int{}, map[string]int{}
	var framed []byte
	for {
		now := time.Now()
		if p.every == 0 {
			due = now
		}
		if !due.Before(p.until) || now.After(p.until.Add(answerWait)) {
			return
		}
		time.Sleep(due.Sub(now))
		first := p.numbers.Add(p.spans) - p.spans
		template := p.templates[int(first/p.spans)%len(p.templates)]
		framed = binary.BigEndian.AppendUint32(append(framed[:0], 0), uint32(len(template.body)))
		framed = append(framed, template.body...)
		template.fill(framed[framePrefix:], first)
		status, err := w.caller.call(framed)
		switch {
		case err != nil:
			w.errors[cause(err).Error()]++
			time.Sleep(refusedWait)
		case status == "200":
			w.latencies = append(w.latencies, time.Since(due))
		default:
			w.refused[status]++
			time.Sleep(refusedWait)
		}
		due = due.Add(p.every)
	}
}

// cause is what an error is about, without the addresses around it.
func cause(err error) error {
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return err
}

func summary(workers []*worker, p *plan, took time.Duration) sent {
	made := sent{Seconds: took.Seconds(), Next: p.numbers.Load(), Refused: map[string]int{}, Errors: map[string]int{}}
	var latencies []time.Duration
	for _, w := range workers {
		latencies = append(latencies, w.latencies...)
		for status, n := range w.refused {
			made.Refused[status] += n
			made.Requests += n
		}
		for what, n := range w.errors {
			made.Errors[what] += n
			made.Requests += n
		}
	}
	made.Accepted = len(latencies)
	made.Requests += len(latencies)
	made.Spans = len(latencies) * int(p.spans)
	if len(latencies) > 0 {
		slices.Sort(latencies)
		ms := func(q float64) float64 { return latencies[int(q*float64(len(latencies)-1))].Seconds() * 1e3 }
		made.P50, made.P99, made.Max = ms(0.5), ms(0.99), ms(1)
	}
	return made
}
