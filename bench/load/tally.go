package main

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"sync"
)

// numbersAtMost bounds the numbers that are told apart, and so the memory of a tally (one bit each).
const numbersAtMost = 1 << 30

// tally counts spans or log records by their numbers.
type tally struct {
	number func(item []byte) (uint64, error) // of a span or record; numbersAtMost and more where it has none

	mu    sync.Mutex
	seen  []uint64
	count counts
}

// counts is what the sink answers on /count.
type counts struct {
	Requests   int `json:"requests"`
	Spans      int `json:"spans"`      // or records; all, also those that came again
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

// take counts one ExportTraceServiceRequest or ExportLogsServiceRequest: they have the same numbers on the way to their items.
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
	id, err := t.number(value)
	if err != nil {
		return err
	}
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

// spanNumber is in the span's id.
func spanNumber(span []byte) (uint64, error) {
	id := uint64(numbersAtMost)
	err := each(span, func(number int, value []byte) error {
		if number == 2 {
			if len(value) != 8 {
				return errMalformed
			}
			id = unmix(binary.BigEndian.Uint64(value))
		}
		return nil
	})
	return id, err
}

// lineNumber stands in a line as #0123456789#, wherever the record has it.
func lineNumber(record []byte) (uint64, error) {
	if err := each(record, func(int, []byte) error { return nil }); err != nil {
		return 0, err
	}
	for at := bytes.IndexByte(record, '#'); at >= 0 && at+12 <= len(record); {
		if record[at+11] == '#' {
			if id, err := strconv.ParseUint(string(record[at+1:at+11]), 10, 64); err == nil {
				return id, nil
			}
		}
		next := bytes.IndexByte(record[at+1:], '#')
		if next < 0 {
			break
		}
		at += 1 + next
	}
	return numbersAtMost, nil
}

func (t *tally) counts() counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.count
}
