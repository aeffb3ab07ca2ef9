package server

import (
	"sync"

	usherv1 "usher.internal/gen/usher/v1"
)

// maxExceptions bounds what a stream remembers for a client that does not read its acks.
const maxExceptions = 4096

// sequence is the order of one stream's events.
type sequence struct {
	last uint64
}

// next takes a number if it rises.
func (s *sequence) next(n uint64) bool {
	if n <= s.last {
		return false
	}
	s.last = n
	return true
}

// acks holds what a client is still to be told. Acks are cumulative, so one that was
// not sent yet grows instead of being followed by another: a client that does not read costs nothing but its exceptions.
type acks struct {
	// ready has an element when there is something to send.
	ready chan struct{}

	mu sync.Mutex
	// The rest is guarded by mu.
	through    uint64
	exceptions []*usherv1.EventException
	unsent     bool
}

func newAcks() *acks { return &acks{ready: make(chan struct{}, 1)} }

// add merges what became of a batch; nil exceptions are none. It is false when more
// exceptions wait for the client than may.
func (a *acks) add(through uint64, exceptions []*usherv1.EventException) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range exceptions {
		if e != nil {
			a.exceptions = append(a.exceptions, e)
		}
	}
	if len(a.exceptions) > maxExceptions {
		return false
	}
	a.through = through
	a.unsent = true
	select {
	case a.ready <- struct{}{}:
	default:
	}
	return true
}

// take gives the ack to send, nil when there is none.
func (a *acks) take() *usherv1.Ack {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.unsent {
		return nil
	}
	ack := &usherv1.Ack{ThroughSequence: a.through, Exceptions: a.exceptions}
	a.exceptions, a.unsent = nil, false
	return ack
}
