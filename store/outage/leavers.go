package outage

import (
	"context"
	"errors"
	"slices"
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
type leavers struct {
	// mu guards what follows.
	mu   sync.Mutex
	list []core.WaiterID
}

func (l *leavers) add(id core.WaiterID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.list) < leaversMost {
		l.list = append(l.list, id)
	}
}

// first gives the oldest, at most n.
func (l *leavers) first(n int) []core.WaiterID {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.list[:min(n, len(l.list))])
}

// told forgets the oldest n.
func (l *leavers) told(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = slices.Delete(l.list, 0, n)
}

// leave tells the primary of those who left meanwhile.
func (s *Store) leave(ctx context.Context) error {
	for {
		ids := s.leavers.first(leavingAtOnce)
		if len(ids) == 0 {
			return nil
		}
		errs := make([]error, len(ids))
		var calls sync.WaitGroup
		for n, id := range ids {
			calls.Go(func() { errs[n] = s.primary.Leave(ctx, id) })
		}
		calls.Wait()
		if err := errors.Join(errs...); err != nil {
			return err
		}
		s.leavers.told(len(ids))
	}
}
