package storetest

import (
	"context"
	"encoding/binary"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
)

// Lives of what the checks make, chosen so that no two are alike.
const (
	leaseTTL    = 60 * time.Second
	sessionTTL  = 100 * time.Second
	responseTTL = 130 * time.Second
	instant     = time.Millisecond
	handover    = 20 * time.Millisecond // longer than any store keeps a free slot for a replica's turn
)

// rig is a store with accounts a, b, c and so on, and the last one, "clock", that is never full.
type rig struct {
	TB
	core.Store
	h        *Harness
	ctx      context.Context
	roster   core.Roster
	ordinals []int32 // all
	made     uint64  // ids
}

func newRig(t TB, h *Harness, limits ...int) *rig {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), h.patience())
	t.Cleanup(cancel)
	r := &rig{TB: t, h: h, ctx: ctx, Store: h.New(t)}
	for i, limit := range append(limits, 0) {
		id := string(rune('a' + i))
		if i == len(limits) {
			id = "clock"
		}
		r.roster.Accounts = append(r.roster.Accounts, core.RosterEntry{ID: id, Limit: limit})
		r.ordinals = append(r.ordinals, int32(i))
	}
	r.register()
	return r
}

func (r *rig) register() {
	r.Helper()
	roster := core.Roster{Accounts: append([]core.RosterEntry(nil), r.roster.Accounts...)}
	if err := r.Register(r.ctx, &roster); err != nil {
		r.stop("register: %v", err)
	}
}

// fresh gives an id that no other call gave.
func (r *rig) fresh() (id [16]byte) {
	r.made++
	id[0] = 1
	binary.BigEndian.PutUint64(id[8:], r.made)
	return id
}

func (r *rig) session() core.BindingKey   { return r.fresh() }
func (r *rig) request() core.RequestKey   { return r.fresh() }
func (r *rig) advance(d time.Duration)    { r.h.Advance(d) }
func (r *rig) grant() core.Grant          { return core.Grant{ID: r.fresh(), TTL: leaseTTL, InLine: true} }
func (r *rig) clock() int32               { return int32(len(r.ordinals) - 1) }
func (r *rig) account(ordinal int) string { return r.roster.Accounts[ordinal].ID }

// now gives the store's time, as a lease tells it.
func (r *rig) now() time.Time {
	r.Helper()
	l := r.hold(int(r.clock()))
	r.settle(core.Settlement{Kind: core.SettleWithdrawn, Lease: l.ID})
	return l.GrantedAt
}

// first asks for the accounts in order, without a session.
func (r *rig) first(order ...int) *core.FirstTake {
	take := &core.FirstTake{Grant: r.grant(), SessionTTL: sessionTTL}
	for _, ordinal := range order {
		take.Order = append(take.Order, core.Choice{Ordinal: int32(ordinal)})
	}
	return take
}

func (r *rig) takeFirst(take *core.FirstTake) core.FirstTaken {
	r.Helper()
	out, err := r.TakeFirst(r.ctx, take)
	if err != nil {
		r.stop("TakeFirst: %v", err)
	}
	return out
}

// wantFirst takes and expects an end.
func (r *rig) wantFirst(take *core.FirstTake, want core.FirstStatus) core.FirstTaken {
	r.Helper()
	out := r.takeFirst(take)
	if out.Status != want {
		r.stop("TakeFirst ended with %d, want %d", out.Status, want)
	}
	return out
}

// hold takes a lease on an account that must have room.
func (r *rig) hold(ordinal int) core.Lease {
	r.Helper()
	out := r.wantFirst(r.first(ordinal), core.FirstTook)
	if out.Lease.Account != r.account(ordinal) {
		r.stop("took %q, want %q", out.Lease.Account, r.account(ordinal))
	}
	return out.Lease
}

// bind binds a session to an account, with a lease that is given back at once.
func (r *rig) bind(key core.BindingKey, ordinal int, ttl time.Duration) {
	r.Helper()
	take := r.first(ordinal)
	take.Session, take.SessionTTL = key, ttl
	out := r.wantFirst(take, core.FirstTook)
	r.settle(core.Settlement{Kind: core.SettleUnused, Lease: out.Lease.ID})
}

// bound asks for what a session and a response are bound to.
func (r *rig) bound(response, session core.BindingKey) *core.BoundTake {
	return &core.BoundTake{
		Grant: r.grant(), Response: response, Session: session,
		ResponseTTL: responseTTL, SessionTTL: sessionTTL, Judge: fates{},
	}
}

func (r *rig) takeBound(take *core.BoundTake) core.BoundTaken {
	r.Helper()
	out, err := r.TakeBound(r.ctx, take)
	if err != nil {
		r.stop("TakeBound: %v", err)
	}
	return out
}

func (r *rig) wantBound(take *core.BoundTake, want core.BoundStatus) core.BoundTaken {
	r.Helper()
	out := r.takeBound(take)
	if out.Status != want {
		r.stop("TakeBound ended with %d, want %d", out.Status, want)
	}
	return out
}

// binding looks a binding up without any effect.
func (r *rig) binding(key core.BindingKey) core.Binding {
	r.Helper()
	take := r.bound(core.BindingKey{}, key)
	take.DryRun, take.Judge = true, fates{"": decide.Keep}
	return r.takeBound(take).Session
}

// wantBinding expects an account under a key; blank for no binding.
func (r *rig) wantBinding(key core.BindingKey, account string) {
	r.Helper()
	if got := r.binding(key).Account; got != account {
		r.Errorf("bound to %q, want %q", got, account)
	}
}

// wantLife expects a binding to the account that ends exactly when left has passed from now.
func (r *rig) wantLife(key core.BindingKey, account string, left time.Duration) {
	r.Helper()
	r.advance(left - instant)
	r.wantBinding(key, account)
	r.advance(instant)
	r.wantBinding(key, "")
}

func (r *rig) settle(events ...core.Settlement) []core.Settled {
	r.Helper()
	results := make([]core.Settled, len(events))
	if err := r.Settle(r.ctx, events, results); err != nil {
		r.stop("Settle: %v", err)
	}
	return results
}

// wantSettled settles one event and expects a status.
func (r *rig) wantSettled(event core.Settlement, want core.EventStatus) core.Settled {
	r.Helper()
	got := r.settle(event)[0]
	if got.Status != want {
		r.stop("event %d: status %d, want %d", event.Kind, got.Status, want)
	}
	return got
}

// of gives an event of a lease, as its token would tell it.
func of(l core.Lease, kind core.SettleKind) core.Settlement {
	return core.Settlement{Kind: kind, Lease: l.ID, Account: l.Account, GrantedAt: l.GrantedAt}
}

func (r *rig) loads() []decide.Load {
	r.Helper()
	loads := make([]decide.Load, len(r.ordinals))
	if err := r.Loads(r.ctx, r.ordinals, loads); err != nil {
		r.stop("Loads: %v", err)
	}
	return loads
}

func (r *rig) wantInUse(ordinal, want int) {
	r.Helper()
	if got := int(r.loads()[ordinal].InUse); got != want {
		r.stop("in use of %q is %d, want %d", r.account(ordinal), got, want)
	}
}

func (r *rig) usage(tenant string) core.Usage {
	r.Helper()
	u, err := r.Usage(r.ctx, tenant)
	if err != nil {
		r.stop("Usage: %v", err)
	}
	return u
}

// sweep sweeps until nothing is left and gives what had expired.
func (r *rig) sweep(limit int) (expired []core.Lease) {
	r.Helper()
	for range 10_000 {
		out, err := r.Sweep(r.ctx, limit)
		if err != nil {
			r.stop("Sweep: %v", err)
		}
		if len(out.Expired) > limit {
			r.stop("a sweep of at most %d told of %d leases", limit, len(out.Expired))
		}
		expired = append(expired, out.Expired...)
		if !out.More {
			return expired
		}
	}
	r.stop("sweeping never ends")
	return nil
}
