package main

import (
	"encoding/binary"
	"sync"
)

// numbersAtMost bounds the numbers that are told apart, and so the memory of a tally (one bit each).
const numbersAtMost = 1 << 30

// tally counts spans by their numbers.
type tally struct {
	mu    sync.Mutex
	seen  []uint64
	count counts
}

// counts is what the sink answers on /count.
type counts struct {
	Requests   int `json:"requests"`   // with traces in them
	Spans      int `json:"spans"`      // all, also those that came again
	Distinct   int `json:"distinct"`   // of those that load sent
	Duplicates int `json:"duplicates"` // of those that load sent, beyond the first time
	Foreign    int `json:"foreign"`    // not sent by load
	Resources  int `json:"resources"`
	Spliced    int `json:"spliced"`   // of them, with the attribute that a relay was told to add
	Malformed  int `json:"malformed"` // requests
	Bytes      int `json:"bytes"`     // on the wire
	Inflated   int `json:"inflated"`  // as protobuf
}

// added is the key of an attribute that a relay adds to each Resource.
const added = "k8s.pod.name"

// take counts one ExportTraceServiceRequest.
func (t *tally) take(body []byte, wire int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count.Requests++
	t.count.Bytes += wire
	t.count.Inflated += len(body)
	if each(body, t.resourceSpans) != nil {
		t.count.Malformed++
	}
}

func (t *tally) resourceSpans(number int, value []byte) error {
	if number != 1 {
		return nil
	}
	return each(value, func(number int, value []byte) error {
		switch number {
		case 1:
			t.count.Resources++
			return each(value, t.resourceAttribute)
		case 2:
			return each(value, t.scopeSpans)
		}
		return nil
	})
}

func (t *tally) resourceAttribute(number int, value []byte) error {
	if number != 1 {
		return nil
	}
	return each(value, func(number int, value []byte) error {
		if number == 1 && string(value) == added {
			t.count.Spliced++
		}
		return nil
	})
}

func (t *tally) scopeSpans(number int, value []byte) error {
	if number != 2 {
		return nil
	}
	t.count.Spans++
	return each(value, t.spanField)
}

func (t *tally) spanField(number int, value []byte) error {
	if number != 2 {
		return nil
	}
	if len(value) != 8 {
		return errMalformed
	}
	id := unmix(binary.BigEndian.Uint64(value))
	if id >= numbersAtMost {
		t.count.Foreign++
		return nil
	}
	word, bit := int(id>>6), uint64(1)<<(id&63)
	for word >= len(t.seen) {
		t.seen = append(t.seen, 0)
	}
	if t.seen[word]&bit != 0 {
		t.count.Duplicates++
	} else {
		t.seen[word] |= bit
		t.count.Distinct++
	}
	return nil
}

func (t *tally) counts() counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.count
}
