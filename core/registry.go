package core

import (
	"context"
	"sync"
	"sync/atomic"

	"usher.internal/core/decide"
	"usher.internal/core/pool"
)

// world is the accounts and the policy that a decision stands on. It is never changed.
type world struct {
	set    *pool.Set
	policy *decide.Policy
	views  views
	// limits are by ordinal, and noAccount for one that is not in the set; ids are theirs.
	limits []int32
	ids    []string
	// draining are the ordinals of accounts that serve none but their own sessions.
	draining []int32
}

const noAccount = -1

// limit gives an account's slots, 0 for unlimited; false when it is not in the set.
func (w *world) limit(ordinal int32) (int32, bool) {
	if int(ordinal) >= len(w.limits) || w.limits[ordinal] == noAccount {
		return 0, false
	}
	return w.limits[ordinal], true
}

// at gives the account of an ordinal, as account does: who waited for one, or had a slot of it, may be served when it is not in the set any more.
func (w *world) at(ordinal int32) *pool.Account {
	if int(ordinal) >= len(w.ids) {
		return w.account("")
	}
	return w.account(w.ids[ordinal])
}

// byOrdinal lists a set's limits and ids by ordinal.
func byOrdinal(set *pool.Set) (limits []int32, ids []string) {
	for i := range set.Len() {
		a := set.At(i)
		for len(limits) <= a.Ordinal {
			limits, ids = append(limits, noAccount), append(ids, "")
		}
		limits[a.Ordinal], ids[a.Ordinal] = a.Limit(), a.ID
	}
	return limits, ids
}

// registry holds the current world, swapped whole.
type registry struct {
	current atomic.Pointer[world]

	// mu guards what follows and is held while the store registers, so that rosters reach it in order.
	mu       sync.Mutex
	ordinals map[string]int32
	roster   Roster
}

func newRegistry() *registry {
	r := &registry{ordinals: make(map[string]int32)}
	set, _ := pool.NewSet(nil) // no account, no fault
	policy := decide.Reference()
	r.current.Store(&world{set: set, policy: &policy})
	return r
}

// apply makes a new world current once the store knows its accounts.
func (r *registry) apply(ctx context.Context, store Base, accounts []pool.Account, policy decide.Policy) error {
	if faults := policy.Validate(); len(faults) > 0 {
		return &Error{Kind: KindInvalidPool, Text: "policy", Err: faults[0]}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	numbered := make([]pool.Account, len(accounts))
	copy(numbered, accounts)
	roster := Roster{Accounts: append([]RosterEntry(nil), r.roster.Accounts...)}
	for i := range roster.Accounts {
		roster.Accounts[i].Left = true
	}
	for i := range numbered {
		a := &numbered[i]
		a.Ordinal = int(r.ordinalLocked(a.ID))
		for len(roster.Accounts) <= a.Ordinal {
			roster.Accounts = append(roster.Accounts, RosterEntry{})
		}
		roster.Accounts[a.Ordinal] = RosterEntry{ID: a.ID, Limit: a.MaxConcurrency}
	}
	set, err := pool.NewSet(numbered)
	if err != nil {
		return &Error{Kind: KindInvalidPool, Text: "accounts", Err: err}
	}
	// Ordinals that only reports have named so far have their id, and no limit to keep.
	for id, ordinal := range r.ordinals { // order-free: each writes its own place
		if int(ordinal) < len(roster.Accounts) && roster.Accounts[ordinal].ID == "" {
			roster.Accounts[ordinal] = RosterEntry{ID: id, Left: true}
		}
	}
	if err := store.Register(ctx, &roster); err != nil {
		return err
	}
	r.roster = roster
	limits, ids := byOrdinal(set)
	w := &world{set: set, policy: &policy, limits: limits, ids: ids}
	for i := range set.Len() {
		if a := set.At(i); a.State == pool.Draining {
			w.draining = append(w.draining, int32(a.Ordinal))
		}
	}
	r.current.Store(w)
	return nil
}

// ordinal gives an account's place in the roster, for life. Ids come from accounts
// that were applied or from tokens that were sealed here, so their number is bounded by them.
func (r *registry) ordinal(id string) int32 {
	if a, ok := r.current.Load().set.Lookup(id); ok {
		return int32(a.Ordinal)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ordinalLocked(id)
}

func (r *registry) ordinalLocked(id string) int32 {
	ordinal, ok := r.ordinals[id]
	if !ok {
		ordinal = int32(len(r.ordinals))
		r.ordinals[id] = ordinal
	}
	return ordinal
}

// maxViews bounds a world's views: models are named by callers.
const maxViews = 256

// views keeps the views of a world by what was asked for.
type views struct {
	// mu guards byQuery.
	mu      sync.RWMutex
	byQuery map[pool.Query]*pool.View
}

// view gives the accounts that may ever serve the query.
func (w *world) view(q pool.Query) *pool.View {
	w.views.mu.RLock()
	v := w.views.byQuery[q]
	w.views.mu.RUnlock()
	if v != nil {
		return v
	}
	v = w.set.View(q)
	w.views.mu.Lock()
	defer w.views.mu.Unlock()
	if w.views.byQuery == nil || len(w.views.byQuery) >= maxViews {
		w.views.byQuery = make(map[pool.Query]*pool.View)
	}
	w.views.byQuery[q] = v
	return v
}
