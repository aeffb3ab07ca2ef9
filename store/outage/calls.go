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
		s.fail(err)
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

// another names the lease of a take otherwise: where the first take's answer did not come it may have been carried
// out, and will be taken back by its name.
func another(id core.LeaseID) core.LeaseID {
	id[0] ^= 0x80
	return id
}

// grant makes a take's for the island, or for the primary. The island is asked at once, and its caller still waits: what it
// might spend on the store may have gone on the primary.
func grant(asked, given *core.Grant, i *island) {
	*asked = *given
	if i != nil {
		asked.ID, asked.NotAfter = another(given.ID), time.Time{}
	}
}

// TakeBound takes the account that the response or the session is bound to.
func (s *Store) TakeBound(ctx context.Context, take *core.BoundTake) (out core.BoundTaken, err error) {
	asked := *take
	err = s.on(ctx, func(store core.Store, i *island) (err error) {
		asked.Judge = take.Judge
		grant(&asked.Grant, &take.Grant, i)
		if shares := s.phase.Load().shares; i == nil && shares != nil {
			asked.Judge = &sparing{judge: take.Judge, full: s.full(shares)}
		}
		out, err = store.TakeBound(ctx, &asked)
		err = late(ctx, &take.Grant, err)
		if err == nil && (out.Status != core.BoundTook || take.AlwaysLoads) {
			s.told(i, take.Ordinals, take.Loads)
		}
		// Before a recovery can end the island, which it publishes by the ledger.
		if err == nil && !take.DryRun && (out.Status == core.BoundTook || out.Status == core.BoundRepeated) {
			s.ledger.note(out.Lease, take.Grant.Request)
		}
		return err
	})
	if err != nil || take.DryRun {
		return out, err
	}
	if out.Status == core.BoundTook {
		now := s.clock.Now()
		if out.Layer == decide.LayerResponse {
			s.bindings.note(take.Response, out.Lease.Account, take.ResponseTTL, now)
		}
		if out.Lease.Account == out.Session.Account || out.Layer == decide.LayerResponse {
			s.bindings.note(take.Session, out.Lease.Account, take.SessionTTL, now)
		}
	}
	return out, nil
}

// TakeFirst takes the first choice that has room.
func (s *Store) TakeFirst(ctx context.Context, take *core.FirstTake) (out core.FirstTaken, err error) {
	asked := *take
	var places []int
	err = s.on(ctx, func(store core.Store, i *island) (err error) {
		asked.Order, places = take.Order, nil
		grant(&asked.Grant, &take.Grant, i)
		if shares := s.phase.Load().shares; i == nil && shares != nil {
			asked.Order, places = s.spare(take.Order, s.full(shares))
		}
		out, err = store.TakeFirst(ctx, &asked)
		err = late(ctx, &take.Grant, err)
		if err == nil && out.Status != core.FirstTook {
			s.told(i, take.Ordinals, take.Loads)
		}
		if err == nil && (out.Status == core.FirstTook || out.Status == core.FirstRepeated) {
			s.ledger.note(out.Lease, take.Grant.Request)
		}
		return err
	})
	if err != nil {
		return out, err
	}
	if out.Status == core.FirstTook {
		if places != nil {
			out.Index = places[out.Index]
		}
		if !take.Substitute {
			s.bindings.note(take.Session, out.Lease.Account, take.SessionTTL, s.clock.Now())
		}
	}
	return out, nil
}

// Settle applies events in order.
func (s *Store) Settle(ctx context.Context, events []core.Settlement, results []core.Settled) error {
	return s.on(ctx, func(store core.Store, i *island) error {
		session := s.primary.Sessions()
		if err := store.Settle(ctx, events, results); err != nil {
			return err
		}
		s.settledOn(i, session, events, results)
		return nil
	})
}

// settledOn takes down what was settled, on an island before a recovery can end it; session is the primary's when that was asked for.
func (s *Store) settledOn(i *island, session uint64, events []core.Settlement, results []core.Settled) {
	now := s.clock.Now()
	for n := range min(len(events), len(results)) {
		e := &events[n]
		if results[n].Bound {
			s.bindings.note(e.Bind, results[n].Account, e.BindTTL, now)
		}
		ended := false
		switch e.Kind {
		case core.SettleFinished, core.SettleUnused, core.SettleWithdrawn:
			s.ledger.drop(e.Lease, e.Request)
			ended = e.Kind != core.SettleWithdrawn
		case core.SettleFirstToken, core.SettleSwitched:
		}
		if i != nil {
			s.pending.add(*e)
		} else if ended {
			s.ended(*e, session, now)
		}
	}
}

// ended remembers the end of a lease that the primary was told in a session. Who answered may have been the one before, of which all was told
// again already.
func (s *Store) ended(e core.Settlement, session uint64, now time.Time) {
	s.ends.add(e, now)
	if s.primary.Sessions() != session {
		s.untold.Store(true)
	}
}

// Renew gives leases a whole new lifetime.
func (s *Store) Renew(ctx context.Context, renewals []core.Renewal, results []core.Renewed) error {
	err := s.on(ctx, func(store core.Store, _ *island) error { return store.Renew(ctx, renewals, results) })
	for n := range min(len(renewals), len(results)) {
		if err == nil && results[n].Status == core.EventApplied {
			s.ledger.extend(renewals[n].Lease, results[n].ExpiresAt)
		} else if err == nil {
			s.ledger.drop(renewals[n].Lease, core.RequestKey{})
		}
	}
	return err
}

// Sweep ends what is over.
func (s *Store) Sweep(ctx context.Context, limit int) (out core.Swept, err error) {
	err = s.on(ctx, func(store core.Store, _ *island) (err error) {
		out, err = store.Sweep(ctx, limit)
		return err
	})
	for n := range out.Expired {
		s.ledger.drop(out.Expired[n].ID, core.RequestKey{})
	}
	return out, err
}

// LeasesOf lists the leases of an owner: during an outage those that this replica knows of.
func (s *Store) LeasesOf(ctx context.Context, name string) (list []core.Lease, err error) {
	err = s.on(ctx, func(store core.Store, _ *island) (err error) {
		list, err = store.LeasesOf(ctx, name)
		return err
	})
	return list, err
}

// End ends leases.
func (s *Store) End(ctx context.Context, ids []core.LeaseID, how core.LeaseEnd) (ended []core.Lease, err error) {
	err = s.on(ctx, func(store core.Store, i *island) (err error) {
		session := s.primary.Sessions()
		ended, err = store.End(ctx, ids, how)
		for n := range ended {
			// The primary has no other word for it that comes later.
			l := &ended[n]
			e := core.Settlement{Kind: core.SettleUnused, Lease: l.ID, Account: l.Account, GrantedAt: l.GrantedAt}
			if err == nil && i != nil {
				s.pending.add(e)
			} else if err == nil {
				s.ended(e, session, s.clock.Now())
			}
		}
		return err
	})
	for n := range ended {
		s.ledger.drop(ended[n].ID, core.RequestKey{})
	}
	return ended, err
}

// Adopt takes leases up again, and renews those that live.
func (s *Store) Adopt(ctx context.Context, adoptions []core.Adoption, results []core.Adopted) error {
	err := s.on(ctx, func(store core.Store, _ *island) error { return store.Adopt(ctx, adoptions, results) })
	for n := range min(len(adoptions), len(results)) {
		if err == nil && results[n].Status == core.EventApplied {
			lease := adoptions[n].Lease
			lease.ExpiresAt = results[n].ExpiresAt
			s.ledger.note(lease, core.RequestKey{})
		}
	}
	return err
}

// Join counts a waiter.
func (s *Store) Join(ctx context.Context, w *core.Waiter) (out core.Joined, err error) {
	err = s.on(ctx, func(store core.Store, _ *island) (err error) {
		out, err = store.Join(ctx, w)
		return err
	})
	return out, err
}

// Move counts a waiter on another account.
func (s *Store) Move(ctx context.Context, id core.WaiterID, account string) error {
	return s.on(ctx, func(store core.Store, _ *island) error { return store.Move(ctx, id, account) })
}

// Leave counts a waiter no more. One that joined elsewhere before or after an outage ends by its time.
func (s *Store) Leave(ctx context.Context, id core.WaiterID) error {
	return s.on(ctx, func(store core.Store, _ *island) error { return store.Leave(ctx, id) })
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
func (s *Store) Warm(ctx context.Context, account, model string) error {
	return s.on(ctx, func(store core.Store, _ *island) error { return store.Warm(ctx, account, model) })
}

// Cooling lists the deadlines that are not over.
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
