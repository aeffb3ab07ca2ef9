package memstore

import (
	"cmp"
	"context"
	"math"
	"slices"

	"usher.internal/core"
)

// coolKey names a deadline; a blank model is the whole account.
type coolKey struct{ account, model string }

// keptMost means: from so many deadlines on, a new one stands no longer than it lasts.
const keptMost = 4096

// Cool sets a deadline. One that would not stand any more sets nothing; when none stands then, the answer is zero.
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
	standing, _, ok := s.cooldowns.get(key, now)
	if !ok && len(s.cooldowns.places) >= keptMost {
		cooldown.Keep = 0
	}
	until := int64(math.MaxInt64)
	if !cooldown.Until.IsZero() {
		until = s.since(cooldown.Until.Add(max(cooldown.Keep, 0)))
	}
	if until <= now || ok && !cooldown.Outlasts(&standing) {
		return standing
	}
	s.cooldowns.set(key, cooldown, until)
	s.signals.Publish(core.Signal{Kind: core.SignalCooldown, Account: cooldown.Account})
	return cooldown
}

// Warm removes the deadline of the account, or of the model on it alone.
func (s *Store) Warm(ctx context.Context, cooldown core.Cooldown) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := coolKey{cooldown.Account, cooldown.Model}
	if standing, _, ok := s.cooldowns.get(key, s.tick()); ok && !standing.Outlasts(&cooldown) {
		s.cooldowns.remove(key)
		s.signals.Publish(core.Signal{Kind: core.SignalCooldown, Account: cooldown.Account})
	}
	return nil
}

// Cooling lists the deadlines that stand.
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
