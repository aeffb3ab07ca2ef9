package memstore

import (
	"context"

	"usher.internal/core"
)

// waiter is a request in line.
type waiter struct {
	id      core.WaiterID
	account *account
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
		return core.Joined{Waiting: int(w.account.waiting)}, nil
	}
	a, t := s.named(joining.Account), s.tenant(joining.Tenant)
	switch {
	case joining.AccountCap > 0 && int(a.waiting) >= joining.AccountCap:
		return core.Joined{Status: core.JoinAccountFull, Waiting: int(a.waiting)}, nil
	case joining.TenantCap > 0 && int(t.waiting) >= joining.TenantCap:
		return core.Joined{Status: core.JoinTenantFull, Waiting: int(a.waiting)}, nil
	}
	w := &waiter{id: joining.ID, account: a, tenant: t}
	s.waiters[w.id] = w
	s.waitOrder.push(until, w)
	s.change(a, 0, 1)
	s.charge(t, 0, 1)
	return core.Joined{Waiting: int(a.waiting)}, nil
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
		s.change(w.account, 0, -1)
		w.account = s.named(account)
		s.change(w.account, 0, 1)
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

// dismiss counts a waiter out.
func (s *Store) dismiss(w *waiter) {
	s.waitOrder.remove(w.place)
	delete(s.waiters, w.id)
	s.change(w.account, 0, -1)
	s.charge(w.tenant, 0, -1)
}
