// Package signal passes what changed on to whoever listens, for stores.
package signal

import (
	"context"
	"sync"
	"sync/atomic"

	"usher.internal/core"
)

// pendingMost bounds what waits for one subscriber; beyond it the oldest is lost.
const pendingMost = 1 << 14

// Hub passes changes on to subscribers. Publishing never blocks: what a
// subscriber has not read yet waits in a set, so that the same change waits once.
// It is safe for concurrent use.
type Hub struct {
	done    chan struct{} // closed by close
	running sync.WaitGroup

	// readers is len(subscribers), so that publishing to nobody takes no lock.
	readers atomic.Int32

	// mu guards what follows. A store may hold its own lock around it; a subscriber's is taken inside it.
	mu          sync.Mutex
	closed      bool
	subscribers map[*subscriber]struct{}
}

// subscriber collects signals for one reader; its goroutine is the hub's.
type subscriber struct {
	out  chan core.Signal
	wake chan struct{} // holds one token while something waits

	// mu guards what follows.
	mu      sync.Mutex
	waiting map[core.Signal]struct{}
	order   []core.Signal
}

// NewHub gives a hub without subscribers.
func NewHub() *Hub {
	return &Hub{done: make(chan struct{}), subscribers: make(map[*subscriber]struct{})}
}

// Subscribe delivers what is published until ctx ends or the hub is closed. Signals may be merged.
// Errors: ctx's own, KindStoreUnavailable once the hub is closed.
func (h *Hub) Subscribe(ctx context.Context) (<-chan core.Signal, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	sub := &subscriber{
		out: make(chan core.Signal), wake: make(chan struct{}, 1), waiting: make(map[core.Signal]struct{}),
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, &core.Error{Kind: core.KindStoreUnavailable, Text: "the store is closed"}
	}
	h.subscribers[sub] = struct{}{}
	h.readers.Add(1)
	h.running.Add(1)
	go h.deliver(ctx, sub)
	return sub.out, nil
}

// Publish lets every subscriber know of a change. It never blocks.
func (h *Hub) Publish(signal core.Signal) {
	if h.readers.Load() == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for sub := range h.subscribers { // order-free: each has its own set
		sub.add(signal)
	}
}

// Close ends all subscriptions and waits for their goroutines. Idempotent.
func (h *Hub) Close() {
	h.mu.Lock()
	if !h.closed {
		h.closed = true
		close(h.done)
	}
	h.mu.Unlock()
	h.running.Wait()
}

// deliver passes on what the subscriber collects until ctx ends or the hub is closed.
func (h *Hub) deliver(ctx context.Context, sub *subscriber) {
	defer h.running.Done()
	defer close(sub.out)
	defer func() {
		h.mu.Lock()
		delete(h.subscribers, sub)
		h.readers.Add(-1)
		h.mu.Unlock()
	}()
	for {
		signal, ok := sub.next()
		if !ok {
			select {
			case <-sub.wake:
				continue
			case <-ctx.Done():
			case <-h.done:
			}
			return
		}
		select {
		case sub.out <- signal:
		case <-ctx.Done():
			return
		case <-h.done:
			return
		}
	}
}

// add lets a signal wait unless the same one does.
func (s *subscriber) add(signal core.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, waits := s.waiting[signal]; waits {
		return
	}
	if len(s.order) >= pendingMost {
		delete(s.waiting, s.order[0])
		s.order = s.order[1:]
	}
	s.waiting[signal] = struct{}{}
	s.order = append(s.order, signal)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// next takes out the signal that waits longest.
func (s *subscriber) next() (core.Signal, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.order) == 0 {
		s.order = nil // what was read is not kept
		return core.Signal{}, false
	}
	signal := s.order[0]
	s.order = s.order[1:]
	delete(s.waiting, signal)
	return signal, true
}
