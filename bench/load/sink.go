package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"time"
)

// sink accepts everything, over HTTP and gRPC, and counts it. It prints the ports it listens on, then serves until it is
// killed. On its control port: GET /count (spans), GET /lines (log records), POST /down (as a server that is gone), POST /up.
func sink(args []string) error {
	flags := flag.NewFlagSet("sink", flag.ExitOnError)
	delay := flags.Duration("delay", 0, "wait this long before each answer")
	flags.Parse(args)
	debug.SetGCPercent(400)

	taker := newTaker(*delay)
	doors := []*door{
		{serve: func(conn net.Conn) { serveHTTP(conn, taker) }},
		{serve: func(conn net.Conn) { serveGRPC(conn, taker) }},
	}
	for _, door := range doors {
		if err := door.open(); err != nil {
			return err
		}
	}
	control, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /count", func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(taker.traces.counts())
	})
	mux.HandleFunc("GET /lines", func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(taker.logs.counts())
	})
	mux.HandleFunc("POST /down", func(http.ResponseWriter, *http.Request) {
		for _, door := range doors {
			door.shut()
		}
	})
	mux.HandleFunc("POST /up", func(w http.ResponseWriter, _ *http.Request) {
		for _, door := range doors {
			if err := door.open(); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
			}
		}
	})
	ports := map[string]int{"http": doors[0].port, "grpc": doors[1].port, "control": port(control)}
	line, err := json.Marshal(ports)
	if err != nil {
		return err
	}
	fmt.Println(string(line))
	return http.Serve(control, mux)
}

func port(listener net.Listener) int { return listener.Addr().(*net.TCPAddr).Port }

// door is a listener that can be shut, with all its connections, and opened again on the same port.
type door struct {
	serve func(net.Conn)
	port  int

	mu       sync.Mutex
	listener net.Listener
	conns    map[net.Conn]struct{}
}

func (d *door) open() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.listener != nil {
		return nil
	}
	var listener net.Listener
	var err error
	for range 100 {
		if listener, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", d.port)); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil {
		return err
	}
	d.listener, d.port, d.conns = listener, port(listener), map[net.Conn]struct{}{}
	go d.accept(listener, d.conns)
	return nil
}

func (d *door) accept(listener net.Listener, conns map[net.Conn]struct{}) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		d.mu.Lock()
		if d.listener != listener {
			conn.Close()
		}
		conns[conn] = struct{}{}
		d.mu.Unlock()
		go func() {
			d.serve(conn)
			d.mu.Lock()
			delete(conns, conn)
			d.mu.Unlock()
		}()
	}
}

func (d *door) shut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.listener == nil {
		return
	}
	d.listener.Close()
	d.listener = nil
	for conn := range d.conns {
		conn.(*net.TCPConn).SetLinger(0) // a reset, as of a process that died
		conn.Close()
	}
}
