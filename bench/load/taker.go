package main

import "time"

// taker is what the sink does with a request, by whichever protocol it came.
type taker struct {
	tally tally
	later later
	delay time.Duration // from a request's end until its answer
}

func newTaker(delay time.Duration) *taker {
	t := &taker{delay: delay}
	t.later.tally = &t.tally
	return t
}

// take counts the body, which belongs to the caller again afterwards.
func (t *taker) take(traces, gzip bool, body []byte) {
	switch {
	case !traces:
	case gzip:
		t.later.take(body)
	default:
		t.tally.take(body, len(body))
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
