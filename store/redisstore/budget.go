package redisstore

import "context"

// bounded gives ctx with the budget as its deadline. The network needs the machine's time, whatever clock the store was given.
func (s *Store) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.opts.Budget)
}
