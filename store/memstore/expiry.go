package memstore

import (
	"context"

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
			l := s.leases.at(r)
			l.expires = after(now, renewal.TTL)
			s.leases.order.reset(l.place, l.expires)
			return core.Renewed{Status: core.EventApplied, ExpiresAt: s.wall(l.expires)}
		}
		if m := s.marks.living(r, now); m != nil {
			if m.flags&flagExpired != 0 {
				return core.Renewed{Status: core.EventExpired}
			}
			return core.Renewed{Status: core.EventAlreadyReleased}
		}
	}
	if s.young(now, renewal.GrantedAt) {
		return core.Renewed{Status: core.EventExpired}
	}
	return core.Renewed{Status: core.EventUnknown}
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
	return out, nil
}
