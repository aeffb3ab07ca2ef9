package memstore

import (
	"context"

	"usher.internal/core"
)

// waiter is a request in line.
type waiter struct {
	id      core.WaiterID
	account *account // nil for one that counts on none
	tenant  *tenant
	place   int32 // in the order of ends
}

// Join counts a waiter. One that waits already stays where it is, with a whole new life.
func (s *Store) Join(ctx context.Context, joining *core.Waiter) (core.Joined, error) {
	if err := ctx.Err(); err != nil {
		return core.Joined{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	until := after(s.tick(), joining.TTL)
	if w := s.waiters[joining.ID]; w != nil {
		s.waitOrder.reset(w.place, until)
		return core.Joined{Waiting: w.account.waiters()}, nil
	}
	var a *account
	if joining.Account != "" {
		a = s.named(joining.Account)
	}
	t := s.tenant(joining.Tenant)
	switch {
	case a != nil && joining.AccountCap > 0 && int(a.waiting) >= joining.AccountCap:
		return core.Joined{Status: core.JoinAccountFull, Waiting: a.waiters()}, nil
	case joining.TenantCap > 0 && int(t.waiting) >= joining.TenantCap:
		return core.Joined{Status: core.JoinTenantFull, Waiting: a.waiters()}, nil
	}
	w := &waiter{id: joining.ID, account: a, tenant: t}
	s.waiters[w.id] = w
	s.waitOrder.push(until, w)
	s.await(a, 1)
	s.charge(t, 0, 1)
	return core.Joined{Waiting: a.waiters()}, nil
}

// waiters counts those on an account; nil is none.
func (a *account) waiters() int {
	if a == nil {
		return 0
	}
	return int(a.waiting)
}

// await changes how many wait on an account, which may be none.
func (s *Store) await(a *account, by int32) {
	if a != nil {
		s.change(a, 0, by)
	}
}

// Move counts a waiter on another account, whatever the caps are.
func (s *Store) Move(ctx context.Context, id core.WaiterID, account string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tick()
	if w := s.waiters[id]; w != nil {
		s.await(w.account, -1)
		w.account = s.named(account)
		s.await(w.account, 1)
	}
	return nil
}

// Leave counts a waiter no more.
func (s *Store) Leave(ctx context.Context, id core.WaiterID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tick()
	if w := s.waiters[id]; w != nil {
		s.dismiss(w)
	}
	return nil
}

// Answered tells of each request id whether a lease of it lives, or it was released.
func (s *Store) Answered(ctx context.Context, requests []core.RequestKey, answered []bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.tick()
	for i := range requests {
		r := s.leases.byRequest.find((*[16]byte)(&requests[i]))
		answered[i] = r != 0 && (!r.marked() || s.marks.living(r, now) != nil)
	}
	return nil
}

// dismiss counts a waiter out.
func (s *Store) dismiss(w *waiter) {
	s.waitOrder.remove(w.place)
	delete(s.waiters, w.id)
	s.await(w.account, -1)
	s.charge(w.tenant, 0, -1)
}
