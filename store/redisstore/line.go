package redisstore

import (
	"context"
	"errors"
	"strconv"

	"usher.internal/core"
)

// Join counts a waiter. One that waits already stays where it is, with a whole new life.
func (s *Store) Join(ctx context.Context, w *core.Waiter) (core.Joined, error) {
	var out core.Joined
	asked := s.clock.Now()
	r, err := s.call(ctx, s.scripts.join, func(_ *table, args []string) []string {
		return append(
			args, key(w.ID), w.Account, w.Tenant, life(w.TTL), strconv.Itoa(max(w.AccountCap, 0)), strconv.Itoa(max(w.TenantCap, 0)),
		)
	})
	if err != nil {
		if !errors.Is(err, errLate) {
			s.lose(w.ID)
		}
		return out, err
	}
	switch r.text() {
	case "joined":
		out.Status = core.JoinedLine
		s.counted.add(w, asked)
	case "account":
		out.Status = core.JoinAccountFull
	case "tenant":
		out.Status = core.JoinTenantFull
	default:
		r.fail(errStatus)
	}
	out.Waiting = int(r.number())
	return out, r.failure(ctx)
}

// Move counts a waiter on another account, whatever the caps are.
func (s *Store) Move(ctx context.Context, id core.WaiterID, account string) error {
	s.counted.move(id, account)
	_, err := s.call(ctx, s.scripts.move, func(_ *table, args []string) []string { return append(args, key(id), account) })
	return err
}

// Leave counts a waiter no more. One that the server does not hear of is taken back as soon as it does.
func (s *Store) Leave(ctx context.Context, id core.WaiterID) error {
	s.counted.drop(id)
	_, err := s.call(ctx, s.scripts.leave, func(_ *table, args []string) []string { return append(args, key(id)) })
	if err != nil {
		s.lose(id)
	}
	return err
}

// Answered tells of each request id whether a lease of it lives, or it was released.
func (s *Store) Answered(ctx context.Context, requests []core.RequestKey, answered []bool) error {
	name := func(n int) string { return string(appendRequestKey(nil, requests[n])) }
	return s.letters(ctx, s.scripts.answered, len(requests), name, func(_ *reply, n int, letter string) { answered[n] = letter == "a" })
}
