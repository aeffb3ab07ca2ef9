package core

import (
	"context"
	"time"

	"usher.internal/core/decide"
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

// learnColds takes in the deadlines of accounts that stand in the store. Here too the later of two stands; one that is over, or a
// pause, ends when the store has it no more: some replica was told of a success, or has started anew.
func (s *Scheduler) learnColds(ctx context.Context) error {
	return s.line.step(func() error {
		asked, whole := s.colds.ask(s.clock.Now()), !s.degraded()
		list, err := s.store.Cooling(ctx)
		if err != nil {
			return err
		}
		// What stands in for the store knows only what this replica was told meanwhile.
		whole = whole && !s.degraded()
		if whole && !s.lifted.Load() {
			if list, err = s.lift(ctx, list); err != nil {
				return err
			}
			s.lifted.Store(true)
		}
		var changed []int32
		if whole {
			changed = s.colds.keep(asked, s.standing(list), changed)
		}
		over := forgotten(asked.at, s.registry.current.Load().policy)
		for i := range list {
			ordinal := s.registry.ordinal(list[i].Account)
			if until := list[i].Until; (until.IsZero() || until.After(over)) && s.colds.set(ordinal, &list[i]) {
				changed = append(changed, ordinal)
			}
		}
		s.changedColds(changed)
		return nil
	}, func() changes { return changes{} })
}

// lift ends the pauses of a list that others were told of before this replica started, and gives the rest of the list.
func (s *Scheduler) lift(ctx context.Context, list []Cooldown) ([]Cooldown, error) {
	rest := list[:0]
	for i := range list {
		c := &list[i]
		if c.Reason != decide.AuthFailed || s.colds.of(int(s.registry.ordinal(c.Account))).AuthFailed() {
			rest = append(rest, *c)
			continue
		}
		if err := s.store.Warm(ctx, *c); err != nil {
			return nil, err
		}
		s.logger.Info("an account whose credentials were refused is tried again, since this usher has started", "account", c.Account)
	}
	return rest, nil
}

// standing gives what a list of the store's has, by ordinal.
func (s *Scheduler) standing(list []Cooldown) map[coldKey]bool {
	out := make(map[coldKey]bool, len(list))
	for i := range list {
		c := &list[i]
		ordinal := s.registry.ordinal(c.Account)
		out[coldKey{ordinal: ordinal, model: plainModel(c.Model)}] = true
		if c.Reason == decide.AuthFailed {
			out[coldKey{ordinal: ordinal, auth: true}] = true
		}
	}
	return out
}

func (s *Scheduler) changedColds(changed []int32) {
	ids := make([]string, 0, len(changed))
	known := s.registry.current.Load().ids
	for _, ordinal := range changed {
		s.line.taught(ordinal)
		if int(ordinal) < len(known) && known[ordinal] != "" {
			ids = append(ids, known[ordinal])
		}
	}
	s.accountsChanged(ids)
}

// lookSoon has the line looked over once the turns of other replicas are over.
func (l *line) lookSoon() {
	at := int64(l.s.clock.Now().Add(turnOver).Sub(l.s.started))
	if l.soon.CompareAndSwap(0, at) {
		l.wake()
	}
}
