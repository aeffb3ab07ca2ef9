package redisstore

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strconv"

	"usher.internal/core"
	"usher.internal/core/pool"
)

// The hashes of what is pushed.
const (
	accountsHash = "a"
	statesHash   = "as"
)

// pushedAccount is an account as the server keeps it.
type pushedAccount struct {
	pool.Account
	Models map[string]string
}

// PutAccount adds or replaces an account.
func (s *Store) PutAccount(ctx context.Context, account pool.Account) (uint64, error) {
	return s.put(ctx, accountsHash, account.ID, pushedAccount{Account: account, Models: account.Models.Mapping()})
}

// PutState sets an account's state.
func (s *Store) PutState(ctx context.Context, state core.StateOverride) (uint64, error) {
	return s.put(ctx, statesHash, state.Account, state)
}

// DropAccount removes a pushed account; its pushed state stays.
func (s *Store) DropAccount(ctx context.Context, id string) (uint64, error) {
	return s.push(ctx, accountsHash, id, "")
}

func (s *Store) put(ctx context.Context, hash, id string, value any) (uint64, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return 0, &core.Error{Kind: core.KindInternal, Text: "redisstore: what is pushed cannot be written down", Err: err}
	}
	return s.push(ctx, hash, id, string(text))
}

func (s *Store) push(ctx context.Context, hash, id, value string) (uint64, error) {
	r, err := s.call(ctx, s.scripts.push, func(_ *table, args []string) []string { return append(args, hash, id, value) })
	if err != nil {
		return 0, err
	}
	revision := uint64(r.number())
	return revision, r.failure(ctx)
}

// Pushed lists what was pushed.
func (s *Store) Pushed(ctx context.Context, since uint64) (core.Pushed, error) {
	var out core.Pushed
	r, err := s.call(ctx, s.scripts.pushed, func(_ *table, args []string) []string {
		return append(args, strconv.FormatUint(since, 10))
	})
	if err != nil {
		return out, err
	}
	out.Revision = uint64(r.number())
	if !r.more() {
		return out, r.failure(ctx)
	}
	out.Accounts, out.States = []pool.Account{}, []core.StateOverride{}
	for range r.number() {
		var a pushedAccount
		r.json(&a)
		a.Account.Models = pool.NewModels(a.Models)
		out.Accounts = append(out.Accounts, a.Account)
	}
	for r.more() {
		var state core.StateOverride
		r.json(&state)
		out.States = append(out.States, state)
	}
	slices.SortFunc(out.Accounts, func(a, b pool.Account) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(out.States, func(a, b core.StateOverride) int { return cmp.Compare(a.Account, b.Account) })
	return out, r.failure(ctx)
}

// json reads the value of a field.
func (r *reply) json(into any) {
	r.text() // the id, which the value has too
	if err := json.Unmarshal([]byte(r.text()), into); err != nil {
		r.fail(err)
	}
}
