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
	expire(o.waiting, now)
	for _, b := range o.away {
		expire(b.waiting, now)
	}
	o.waiting = slices.DeleteFunc(o.waiting, func(asked *op) bool { return asked.due.Load() == 0 })
	if len(o.waiting) > 0 && len(o.away) < underWay && now-(o.waiting[0].due.Load()-int64(s.opts.Budget)) >= int64(o.every) {
		s.start()
	}
	return true
}

// expire answers those whose budget is used up. One that was answered already may be on its way again, as another.
func expire(asked []*op, now int64) {
	for _, one := range asked {
		if due := one.due.Load(); due != 0 && due <= now && one.due.CompareAndSwap(due, 0) {
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
