package memstore

import (
	"context"
	"fmt"
	"math"

	"usher.internal/core"
	"usher.internal/core/decide"
)

// unlisted is the ordinal of an account that no roster has named: a binding or a waiter did.
const unlisted = -1

// noAccount is the number of no account.
const noAccount = -1

// account counts what has not ended. It lives as long as the store.
type account struct {
	id      string
	number  int32
	ordinal int32
	limit   int32 // 0 is unlimited
	closed  bool  // grants nothing
	inUse   int32
	waiting int32
	probes  int32 // live leases that are probes
	kept    int64 // until when newcomers find no room while somebody waits
}

// room tells that a lease may be granted.
func (a *account) room() bool {
	return a.ordinal != unlisted && !a.closed && (a.limit <= 0 || a.inUse < a.limit)
}

// free tells that a take finds room: what came free while somebody waits is for those in line first.
func (s *Store) free(now int64, g *core.Grant, a *account) bool {
	return a.room() && (now >= a.kept || g.InLine || len(s.waiters) == 0)
}

// freed tells who listens that slots came free, and keeps newcomers away from them for a moment if somebody waits.
func (s *Store) freed(now int64, a *account, kind core.SignalKind) {
	if s.handover > 0 && len(s.waiters) > 0 {
		a.kept = now + s.handover
	}
	s.signals.Publish(core.Signal{Kind: kind, Account: a.id})
}

// change counts leases and waiters in or out. It is the only place where the counts change.
func (s *Store) change(a *account, leases, waiters int32) {
	a.inUse += leases
	a.waiting += waiters
	s.show(a)
}

// show brings the load view up to date.
func (s *Store) show(a *account) {
	if a.ordinal == unlisted {
		return
	}
	s.loads[a.ordinal] = decide.Load{
		InUse: a.inUse, Waiting: a.waiting, Rate: decide.LoadRate(a.inUse, a.waiting, a.limit), Probing: a.probes > 0,
	}
}

// probe makes a lease that was just granted its account's probe.
func (s *Store) probe(l *lease, a *account) {
	l.flags |= flagProbe
	a.probes++
	s.show(a)
}

// named gives the account of an id, making it known if need be.
func (s *Store) named(id string) *account {
	if number, ok := s.byID[id]; ok {
		return s.accounts[number]
	}
	// The id may be a part of a longer text that nothing else needs.
	id = string(append([]byte(nil), id...))
	a := &account{id: id, number: int32(len(s.accounts)), ordinal: unlisted}
	s.accounts = append(s.accounts, a)
	s.byID[id] = a.number
	return a
}

// Register takes up the roster. It fails, without effect, on an ordinal whose
// id changed and on an id under two ordinals.
func (s *Store) Register(ctx context.Context, roster *core.Roster) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.tick()
	if err := s.checkRoster(roster); err != nil {
		return err
	}
	for len(s.roster) < len(roster.Accounts) {
		s.roster = append(s.roster, nil)
		s.loads = append(s.loads, decide.Load{})
	}
	for ordinal := range roster.Accounts {
		entry := &roster.Accounts[ordinal]
		if entry.ID == "" {
			continue
		}
		a := s.named(entry.ID)
		known, before := a.ordinal != unlisted, a.limit
		a.ordinal, a.limit, a.closed = int32(ordinal), int32(min(max(entry.Limit, 0), math.MaxInt32)), entry.Closed
		s.roster[ordinal] = a
		s.show(a)
		raised := known && before > 0 && (a.limit == 0 || a.limit > before)
		if raised || !known && s.handover > 0 && a.room() {
			s.freed(now, a, core.SignalFreed)
		}
	}
	return nil
}

func (s *Store) checkRoster(roster *core.Roster) error {
	seen := make(map[string]bool, len(roster.Accounts))
	for ordinal := range roster.Accounts {
		id := roster.Accounts[ordinal].ID
		if ordinal < len(s.roster) && s.roster[ordinal] != nil && s.roster[ordinal].id != id {
			return &core.Error{Kind: core.KindInternal, Text: fmt.Sprintf("memstore: ordinal %d changed its account", ordinal)}
		}
		if id == "" {
			continue
		}
		number, ok := s.byID[id]
		elsewhere := ok && s.accounts[number].ordinal != unlisted && s.accounts[number].ordinal != int32(ordinal)
		if seen[id] || elsewhere {
			return &core.Error{Kind: core.KindInternal, Text: fmt.Sprintf("memstore: account %q has two ordinals", id)}
		}
		seen[id] = true
	}
	return nil
}

// Loads fills loads; an ordinal that is not known has none.
func (s *Store) Loads(ctx context.Context, ordinals []int32, loads []decide.Load) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tick()
	s.fill(ordinals, loads)
	return nil
}

func (s *Store) fill(ordinals []int32, loads []decide.Load) {
	n := min(len(ordinals), len(loads))
	loads = loads[:n]
	all := s.loads
	for i, ordinal := range ordinals[:n] {
		if uint(ordinal) < uint(len(all)) {
			loads[i] = all[ordinal]
		} else {
			loads[i] = decide.Load{}
		}
	}
}

// listed gives the account of an ordinal; nil when there is none.
func (s *Store) listed(ordinal int32) *account {
	if uint(ordinal) < uint(len(s.roster)) {
		return s.roster[ordinal]
	}
	return nil
}

// Usage counts a tenant's leases and waiters, and all of them.
func (s *Store) Usage(ctx context.Context, tenant string) (core.Usage, error) {
	if err := ctx.Err(); err != nil {
		return core.Usage{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.tick()
	u := core.Usage{
		Leases:   len(s.leases.order.items),
		Waiting:  len(s.waiters),
		Bindings: s.bindings.count(now) + s.stand.count(now),
	}
	if t := s.tenants[tenant]; t != nil {
		u.TenantLeases, u.TenantWaiting = int(t.leases), int(t.waiting)
	}
	return u, nil
}

// tenant counts what a tenant holds and waits for.
type tenant struct {
	name            string
	leases, waiting int32
}

// idleTenants is how many tenants may stay known that hold nothing: one that comes and goes costs nothing then.
const idleTenants = 1024

func (s *Store) tenant(name string) *tenant {
	t := s.tenants[name]
	if t == nil {
		t = &tenant{name: name}
		s.tenants[name] = t
	}
	return t
}

// charge counts leases and waiters of a tenant in or out.
func (s *Store) charge(t *tenant, leases, waiters int32) {
	t.leases += leases
	t.waiting += waiters
	if t.leases == 0 && t.waiting == 0 && len(s.tenants) > idleTenants {
		delete(s.tenants, t.name)
	}
}
