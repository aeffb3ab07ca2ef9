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
	// leavingAtOnce is how many of them the primary is told of at a time: each is a call of its own.
	leavingAtOnce = 32
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
	return s.leavers.tell(leavingAtOnce, func(ids []core.WaiterID) error {
		errs := make([]error, len(ids))
		var calls sync.WaitGroup
		for n, id := range ids {
			calls.Go(func() { errs[n] = s.primary.Leave(ctx, id) })
		}
		calls.Wait()
		return errors.Join(errs...)
	})
}
