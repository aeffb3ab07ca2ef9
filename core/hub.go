package core

import (
	"context"
	"sync"
	"time"
)

// hub gives the latest snapshot to any number of readers. Publishing takes no
// reader's time: a reader that is slow or gone costs nothing and misses what it did not ask for.
type hub struct {
	clock Clock
	take  func(context.Context) (*Snapshot, error)

	// mu guards what follows.
	mu     sync.Mutex
	subs   map[*Subscription]struct{}
	latest *Snapshot
	// number counts snapshots; 0 is none yet.
	number uint64
	// fresh is closed and replaced when a snapshot comes.
	fresh chan struct{}
	// kick wakes run for a new subscription.
	kick chan struct{}
	done chan struct{}
}

func newHub(clock Clock, take func(context.Context) (*Snapshot, error)) *hub {
	return &hub{
		clock: clock, take: take, subs: make(map[*Subscription]struct{}),
		fresh: make(chan struct{}), kick: make(chan struct{}, 1), done: make(chan struct{}),
	}
}

// run takes snapshots while anybody subscribes, as often as the most eager asks, until ctx ends.
func (h *hub) run(ctx context.Context) {
	defer close(h.done)
	for {
		every := h.interval()
		if every > 0 {
			if snap, err := h.take(ctx); err == nil {
				h.publish(snap)
			}
		}
		var fired <-chan time.Time
		stop := func() {}
		if every > 0 {
			fired, stop = h.clock.After(every)
		}
		select {
		case <-ctx.Done():
			stop()
			return
		case <-h.kick:
		case <-fired:
		}
		stop()
	}
}

// interval is that of the most eager subscription; 0 without any.
func (h *hub) interval() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	var least time.Duration
	for sub := range h.subs { // order-free: the least of all
		if least == 0 || sub.interval < least {
			least = sub.interval
		}
	}
	return least
}

func (h *hub) publish(snap *Snapshot) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.latest = snap
	h.number++
	close(h.fresh)
	h.fresh = make(chan struct{})
}

// Subscription delivers snapshots: the latest one, whenever its reader asks.
type Subscription struct {
	hub      *hub
	interval time.Duration
	// after is the number of the last snapshot when the subscription began or read last.
	after uint64
	// given is when the last snapshot given out was taken; zero before the first.
	given  time.Time
	closed chan struct{}
	once   sync.Once
}

// Subscribe starts a subscription to a snapshot now and then one every interval; one of 0 or less is a nanosecond.
func (s *Scheduler) Subscribe(interval time.Duration) *Subscription {
	h := s.hub
	h.mu.Lock()
	sub := &Subscription{hub: h, interval: max(interval, 1), after: h.number, closed: make(chan struct{})}
	h.subs[sub] = struct{}{}
	h.mu.Unlock()
	select {
	case h.kick <- struct{}{}:
	default:
	}
	return sub
}

// Next waits for a snapshot that is newer than the last one given by about the interval, and tells
// how many intervals passed without one being read. It returns ctx's error, or KindClosed
// after Close of either side. Not safe for concurrent use.
func (sub *Subscription) Next(ctx context.Context) (snap *Snapshot, skipped uint64, err error) {
	for {
		snap, fresh := sub.latest()
		if snap != nil {
			return snap, sub.missed(snap), nil
		}
		select {
		case <-fresh:
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		case <-sub.closed:
			return nil, 0, errClosed
		case <-sub.hub.done:
			return nil, 0, errClosed
		}
	}
}

var errClosed = &Error{Kind: KindClosed, Text: "the subscription is closed"}

// latest gives a snapshot that is due, or what to wait for. Ticks of the hub jitter: one that comes a little early is due.
func (sub *Subscription) latest() (*Snapshot, <-chan struct{}) {
	h := sub.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	due := h.number > sub.after && (sub.given.IsZero() || h.latest.At.Sub(sub.given) >= sub.interval-sub.interval/8)
	if !due {
		return nil, h.fresh
	}
	sub.after = h.number
	return h.latest, nil
}

func (sub *Subscription) missed(snap *Snapshot) uint64 {
	last := sub.given
	sub.given = snap.At
	if last.IsZero() {
		return 0
	}
	// Rounded, as the ticks jitter.
	return uint64(max((snap.At.Sub(last)+sub.interval/2)/sub.interval-1, 0))
}

// Close ends the subscription. Idempotent, safe for concurrent use.
func (sub *Subscription) Close() {
	sub.once.Do(func() {
		close(sub.closed)
		sub.hub.mu.Lock()
		delete(sub.hub.subs, sub)
		sub.hub.mu.Unlock()
	})
}
