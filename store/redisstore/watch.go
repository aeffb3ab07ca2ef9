package redisstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// watchMost is how often the watch looks within a budget, at most.
const watchMost = 16

var (
	errClosed = errors.New("the store is closed")
	// errBudget answers an operation whose budget is used up.
	errBudget = fmt.Errorf("the budget is used up: %w", context.DeadlineExceeded)
)

// lookAfter answers what has used up its budget by now, and makes a call for what has waited for long. It reports whether
// there is anything to look after.
func (s *Store) lookAfter(now int64) bool {
	o := &s.ops
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.asked && len(o.waiting) == 0 && len(o.away) == 0 {
		o.watched = false
		return false
	}
	o.asked = false
	if still, late := o.missed(now); late {
		o.held.add(still)
	}
	o.looked = now
	budget := int64(s.opts.Budget)
	o.expire(o.waiting, now, budget)
	for _, b := range o.away {
		o.expire(b.waiting, now, budget)
	}
	o.waiting = slices.DeleteFunc(o.waiting, func(asked *op) bool { return asked.due.Load() == 0 })
	if len(o.waiting) > 0 && len(o.away) < underWay && now-(o.waiting[0].due.Load()-budget) >= int64(o.every) {
		s.start()
	}
	return true
}

// expire answers those whose budget is used up, not counting when this process stood still. One that was answered already may be on its
// way again, as another.
func (o *ops) expire(asked []*op, now, budget int64) {
	for _, one := range asked {
		due := one.due.Load()
		if due != 0 && due <= now && due+o.held.since(due-budget) <= now && one.due.CompareAndSwap(due, 0) {
			one.done <- answer{err: errBudget}
		}
	}
}

// close answers what waits, and all that is asked for after.
func (o *ops) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	for _, asked := range o.waiting {
		asked.give(&answer{err: errClosed})
	}
	o.waiting = nil
}
