package storetest

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
)

// limitOff grants one lease too many.
type limitOff struct{ core.Store }

// Register raises every limit.
func (m *limitOff) Register(ctx context.Context, roster *core.Roster) error {
	raised := &core.Roster{Accounts: append([]core.RosterEntry(nil), roster.Accounts...)}
	for i := range raised.Accounts {
		if raised.Accounts[i].Limit > 0 {
			raised.Accounts[i].Limit++
		}
	}
	return m.Store.Register(ctx, raised)
}

// recording remembers what was granted.
type recording struct {
	core.Store

	// mu guards granted.
	mu      sync.Mutex
	granted []core.Lease
}

// TakeFirst remembers the lease.
func (m *recording) TakeFirst(ctx context.Context, take *core.FirstTake) (core.FirstTaken, error) {
	out, err := m.Store.TakeFirst(ctx, take)
	if err == nil && out.Status == core.FirstTook {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.granted = append(m.granted, out.Lease)
	}
	return out, err
}

func (m *recording) leases() []core.Lease {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]core.Lease(nil), m.granted...)
}

// freesTwice frees another slot at a second release.
type freesTwice struct{ *recording }

// Settle ends a neighbour's lease besides.
func (m freesTwice) Settle(ctx context.Context, events []core.Settlement, results []core.Settled) error {
	err := m.Store.Settle(ctx, events, results)
	for i := range results {
		if results[i].Status != core.EventAlreadyReleased {
			continue
		}
		for _, l := range m.leases() {
			if l.Account == results[i].Account && l.ID != events[i].Lease {
				_ = m.Store.Settle(ctx, []core.Settlement{of(l, core.SettleUnused)}, make([]core.Settled, 1))
			}
		}
	}
	return err
}

// newIDs takes a new lease each time. The ids of the leases are its own.
type newIDs struct {
	core.Store
	count atomic.Int32
}

// TakeFirst gives the lease another id.
func (m *newIDs) TakeFirst(ctx context.Context, take *core.FirstTake) (core.FirstTaken, error) {
	t := *take
	t.Grant.ID[1] = byte(m.count.Add(1))
	return m.Store.TakeFirst(ctx, &t)
}

// stale gives a binding that is used no more life.
type stale struct{ core.Store }

// TakeBound takes the account as if no binding had led to it.
func (m *stale) TakeBound(ctx context.Context, take *core.BoundTake) (core.BoundTaken, error) {
	dry := *take
	dry.DryRun = true
	out, err := m.Store.TakeBound(ctx, &dry)
	if err != nil || out.Status != core.BoundTook || take.DryRun {
		return m.Store.TakeBound(ctx, take)
	}
	first := &core.FirstTake{Grant: take.Grant}
	for ordinal := range int32(8) { // more than any check has accounts
		first.Order = []core.Choice{{Ordinal: ordinal}}
		got, err := m.Store.TakeFirst(ctx, first)
		if err != nil || got.Status != core.FirstTook || got.Lease.Account == out.Lease.Account {
			return out, err
		}
		end := []core.Settlement{of(got.Lease, core.SettleWithdrawn)}
		_ = m.Store.Settle(ctx, end, make([]core.Settled, 1))
		first.Grant.ID[2]++
	}
	return out, nil
}

// fullRenews gives a response that leads to a full account a whole life.
type fullRenews struct{ *recording }

// TakeBound binds the response again when its account is full.
func (m fullRenews) TakeBound(ctx context.Context, take *core.BoundTake) (core.BoundTaken, error) {
	out, err := m.Store.TakeBound(ctx, take)
	if granted := m.leases(); out.Status == core.BoundFull && out.Layer == decide.LayerResponse && len(granted) > 0 {
		bind := []core.Settlement{{
			Kind: core.SettleFinished, Lease: take.Grant.ID, Account: out.Lease.Account, GrantedAt: granted[len(granted)-1].GrantedAt,
			Bind: take.Response, BindTTL: take.ResponseTTL,
		}}
		_ = m.Store.Settle(ctx, bind, make([]core.Settled, 1))
	}
	return out, err
}

// lastFirst takes the last choice with room.
type lastFirst struct{ core.Store }

// TakeFirst turns the order round.
func (m *lastFirst) TakeFirst(ctx context.Context, take *core.FirstTake) (core.FirstTaken, error) {
	t := *take
	t.Order = nil
	for _, c := range take.Order {
		t.Order = append([]core.Choice{c}, t.Order...)
	}
	out, err := m.Store.TakeFirst(ctx, &t)
	out.Index = len(t.Order) - 1 - out.Index
	return out, err
}

// manyProbes knows no probes.
type manyProbes struct{ core.Store }

// TakeFirst forgets which choices are probes.
func (m *manyProbes) TakeFirst(ctx context.Context, take *core.FirstTake) (core.FirstTaken, error) {
	t := *take
	t.Order = append([]core.Choice(nil), take.Order...)
	for i := range t.Order {
		t.Order[i].Probe = false
	}
	return m.Store.TakeFirst(ctx, &t)
}

// truncated gives whole rates.
type truncated struct{ core.Store }

// Loads truncates.
func (m *truncated) Loads(ctx context.Context, ordinals []int32, loads []decide.Load) error {
	err := m.Store.Loads(ctx, ordinals, loads)
	for i := range loads {
		loads[i].Rate = math.Floor(loads[i].Rate)
	}
	return err
}

// forgetful frees what is in use when limits change.
type forgetful struct{ *recording }

// Register frees everything first.
func (m forgetful) Register(ctx context.Context, roster *core.Roster) error {
	for _, l := range m.leases() {
		_ = m.Store.Settle(ctx, []core.Settlement{of(l, core.SettleUnused)}, make([]core.Settled, 1))
	}
	return m.Store.Register(ctx, roster)
}

// credulous takes every event for one of a young lease.
type credulous struct{ *recording }

// Settle makes the leases young.
func (m credulous) Settle(ctx context.Context, events []core.Settlement, results []core.Settled) error {
	changed := append([]core.Settlement(nil), events...)
	if granted := m.leases(); len(granted) > 0 {
		for i := range changed {
			changed[i].GrantedAt = granted[len(granted)-1].GrantedAt
		}
	}
	return m.Store.Settle(ctx, changed, results)
}

// lastCools lets the last deadline stand.
type lastCools struct{ core.Store }

// Cool removes the standing deadline first.
func (m *lastCools) Cool(ctx context.Context, cooldown core.Cooldown) (core.Cooldown, error) {
	if err := m.Warm(ctx, core.Cooldown{Account: cooldown.Account, Model: cooldown.Model}); err != nil {
		return core.Cooldown{}, err
	}
	return m.Store.Cool(ctx, cooldown)
}

// allWarms removes later deadlines too.
type allWarms struct{ core.Store }

// Warm removes whatever stands.
func (m *allWarms) Warm(ctx context.Context, cooldown core.Cooldown) error {
	return m.Store.Warm(ctx, core.Cooldown{Account: cooldown.Account, Model: cooldown.Model})
}

// keepsNone has deadlines stand no longer than they last.
type keepsNone struct{ core.Store }

// Cool keeps nothing.
func (m *keepsNone) Cool(ctx context.Context, cooldown core.Cooldown) (core.Cooldown, error) {
	cooldown.Keep = 0
	return m.Store.Cool(ctx, cooldown)
}

// unmoved leaves waiters where they are.
type unmoved struct{ core.Store }

// Move does nothing.
func (*unmoved) Move(context.Context, core.WaiterID, string) error { return nil }

// unaware knows of no request id that it is answered.
type unaware struct{ core.Store }

// Answered does nothing.
func (*unaware) Answered(context.Context, []core.RequestKey, []bool) error { return nil }

// silent sends no signals.
type silent struct{ core.Store }

// Signals gives a channel that ends at once: a check that waits sees it without waiting long.
func (*silent) Signals(context.Context) (<-chan core.Signal, error) {
	none := make(chan core.Signal)
	close(none)
	return none, nil
}

// tacit tells of no expired lease.
type tacit struct{ core.Store }

// Sweep keeps what expired to itself.
func (m *tacit) Sweep(ctx context.Context, limit int) (core.Swept, error) {
	out, err := m.Store.Sweep(ctx, limit)
	out.Expired = nil
	return out, err
}

// aimless does not say when the next lease ends.
type aimless struct{ core.Store }

// Sweep leaves out when the next lease ends.
func (m *aimless) Sweep(ctx context.Context, limit int) (core.Swept, error) {
	out, err := m.Store.Sweep(ctx, limit)
	out.Next = time.Time{}
	return out, err
}

// opened grants on what is closed.
type opened struct{ core.Store }

// Register opens all.
func (m *opened) Register(ctx context.Context, roster *core.Roster) error {
	all := core.Roster{Accounts: append([]core.RosterEntry(nil), roster.Accounts...)}
	for i := range all.Accounts {
		all.Accounts[i].Closed = false
	}
	return m.Store.Register(ctx, &all)
}
