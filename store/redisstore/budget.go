package redisstore

import (
	"context"
	"time"
)

// bounded gives ctx with the budget as its deadline. The network needs the machine's time, whatever clock the store was given.
func (s *Store) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.opts.Budget)
}

// timer gives a timer that is used again, for what need not be a context's deadline.
func timer(budget time.Duration) *time.Timer { return time.NewTimer(budget) }

// within ends ctx when the Select's budget is used up, if what went before has left so little that it matters.
func (t *take) within(ctx context.Context) (context.Context, context.CancelFunc) {
	if t.left > t.opts.Budget-t.opts.Budget/8 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, t.left)
}
