package memstore

import (
	"context"

	"usher.internal/core"
)

// holder is an owner's name with the leases of all its incarnations, in a list, the newest first.
type holder struct {
	name  string
	first *lease
	held  int
}

// idleHolders is how many holders may stay known that hold nothing: one that comes and goes costs nothing then.
const idleHolders = 1024

// hand puts a lease on its owner's list.
func (s *Store) hand(l *lease) {
	if l.owner.Name == "" {
		return
	}
	h := s.holders[l.owner.Name]
	if h == nil {
		h = &holder{name: l.owner.Name}
		s.holders[h.name] = h
	}
	l.holder, l.next = h, h.first
	if h.first != nil {
		h.first.before = l
	}
	h.first = l
	h.held++
}

// unhand takes a lease off its owner's list.
func (s *Store) unhand(l *lease) {
	h := l.holder
	if h == nil {
		return
	}
	if l.before != nil {
		l.before.next = l.next
	} else {
		h.first = l.next
	}
	if l.next != nil {
		l.next.before = l.before
	}
	l.holder, l.before, l.next = nil, nil, nil
	if h.held--; h.held == 0 && len(s.holders) > idleHolders {
		delete(s.holders, h.name)
	}
}

func (s *Store) heldBy(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.holders[name]; h != nil {
		return h.held
	}
	return 0
}

// LeasesOf lists the leases of an owner.
func (s *Store) LeasesOf(ctx context.Context, name string) ([]core.Lease, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	// The memory is made ready first: an owner of many leases must not keep others waiting for it.
	list := make([]core.Lease, 0, s.heldBy(name))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tick()
	h := s.holders[name]
	if h == nil {
		return nil, nil
	}
	for l := h.first; l != nil; l = l.next {
		list = append(list, s.tell(l))
	}
	return list, nil
}

// Hear answers that nobody else hears of an owner: there is one replica.
func (s *Store) Hear(ctx context.Context, _ core.Sign) (elsewhere bool, err error) {
	return false, ctx.Err()
}

// End ends leases and leaves marks as their expiry would.
func (s *Store) End(ctx context.Context, ids []core.LeaseID, how core.LeaseEnd) ([]core.Lease, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.tick()
	var ended []core.Lease
	for i := range ids {
		r := s.leases.byID.find((*[16]byte)(&ids[i]))
		if r == 0 || r.marked() {
			continue
		}
		l := s.leases.at(r)
		ended = append(ended, s.tell(l))
		s.end(now, l, flagExpired, how)
	}
	return ended, nil
}

// Adopt takes leases up again, and renews those that live.
func (s *Store) Adopt(ctx context.Context, adoptions []core.Adoption, results []core.Adopted) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.tick()
	for i := range min(len(adoptions), len(results)) {
		results[i] = s.adopt(now, &adoptions[i])
	}
	return nil
}

func (s *Store) adopt(now int64, asked *core.Adoption) core.Adopted {
	var reported *mark // what was told of the lease before it is taken up
	if r := s.leases.byID.find((*[16]byte)(&asked.Lease.ID)); r != 0 {
		if !r.marked() {
			l := s.leases.at(r)
			if l.owner.Name == "" {
				l.owner = asked.Lease.Owner
				s.hand(l)
			}
			if asked.Left > 0 {
				return core.Adopted{Renewed: s.last(now, l, max(l.expires, s.since(asked.Lease.ExpiresAt)), asked.MaxAge)}
			}
			return core.Adopted{Renewed: s.prolong(now, l, 0, asked.MaxAge)}
		}
		if m := s.marks.living(r, now); m != nil {
			if !m.open() {
				return core.Adopted{Renewed: m.renewed()}
			}
			reported = m
		}
	}
	granted := s.since(asked.Lease.GrantedAt)
	left := asked.TTL
	if asked.Left > 0 {
		left = asked.Left
	}
	until := bounded(granted, after(now, left), asked.MaxAge)
	switch {
	case granted > now+aheadMost:
		return core.Adopted{Renewed: core.Renewed{Status: core.EventUnknown}}
	case until <= now:
		return core.Adopted{Renewed: core.Renewed{Status: core.EventExpired, End: core.LeaseEndMaxAge}}
	}
	a := s.named(asked.Lease.Account)
	out := core.Adopted{
		Renewed: core.Renewed{Status: core.EventApplied, ExpiresAt: s.wall(until)},
		Taken:   true, Overcommitted: a.limit > 0 && a.inUse >= a.limit,
	}
	l := s.leases.make()
	l.id, l.owner, l.decision = asked.Lease.ID, asked.Lease.Owner, asked.Lease.Decision
	l.group, l.model = asked.Lease.Group, asked.Lease.Model
	l.granted, l.ttl, l.expires, l.handed = granted, asked.TTL, until, 1
	if reported != nil {
		l.flags = reported.flags &^ flagExpired
		reported.until = now
	}
	s.enter(l, a, s.tenant(asked.Lease.Tenant))
	return out
}
