package core_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"usher.internal/core"
)

// flawed is a store that does not do some things as it should.
type flawed struct {
	core.Store
	bound  func(*core.BoundTake)
	first  func(*core.FirstTake)
	settle func(*core.Settlement)
	end    func([]core.LeaseID) []core.LeaseID
	renew  func(*core.Renewal)
	roster func(*core.RosterEntry)
	joins  func(*core.Waiter)
	swept  func(*core.Swept)
}

func (f *flawed) TakeBound(ctx context.Context, take *core.BoundTake) (core.BoundTaken, error) {
	if f.bound != nil {
		f.bound(take)
	}
	return f.Store.TakeBound(ctx, take)
}

func (f *flawed) TakeFirst(ctx context.Context, take *core.FirstTake) (core.FirstTaken, error) {
	if f.first != nil {
		f.first(take)
	}
	return f.Store.TakeFirst(ctx, take)
}

func (f *flawed) Settle(ctx context.Context, events []core.Settlement, results []core.Settled) error {
	if f.settle != nil {
		for i := range events {
			f.settle(&events[i])
		}
	}
	return f.Store.Settle(ctx, events, results)
}

func (f *flawed) End(ctx context.Context, ids []core.LeaseID, how core.LeaseEnd) ([]core.Lease, error) {
	if f.end != nil {
		ids = f.end(ids)
	}
	return f.Store.End(ctx, ids, how)
}

func (f *flawed) Renew(ctx context.Context, renewals []core.Renewal, results []core.Renewed) error {
	if f.renew != nil {
		for i := range renewals {
			f.renew(&renewals[i])
		}
	}
	return f.Store.Renew(ctx, renewals, results)
}

func (f *flawed) Register(ctx context.Context, roster *core.Roster) error {
	if f.roster == nil {
		return f.Store.Register(ctx, roster)
	}
	other := core.Roster{Accounts: slices.Clone(roster.Accounts)}
	for i := range other.Accounts {
		f.roster(&other.Accounts[i])
	}
	return f.Store.Register(ctx, &other)
}

func (f *flawed) Join(ctx context.Context, waiter *core.Waiter) (core.Joined, error) {
	if f.joins != nil {
		f.joins(waiter)
	}
	return f.Store.Join(ctx, waiter)
}

func (f *flawed) Sweep(ctx context.Context, limit int) (core.Swept, error) {
	out, err := f.Store.Sweep(ctx, limit)
	if f.swept != nil {
		f.swept(&out)
	}
	return out, err
}

// freesAnother frees a slot twice: what ends a lease a second time ends another of the account.
type freesAnother struct {
	core.Store
	live map[core.LeaseID]string
}

func (s freesAnother) TakeFirst(ctx context.Context, take *core.FirstTake) (core.FirstTaken, error) {
	out, err := s.Store.TakeFirst(ctx, take)
	if out.Status == core.FirstTook {
		s.live[out.Lease.ID] = out.Lease.Account
	}
	return out, err
}

func (s freesAnother) Settle(ctx context.Context, events []core.Settlement, results []core.Settled) error {
	if err := s.Store.Settle(ctx, events, results); err != nil {
		return err
	}
	for i := range events {
		delete(s.live, events[i].Lease)
		if results[i].Status != core.EventAlreadyReleased {
			continue
		}
		for id, account := range s.live {
			if account == results[i].Account {
				delete(s.live, id)
				if _, err := s.End(ctx, []core.LeaseID{id}, core.LeaseEndOperator); err != nil {
					return err
				}
				break
			}
		}
	}
	return nil
}

// TestModelNotices that a store has a fault: each must be found, by what is asked for and answered alone.
func TestModelNotices(t *testing.T) {
	const forever = 1000 * time.Hour
	faults := map[string]func(core.Store) core.Store{
		"a limit is off by one": func(s core.Store) core.Store {
			return &flawed{Store: s, roster: func(e *core.RosterEntry) {
				if e.Limit > 0 {
					e.Limit++
				}
			}}
		},
		"a second release frees another lease": func(s core.Store) core.Store { return freesAnother{s, map[core.LeaseID]string{}} },
		"a lease does not expire": func(s core.Store) core.Store {
			return &flawed{Store: s, first: func(take *core.FirstTake) { take.Grant.TTL = forever }}
		},
		"a session's hit does not say whose it is": func(s core.Store) core.Store {
			return &flawed{Store: s, bound: func(take *core.BoundTake) { take.Grant.Owner = core.Owner{} }}
		},
		"a request id is ignored": func(s core.Store) core.Store {
			return &flawed{
				Store: s, bound: func(take *core.BoundTake) { take.Grant.Request = core.RequestKey{} },
				first: func(take *core.FirstTake) { take.Grant.Request = core.RequestKey{} },
			}
		},
		"an unused lease is not marked as released": func(s core.Store) core.Store {
			return &flawed{Store: s, settle: func(e *core.Settlement) {
				if e.Kind == core.SettleUnused && e.Lease != (core.LeaseID{}) {
					e.Kind = core.SettleWithdrawn
				}
			}}
		},
		"a forgotten, silent or replaced owner's lease lives on": func(s core.Store) core.Store {
			return &flawed{Store: s, end: func([]core.LeaseID) []core.LeaseID { return nil }}
		},
		"of several leases one is not ended": func(s core.Store) core.Store {
			return &flawed{Store: s, end: func(ids []core.LeaseID) []core.LeaseID { return ids[min(1, len(ids)-1):] }}
		},
		"a renewal exceeds the greatest age": func(s core.Store) core.Store {
			return &flawed{Store: s, renew: func(r *core.Renewal) { r.MaxAge = 0 }}
		},
		"a tenant's cap is ignored": func(s core.Store) core.Store {
			return &flawed{Store: s, bound: func(take *core.BoundTake) { take.Grant.TenantCap = 0 }}
		},
		"one more waits than may": func(s core.Store) core.Store {
			return &flawed{Store: s, joins: func(w *core.Waiter) { w.AccountCap++ }}
		},
		"a session is not bound": func(s core.Store) core.Store {
			return &flawed{Store: s, first: func(take *core.FirstTake) { take.Session = core.BindingKey{} }}
		},
		"a sweep tells nothing": func(s core.Store) core.Store {
			return &flawed{Store: s, swept: func(out *core.Swept) { out.Expired = nil }}
		},
	}
	for name, plant := range faults {
		t.Run(name, func(t *testing.T) {
			run := scripts()
			for seed := range 1000 {
				if err := perform(t, run.Example(seed), plant); err != nil {
					t.Logf("found by script %d", seed)
					return
				}
			}
			t.Error("nobody noticed")
		})
	}
}
