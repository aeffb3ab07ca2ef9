package redisstore

import (
	"context"
	"strconv"
	"strings"

	"github.com/redis/rueidis"

	"usher.internal/core"
)

// callMost is how many leases one call is about at most, so that it does not hold the server for long.
const callMost = 64

// inSteps calls with no more than callMost of n at a time: those from, up to to.
func inSteps(n int, call func(from, to int) error) error {
	for from := 0; from < n; from += callMost {
		if err := call(from, min(from+callMost, n)); err != nil {
			return err
		}
	}
	return nil
}

// Renew gives leases a whole new lifetime.
func (s *Store) Renew(ctx context.Context, renewals []core.Renewal, results []core.Renewed) error {
	n := min(len(renewals), len(results))
	if n == 0 {
		return ctx.Err()
	}
	return inSteps(n, func(from, to int) error { return s.renew(ctx, renewals[from:to], results[from:to]) })
}

func (s *Store) renew(ctx context.Context, renewals []core.Renewal, results []core.Renewed) error {
	r, err := s.call(ctx, s.scripts.renew, func(_ *table, args []string) []string {
		for i := range renewals {
			w := &renewals[i]
			args = append(args, key(w.Lease), micros(w.GrantedAt), life(w.TTL), life(w.MaxAge))
		}
		return args
	})
	if err != nil {
		return err
	}
	for i := range results {
		results[i] = renewed(r)
	}
	return r.failure(ctx)
}

// renewed reads what became of a lease: status, end and how it ended.
func renewed(r *reply) core.Renewed {
	out := core.Renewed{Status: settled(r, r.text())}
	if ends := r.number(); out.Status == core.EventApplied {
		out.ExpiresAt = moment(ends)
	}
	out.End = core.LeaseEnd(r.number())
	return out
}

// Adopt takes leases up again, and renews those that live.
func (s *Store) Adopt(ctx context.Context, adoptions []core.Adoption, results []core.Adopted) error {
	n := min(len(adoptions), len(results))
	if n == 0 {
		return ctx.Err()
	}
	return inSteps(n, func(from, to int) error { return s.adopt(ctx, adoptions[from:to], results[from:to]) })
}

func (s *Store) adopt(ctx context.Context, adoptions []core.Adoption, results []core.Adopted) error {
	r, err := s.call(ctx, s.scripts.adopt, func(_ *table, args []string) []string {
		for i := range adoptions {
			a, l := &adoptions[i], &adoptions[i].Lease
			args = append(
				args, key(l.ID), l.Account, micros(l.GrantedAt), life(a.TTL), life(a.MaxAge), life(a.Left), micros(l.ExpiresAt),
				l.Tenant, l.Owner.Name, l.Owner.Incarnation, rest(l.Decision, l.Group, l.Model), string(letterIf(l.Elsewhere, '1', '0')),
			)
		}
		return args
	})
	if err != nil {
		return err
	}
	for i := range results {
		results[i] = core.Adopted{Renewed: renewed(r), Taken: r.number() == 1, Overcommitted: r.number() == 1}
	}
	return r.failure(ctx)
}

// End ends leases and leaves marks as their expiry would.
func (s *Store) End(ctx context.Context, ids []core.LeaseID, how core.LeaseEnd) (ended []core.Lease, err error) {
	return s.end(ctx, ids, how, false)
}

// EndKept is End for those of the leases that this replica looks after, as the server has it. Which that are is found out in the
// step that ends them.
func (s *Store) EndKept(ctx context.Context, ids []core.LeaseID, how core.LeaseEnd) (ended []core.Lease, err error) {
	return s.end(ctx, ids, how, true)
}

func (s *Store) end(ctx context.Context, ids []core.LeaseID, how core.LeaseEnd, kept bool) (ended []core.Lease, err error) {
	if len(ids) == 0 {
		return nil, ctx.Err()
	}
	err = inSteps(len(ids), func(from, to int) error {
		r, err := s.call(ctx, s.scripts.end, func(_ *table, args []string) []string {
			args = append(args, strconv.Itoa(int(how)), string(letterIf(kept, '1', '0')))
			for _, id := range ids[from:to] {
				args = append(args, key(id))
			}
			return args
		})
		if err != nil {
			return err
		}
		some, err := s.list(ctx, r)
		ended = append(ended, some...)
		return err
	})
	return ended, err
}

// Hear takes down that this replica has heard of an owner.
func (s *Store) Hear(ctx context.Context, sign core.Sign) (elsewhere bool, err error) {
	r, err := s.call(ctx, s.scripts.hear, func(_ *table, args []string) []string {
		return append(args, sign.Owner.Name, sign.Owner.Incarnation, life(max(sign.Age, 0)), life(sign.Life))
	})
	if err != nil {
		return false, err
	}
	elsewhere = r.number() == 1
	return elsewhere, r.failure(ctx)
}

// LeasesOf lists the leases of an owner.
func (s *Store) LeasesOf(ctx context.Context, name string) (leases []core.Lease, err error) {
	if name == "" {
		return nil, ctx.Err()
	}
	var seen map[core.LeaseID]bool
	for cursor := "0"; ; {
		r, err := s.call(ctx, s.scripts.leasesOf, func(_ *table, args []string) []string {
			return append(args, name, cursor, strconv.Itoa(callMost))
		})
		if err != nil {
			return nil, err
		}
		cursor = r.text()
		some, err := s.list(ctx, r)
		if err != nil {
			return nil, err
		}
		if cursor == "0" && seen == nil {
			return some, nil
		}
		if seen == nil {
			seen = make(map[core.LeaseID]bool)
		}
		for i := range some {
			if !seen[some[i].ID] {
				seen[some[i].ID], leases = true, append(leases, some[i])
			}
		}
		if cursor == "0" {
			return leases, nil
		}
	}
}

// StatusOf tells of each lease whether it lives: EventApplied; EventAlreadyReleased when it ended, however it did;
// EventUnknown when it neither lives nor left a mark that stands. Nothing changes by it. Errors: *core.Error of
// KindStoreUnavailable, or the context's own.
func (s *Store) StatusOf(ctx context.Context, ids []core.LeaseID, statuses []core.EventStatus) error {
	name := func(n int) string { return key(ids[n]) }
	return s.letters(ctx, s.scripts.statusOf, min(len(ids), len(statuses)), name, func(r *reply, n int, letter string) {
		statuses[n] = settled(r, letter)
	})
}

// letters asks of n things by their names, in steps; the script answers one text with a letter of each.
func (s *Store) letters(
	ctx context.Context, script *rueidis.Lua, n int, name func(n int) string, tell func(r *reply, n int, letter string),
) error {
	return inSteps(n, func(from, to int) error {
		r, err := s.call(ctx, script, func(_ *table, args []string) []string {
			for i := from; i < to; i++ {
				args = append(args, name(i))
			}
			return args
		})
		if err != nil {
			return err
		}
		text := r.text()
		if len(text) != to-from {
			r.fail(errShort)
			return r.failure(ctx)
		}
		for i := range text {
			tell(r, from+i, text[i:i+1])
		}
		return r.failure(ctx)
	})
}

// list reads leases, each an id and a record.
func (s *Store) list(ctx context.Context, r *reply) (leases []core.Lease, err error) {
	for r.more() {
		id := r.text()
		found, err := s.read(ctx, r.known, id, r.text())
		if err != nil {
			return nil, err
		}
		leases = append(leases, found.lease)
	}
	return leases, r.failure(ctx)
}

// sweepMost bounds what one sweep tells, so that its answer stays small.
const sweepMost = 256

// Sweep ends what is over and what dead replicas looked after, in a few steps.
func (s *Store) Sweep(ctx context.Context, limit int) (core.Swept, error) {
	var out core.Swept
	r, err := s.call(ctx, s.scripts.sweep, func(_ *table, args []string) []string {
		return append(args, strconv.Itoa(min(max(limit, 1), sweepMost)), string(letterIf(s.mayBury(), '1', '0')))
	})
	if err != nil {
		return out, err
	}
	out.More = r.number() > 0
	if next := r.number(); next > 0 {
		out.Next = moment(next)
	}
	for r.more() {
		id, text, _ := strings.Cut(r.text(), " ")
		found, err := s.read(ctx, r.known, id, text)
		if err != nil {
			return out, err
		}
		out.Expired = append(out.Expired, found.lease)
	}
	return out, r.failure(ctx)
}
