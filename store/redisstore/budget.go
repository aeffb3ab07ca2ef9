package redisstore

import (
	"context"
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

// bounded gives ctx with the budget as its deadline.
func (s *Store) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.opts.Budget)
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
