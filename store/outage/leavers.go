package outage

import (
	"context"
	"errors"
	"sync"

	"usher.internal/core"
)

const (
	// leaversMost bounds who is remembered of an outage. Who joined before it leaves first; of more, the latest end by their time.
	leaversMost = 1 << 12
	// waitersAtOnce is of how many waiters the primary is told at a time: each is a call of its own.
	waitersAtOnce = 32
)

// leavers are the waiters that left during an outage: the primary may count them.
type leavers struct{ backlog[core.WaiterID] }

func (l *leavers) add(id core.WaiterID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.list) < leaversMost {
		l.list = append(l.list, id)
	}
}

// leave tells the primary of those who left meanwhile.
func (s *Store) leave(ctx context.Context) error {
	return s.leavers.tell(waitersAtOnce, func(ids []core.WaiterID) error {
		return atOnce(len(ids), func(n int) error { return s.primary.Leave(ctx, ids[n]) })
	})
}

// atOnce makes so many calls, and waits for all.
func atOnce(n int, call func(n int) error) error {
	errs := make([]error, n)
	var calls sync.WaitGroup
	for n := range errs {
		calls.Go(func() { errs[n] = call(n) })
	}
	calls.Wait()
	return errors.Join(errs...)
}
