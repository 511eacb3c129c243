package main

import (
	"bytes"
	"compress/gzip"
	"io"
	"sync"
)

// keptAtMost bounds the compressed bodies that wait to be counted; beyond it they are inflated at once.
const keptAtMost = 1 << 30

// later keeps compressed bodies until they are asked for: inflating them while load runs would take the core from it.
type later struct {
	mu     sync.Mutex
	bodies [][]byte
	bytes  int
	tally  *tally
}

func (l *later) take(body []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bodies = append(l.bodies, bytes.Clone(body))
	if l.bytes += len(body); l.bytes > keptAtMost {
		l.settle()
	}
}

// counts inflates and counts what is kept.
func (l *later) counts() counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settle()
	return l.tally.counts()
}

func (l *later) settle() {
	for _, body := range l.bodies {
		inflated, err := inflate(body)
		if err != nil {
			inflated = []byte{0xff}
		}
		l.tally.take(inflated, len(body))
	}
	l.bodies, l.bytes = nil, 0
}

func inflate(body []byte) ([]byte, error) {
	reader, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(reader)
}
