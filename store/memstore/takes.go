package memstore

import (
	"context"
	"fmt"

	"usher.internal/core"
	"usher.internal/core/decide"
)

// errLate answers a take whose time had passed when its turn came: its caller's deadline.
var errLate = fmt.Errorf("memstore: the take's time had passed: %w", context.DeadlineExceeded)

// sight is what the store knows of a take already.
type sight uint8

const (
	unseen   sight = iota
	same           // the very take: its lease lives
	repeated       // another take of the same request id: its lease lives
	released       // the lease, or the request id, was released
)

// seen looks a take up by its request id, then by its lease id.
func (s *Store) seen(now int64, g *core.Grant) (*lease, sight) {
	if g.Request != (core.RequestKey{}) {
		if r := s.leases.byRequest.find((*[16]byte)(&g.Request)); r != 0 {
			switch {
			case r.marked():
				if s.marks.living(r, now) != nil {
					return nil, released
				}
			case s.leases.at(r).id == g.ID:
				return s.leases.at(r), same
			default:
				return s.leases.at(r), repeated
			}
		}
	}
	if r := s.leases.byID.find((*[16]byte)(&g.ID)); r != 0 {
		switch {
		case !r.marked():
			return s.leases.at(r), same
		case s.marks.living(r, now) != nil:
			return nil, released
		}
	}
	return nil, unseen
}

// late tells that the take must not be carried out any more.
func (s *Store) late(now int64, g *core.Grant) bool {
	return !g.NotAfter.IsZero() && s.since(g.NotAfter) < now
}

// capped tells that the tenant holds as many leases as it may.
func (s *Store) capped(g *core.Grant) bool {
	if g.TenantCap <= 0 {
		return false
	}
	t := s.tenants[g.Tenant]
	return t != nil && int(t.leases) >= g.TenantCap
}

// TakeFirst takes the first choice that has room.
func (s *Store) TakeFirst(ctx context.Context, take *core.FirstTake) (core.FirstTaken, error) {
	if err := ctx.Err(); err != nil {
		return core.FirstTaken{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.tick()
	if s.late(now, &take.Grant) {
		return core.FirstTaken{}, errLate
	}
	out := s.takeFirst(now, take)
	if out.Status != core.FirstTook {
		s.fill(take.Ordinals, take.Loads)
	}
	return out, nil
}

func (s *Store) takeFirst(now int64, take *core.FirstTake) core.FirstTaken {
	switch l, seen := s.seen(now, &take.Grant); seen {
	case same:
		return core.FirstTaken{Status: core.FirstTook, Index: int(l.index), Lease: s.tell(l)}
	case repeated:
		l.handed++
		s.changes++
		return core.FirstTaken{Status: core.FirstRepeated, Lease: s.tell(l)}
	case released:
		return core.FirstTaken{Status: core.FirstReleased}
	case unseen:
	}
	if s.capped(&take.Grant) {
		return core.FirstTaken{Status: core.FirstTenantFull}
	}
	for i := range take.Order {
		choice := &take.Order[i]
		a := s.listed(choice.Ordinal)
		if a == nil || !s.free(now, &take.Grant, a) || choice.Probe && a.probes > 0 {
			continue
		}
		l := s.grant(now, &take.Grant, a)
		l.index = int32(i)
		if choice.Probe {
			s.probe(l, a)
		}
		if take.Substitute {
			bind(&s.stand, take.Session, a, now, take.SessionTTL)
		} else {
			bind(&s.bindings, take.Session, a, now, take.SessionTTL)
		}
		return core.FirstTaken{Status: core.FirstTook, Index: i, Lease: s.tell(l)}
	}
	return core.FirstTaken{}
}

// TakeBound takes the account that the response or the session is bound to.
func (s *Store) TakeBound(ctx context.Context, take *core.BoundTake) (core.BoundTaken, error) {
	var out core.BoundTaken
	if err := ctx.Err(); err != nil {
		return out, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.tick()
	if s.late(now, &take.Grant) {
		return out, errLate
	}
	s.takeBound(now, take, &out)
	if out.Status != core.BoundTook || take.AlwaysLoads {
		s.fill(take.Ordinals, take.Loads)
	}
	return out, nil
}

func (s *Store) takeBound(now int64, take *core.BoundTake, out *core.BoundTaken) {
	switch l, seen := s.seen(now, &take.Grant); seen {
	case same:
		out.Status, out.Layer, out.Lease = core.BoundTook, l.layer, s.tell(l)
		found := &out.Session
		if l.layer == decide.LayerResponse {
			found = &out.Response
		}
		found.Account, found.Fate = l.account.id, decide.Take
		return
	case repeated:
		if !take.DryRun {
			l.handed++
			s.changes++
		}
		out.Status, out.Lease = core.BoundRepeated, s.tell(l)
		return
	case released:
		out.Status = core.BoundReleased
		return
	case unseen:
	}
	if s.capped(&take.Grant) {
		out.Status = core.BoundTenantFull
		return
	}
	b := boundTake{Store: s, BoundTake: take, now: now, out: out}
	if !b.response() {
		b.session()
	}
}
