package redisstore

import (
	"context"
	"sync"
	"time"
)

// began is what the machine's time is counted from.
var began = time.Now()

// machineTime is in nanoseconds. What bounds calls over the network is the machine's time, whatever clock the store was given.
func machineTime() int64 { return int64(time.Since(began)) }

// delay waits before something is tried over the network again; false when ctx ended.
func delay(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// standstill is a time in which this process stood still, on the machine's clock: the machine was busy with others, or did not let it
// run for a while, as where a container has used up its share of the processor. Nobody can tell then if an answer is late or only not read yet.
type standstill struct{ from, to int64 }

// since gives how much of it lies after an instant.
func (h standstill) since(at int64) int64 { return max(h.to-max(h.from, at), 0) }

// standstills are the last ones.
type standstills struct {
	list [8]standstill
	next int
}

func (h *standstills) add(one standstill) {
	h.list[h.next%len(h.list)] = one
	h.next++
}

func (h *standstills) since(at int64) (sum int64) {
	for _, one := range h.list {
		sum += one.since(at)
	}
	return sum
}

// tardy is how late the watch must be for that this process stood still: longer than a timer is late on a machine that has something to do.
const tardy = 8 * time.Millisecond

// heldUp gives for how long this process stood still within the time of late.
func (s *Store) heldUp(within time.Duration) time.Duration {
	o := &s.ops
	o.mu.Lock()
	defer o.mu.Unlock()
	now := machineTime()
	from := now - int64(within)
	held := o.held.since(from)
	if still, late := o.missed(now); late { // the watch is about to look
		held += still.since(from)
	}
	return time.Duration(held)
}

// missed tells that the watch should have looked since it did, and the time in which it did not. mu is held.
func (o *ops) missed(now int64) (standstill, bool) {
	return standstill{o.looked, now}, o.watched && time.Duration(now-o.looked) >= tardy
}

// rearms is how often a call is given more time, at most.
const rearms = 8

// patient is a context that ends with the budget, not counting a time in which this process stood still.
type patient struct {
	context.Context
	store *Store
	end   context.CancelCauseFunc
	began int64

	// mu guards what follows.
	mu    sync.Mutex
	timer *time.Timer
	due   int64
	again int
}

// Err tells a budget that is used up from a call that is not wanted any more.
func (p *patient) Err() error {
	if p.Context.Err() == nil {
		return nil
	}
	return context.Cause(p.Context)
}

// bounded gives ctx with the budget as its deadline.
func (s *Store) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	inner, end := context.WithCancelCause(ctx)
	now := machineTime()
	p := &patient{Context: inner, store: s, end: end, began: now, due: now + int64(s.opts.Budget)}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timer = time.AfterFunc(s.opts.Budget, func() { p.used(machineTime()) })
	return p, p.cancel
}

// used ends it, unless this process stood still meanwhile: the watch knows, which looks while operations are under way, or it is noticed by
// how late this comes.
func (p *patient) used(now int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	more := p.store.opts.Budget + p.store.heldUp(time.Duration(now-p.began)) - time.Duration(now-p.began)
	if late := time.Duration(now - p.due); late >= tardy {
		more = max(more, late)
	}
	if more <= 0 || p.again == rearms {
		p.end(context.DeadlineExceeded)
		return
	}
	p.again++
	p.due = now + int64(more)
	p.timer.Reset(more)
}

func (p *patient) cancel() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timer.Stop()
	p.end(nil)
}

// watch looks after operations that wait for long, until ctx ends.
func (s *Store) watch(ctx context.Context) {
	defer s.ops.close()
	tick := time.NewTicker(s.ops.every)
	defer tick.Stop()
	for {
		tick.Stop()
		select {
		case <-ctx.Done():
			return
		case <-s.ops.kick:
			tick.Reset(s.ops.every)
		}
		for again := true; again; {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				again = s.lookAfter(machineTime())
			}
		}
	}
}
