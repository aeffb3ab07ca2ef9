package memstore

import (
	"cmp"
	"context"
	"slices"

	"usher.internal/core"
)

// coolKey names a deadline; a blank model is the whole account.
type coolKey struct{ account, model string }

// Cool sets a deadline. One that is over already sets nothing; when none stands then, the answer is zero.
func (s *Store) Cool(ctx context.Context, cooldown core.Cooldown) (core.Cooldown, error) {
	if err := ctx.Err(); err != nil {
		return core.Cooldown{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cool(s.tick(), cooldown), nil
}

func (s *Store) cool(now int64, cooldown core.Cooldown) core.Cooldown {
	key := coolKey{cooldown.Account, cooldown.Model}
	standing, until, ok := s.cooldowns.get(key, now)
	asked := s.since(cooldown.Until)
	if asked <= now || ok && asked <= until {
		return standing
	}
	s.cooldowns.set(key, cooldown, asked)
	s.signals.Publish(core.Signal{Kind: core.SignalCooldown, Account: cooldown.Account})
	return cooldown
}

// Warm removes the deadline of the account, or of the model on it alone.
func (s *Store) Warm(ctx context.Context, account, model string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := coolKey{account, model}
	if _, _, ok := s.cooldowns.get(key, s.tick()); ok {
		s.cooldowns.remove(key)
		s.signals.Publish(core.Signal{Kind: core.SignalCooldown, Account: account})
	}
	return nil
}

// Cooling lists the deadlines that are not over.
func (s *Store) Cooling(ctx context.Context) ([]core.Cooldown, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]core.Cooldown, 0, s.cooldowns.count(s.tick()))
	for _, place := range s.cooldowns.places { // order-free: sorted below
		list = append(list, s.cooldowns.at(place).value)
	}
	slices.SortFunc(list, func(a, b core.Cooldown) int {
		return cmp.Or(cmp.Compare(a.Account, b.Account), cmp.Compare(a.Model, b.Model))
	})
	return list, nil
}
