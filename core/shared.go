package core

import (
	"context"
	"time"
)

const (
	// followEvery is how often a replica asks what others taught, besides what is signaled.
	followEvery = time.Second
	// turnOver is when a free slot that was another replica's turn is anybody's, counted from when it was found so: longer
	// than any store keeps it.
	turnOver = Handover + 2*time.Millisecond
)

// follow takes in what other replicas put into the store, until ctx ends. A signal makes it look at once.
func (s *Scheduler) follow(ctx context.Context) {
	news := recurring{Scheduler: s, fails: "what other replicas learn of accounts is not heard; it goes on trying", works: "what other replicas learn of accounts is heard again"}
	for {
		err := s.learnColds(ctx)
		news.ended(ctx, err)
		fired, stop := s.clock.After(followEvery)
		select {
		case <-ctx.Done():
			stop()
			return
		case <-fired:
		case <-s.toldColds:
		}
		stop()
	}
}

// learnColds takes in the deadlines of accounts that stand in the store. Here too the later of two stands.
func (s *Scheduler) learnColds(ctx context.Context) error {
	return s.line.step(func() error {
		list, err := s.store.Cooling(ctx)
		if err != nil {
			return err
		}
		var changed []string
		for i := range list {
			ordinal := s.registry.ordinal(list[i].Account)
			before := s.colds.of(int(ordinal))
			s.colds.set(ordinal, &list[i])
			if s.colds.of(int(ordinal)) != before {
				s.line.taught(ordinal)
				changed = append(changed, list[i].Account)
			}
		}
		s.accountsChanged(changed)
		return nil
	}, func() changes { return changes{} })
}

// lookSoon has the line looked over once the turns of other replicas are over.
func (l *line) lookSoon() {
	at := int64(l.s.clock.Now().Add(turnOver).Sub(l.s.started))
	if l.soon.CompareAndSwap(0, at) {
		l.wake()
	}
}
