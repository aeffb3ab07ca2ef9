package outage

import (
	"context"
	"errors"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/core/pool"
)

// errClosed is what calls fail with under FailClosed.
var errClosed = &core.Error{Kind: core.KindStoreUnavailable, Text: "the store is out of reach"}

// unavailable tells that the primary could not answer; a caller's own end does not.
func unavailable(err error) bool {
	return err != nil && core.KindOf(err) == core.KindStoreUnavailable
}

// late makes it the primary's failing that a take's time passed there, or went on what the same Select asked for before, unless
// it is the caller's own that passed, whose context may be a little behind.
func late(ctx context.Context, given *core.Grant, err error) error {
	if !errors.Is(err, context.DeadlineExceeded) || unavailable(err) || ctx.Err() != nil {
		return err
	}
	if !given.NotAfter.IsZero() && !given.Budgeted {
		return err
	}
	return &core.Error{Kind: core.KindStoreUnavailable, Text: "the store took too long", Err: err}
}

// on makes a call where the phase says. One that the primary does not answer begins an outage, and is made again on the island; by
// then that may be over, and another begin.
func (s *Store) on(ctx context.Context, call func(store core.Store, i *island) error) error {
	for range 2 {
		if done, err := s.onIsland(call); done {
			return err
		}
		err := call(s.primary, nil)
		if !unavailable(err) || ctx.Err() != nil {
			return err
		}
		if !errors.Is(err, errOvertaken) {
			s.fail(err)
		}
	}
	if done, err := s.onIsland(call); done {
		return err
	}
	return errClosed
}

// onIsland makes a call on the island, if there is one; under FailClosed it fails during an outage.
func (s *Store) onIsland(call func(store core.Store, i *island) error) (done bool, err error) {
	p := s.phase.Load()
	if p.island == nil && p.failed == nil {
		return false, nil
	}
	s.switching.RLock()
	defer s.switching.RUnlock()
	p = s.phase.Load()
	switch {
	case p.island != nil:
		return true, call(p.island.Store, p.island)
	case p.failed != nil:
		return true, &core.Error{Kind: core.KindStoreUnavailable, Text: errClosed.Text, Err: p.failed}
	}
	return false, nil
}

// Cool sets a deadline.
func (s *Store) Cool(ctx context.Context, c core.Cooldown) (out core.Cooldown, err error) {
	err = s.on(ctx, func(store core.Store, _ *island) (err error) {
		out, err = store.Cool(ctx, c)
		return err
	})
	return out, err
}

// Warm removes a deadline.
func (s *Store) Warm(ctx context.Context, c core.Cooldown) error {
	return s.on(ctx, func(store core.Store, _ *island) error { return store.Warm(ctx, c) })
}

// Cooling lists the deadlines that stand.
func (s *Store) Cooling(ctx context.Context) (list []core.Cooldown, err error) {
	err = s.on(ctx, func(store core.Store, _ *island) (err error) {
		list, err = store.Cooling(ctx)
		return err
	})
	return list, err
}

// ShareStats exchanges what was learned. It neither begins an outage, since nothing is granted by it, nor is it made during one.
func (s *Store) ShareStats(ctx context.Context, own []byte, life time.Duration) ([][]byte, error) {
	if p := s.phase.Load(); p.island != nil || p.failed != nil {
		return nil, &core.Error{Kind: core.KindStoreUnavailable, Text: errClosed.Text, Err: p.failed}
	}
	return s.primary.ShareStats(ctx, own, life)
}

// What is pushed is the primary's alone: it is not changed while that is out of reach.

// PutAccount adds or replaces an account.
func (s *Store) PutAccount(ctx context.Context, account pool.Account) (uint64, error) {
	return s.primary.PutAccount(ctx, account)
}

// DropAccount removes a pushed account.
func (s *Store) DropAccount(ctx context.Context, id string) (uint64, error) {
	return s.primary.DropAccount(ctx, id)
}

// PutState sets an account's state.
func (s *Store) PutState(ctx context.Context, state core.StateOverride) (uint64, error) {
	return s.primary.PutState(ctx, state)
}

// Pushed lists what was pushed.
func (s *Store) Pushed(ctx context.Context, since uint64) (core.Pushed, error) {
	return s.primary.Pushed(ctx, since)
}

// Register takes up the roster. During an outage the primary hears of it afterwards.
func (s *Store) Register(ctx context.Context, roster *core.Roster) error {
	kept := core.Roster{Accounts: append([]core.RosterEntry(nil), roster.Accounts...)}
	p := s.phase.Load()
	if p.island == nil && p.failed == nil {
		err := s.primary.Register(ctx, roster)
		if err == nil {
			s.know(kept, true)
			return nil
		}
		if !unavailable(err) || ctx.Err() != nil {
			return err
		}
		s.know(kept, false)
		s.fail(err)
	}
	s.know(kept, false)
	s.switching.RLock()
	defer s.switching.RUnlock()
	if i := s.phase.Load().island; i != nil {
		return s.shareOut(ctx, i, i.exact)
	}
	return nil
}

func (s *Store) know(roster core.Roster, registered bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.roster, s.registered = roster, registered
}

// Loads fills loads.
func (s *Store) Loads(ctx context.Context, ordinals []int32, loads []decide.Load) error {
	return s.on(ctx, func(store core.Store, i *island) error {
		err := store.Loads(ctx, ordinals, loads)
		if err == nil {
			s.told(i, ordinals, loads)
		}
		return err
	})
}

// Usage counts a tenant's leases and waiters, and all: during an outage those that this replica knows of.
func (s *Store) Usage(ctx context.Context, tenant string) (u core.Usage, err error) {
	err = s.on(ctx, func(store core.Store, _ *island) (err error) {
		u, err = store.Usage(ctx, tenant)
		return err
	})
	return u, err
}
