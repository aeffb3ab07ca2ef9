package memstore

import (
	"context"
	"maps"
	"slices"

	"usher.internal/core"
	"usher.internal/core/pool"
)

// directory is what was pushed.
type directory struct {
	// revision counts changes.
	revision uint64
	accounts map[string]pool.Account
	states   map[string]core.StateOverride
}

func newDirectory() directory {
	return directory{accounts: make(map[string]pool.Account), states: make(map[string]core.StateOverride)}
}

// copyAccount gives an account that shares nothing that can be changed.
func copyAccount(a pool.Account) pool.Account {
	a.Groups = slices.Clone(a.Groups)
	a.ModelLimits = maps.Clone(a.ModelLimits)
	return a
}

// PutAccount adds or replaces an account.
func (s *Store) PutAccount(ctx context.Context, account pool.Account) (uint64, error) {
	return s.push(ctx, account.ID, func(d *directory) bool {
		d.accounts[account.ID] = copyAccount(account)
		return true
	})
}

// DropAccount removes a pushed account; its pushed state stays.
func (s *Store) DropAccount(ctx context.Context, id string) (uint64, error) {
	return s.push(ctx, id, func(d *directory) bool {
		_, known := d.accounts[id]
		delete(d.accounts, id)
		return known
	})
}

// PutState sets an account's state.
func (s *Store) PutState(ctx context.Context, state core.StateOverride) (uint64, error) {
	return s.push(ctx, state.Account, func(d *directory) bool {
		d.states[state.Account] = state
		return true
	})
}

// push makes a change that concerns an account; one that changed nothing keeps the revision.
func (s *Store) push(ctx context.Context, id string, change func(*directory) bool) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if change(&s.directory) {
		s.directory.revision++
		s.signals.Publish(core.Signal{Kind: core.SignalDirectory, Account: id})
	}
	return s.directory.revision, nil
}

// Pushed lists what was pushed.
func (s *Store) Pushed(ctx context.Context, since uint64) (core.Pushed, error) {
	if err := ctx.Err(); err != nil {
		return core.Pushed{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := core.Pushed{Revision: s.directory.revision}
	if since == out.Revision {
		return out, nil
	}
	out.Accounts, out.States = []pool.Account{}, []core.StateOverride{}
	for _, id := range slices.Sorted(maps.Keys(s.directory.accounts)) {
		out.Accounts = append(out.Accounts, copyAccount(s.directory.accounts[id]))
	}
	for _, id := range slices.Sorted(maps.Keys(s.directory.states)) {
		out.States = append(out.States, s.directory.states[id])
	}
	return out, nil
}
