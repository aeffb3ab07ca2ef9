package memstore

import (
	"context"
	"time"

	"usher.internal/core"
)

// Renew gives leases a whole new lifetime.
func (s *Store) Renew(ctx context.Context, renewals []core.Renewal, results []core.Renewed) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.tick()
	for i := range min(len(renewals), len(results)) {
		results[i] = s.renew(now, &renewals[i])
	}
	return nil
}

func (s *Store) renew(now int64, renewal *core.Renewal) core.Renewed {
	if r := s.leases.byID.find((*[16]byte)(&renewal.Lease)); r != 0 {
		if !r.marked() {
			return s.prolong(now, s.leases.at(r), renewal.TTL, renewal.MaxAge)
		}
		if m := s.marks.living(r, now); m != nil {
			return m.renewed()
		}
	}
	if s.young(now, renewal.GrantedAt) {
		return core.Renewed{Status: core.EventExpired}
	}
	return core.Renewed{Status: core.EventUnknown}
}

// prolong gives a lease a whole lifetime, its own one without a ttl; one that has reached the greatest age ends.
func (s *Store) prolong(now int64, l *lease, ttl, maxAge time.Duration) core.Renewed {
	if ttl != 0 {
		l.ttl = ttl
	}
	return s.last(now, l, after(now, l.ttl), maxAge)
}

// last gives a lease an end, but for the greatest age.
func (s *Store) last(now int64, l *lease, until int64, maxAge time.Duration) core.Renewed {
	until = bounded(l.granted, until, maxAge)
	if maxAge > 0 && until <= now {
		s.expire(now, l)
		return core.Renewed{Status: core.EventExpired, End: core.LeaseEndMaxAge}
	}
	s.changes++
	l.expires = until
	s.leases.order.reset(l.place, until)
	return core.Renewed{Status: core.EventApplied, ExpiresAt: s.wall(until)}
}

// bounded gives the end of a life that the greatest age bounds; 0 is none.
func bounded(granted, until int64, maxAge time.Duration) int64 {
	if maxAge <= 0 {
		return until
	}
	return min(until, after(granted, maxAge))
}

// open tells that the mark was left by an event of a lease that was not known, and that nothing says that it has ended.
func (m *mark) open() bool {
	return m.flags&(flagExpired|flagSettled|flagWithdrawn) == flagExpired && m.why == 0
}

// renewed tells of an ended lease.
func (m *mark) renewed() core.Renewed {
	if m.flags&flagExpired != 0 {
		return core.Renewed{Status: core.EventExpired, End: m.why}
	}
	return core.Renewed{Status: core.EventAlreadyReleased}
}

// Sweep tidies, in at most limit steps (at least one), and tells of the leases that ended by themselves.
func (s *Store) Sweep(ctx context.Context, limit int) (core.Swept, error) {
	if err := ctx.Err(); err != nil {
		return core.Swept{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.tick()
	left := max(limit, 1)
	var out core.Swept
	told := min(left, len(s.leases.expired))
	if told > 0 {
		out.Expired = append(out.Expired, s.leases.expired[:told]...)
		rest := copy(s.leases.expired, s.leases.expired[told:])
		clear(s.leases.expired[rest:])
		s.leases.expired = s.leases.expired[:rest]
		left -= told
	}
	left -= s.bindings.sweep(now, left)
	left -= s.stand.sweep(now, left)
	left -= s.cooldowns.sweep(now, left)
	s.tidyMarks(now, left)
	out.More = len(s.leases.expired) > 0 || s.marks.due(now) || s.bindings.order.due(now) ||
		s.stand.order.due(now) || s.cooldowns.order.due(now)
	if len(s.leases.order.items) > 0 {
		out.Next = s.wall(s.leases.order.items[0].at)
	}
	return out, nil
}
