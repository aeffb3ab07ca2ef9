package memstore

import (
	"fmt"
	"math"
	"time"

	"usher.internal/core"
)

// Import takes up a state in a store that nobody has used yet, and gives the caller's section. check, which may be nil, sees the
// section first. On an error nothing has changed. Time since the export counts, by the wall clock; if that
// went back, none does. The state's secret counts where the store was given none.
// Errors: ErrDamaged, ErrNewer, check's own, KindInternal for a store in use.
func (s *Store) Import(data []byte, check func(section []byte) error) ([]byte, error) {
	img, err := decodeState(data)
	if err != nil {
		return nil, err
	}
	if check != nil {
		if err := check(img.section); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.accounts) > 0 || s.marks.count > 0 || len(s.waiters) > 0 || len(s.cooldowns.places) > 0 {
		return nil, &core.Error{Kind: core.KindInternal, Text: "memstore: a state is taken up before anything else"}
	}
	s.take(img)
	return img.section, nil
}

// take makes an image count.
func (s *Store) take(img *image) {
	now := s.tick()
	away := max(s.clock.Now().UnixNano()-img.saved, 0)
	if len(s.secret) == 0 {
		s.secret = img.secret
	}
	numbers := make([]*account, len(img.accounts))
	for i, id := range img.accounts {
		numbers[i] = s.named(id)
	}
	for i := range img.marks {
		s.takeMark(now, &img.marks[i], numbers, away)
	}
	for i := range img.leases {
		s.takeLease(now, &img.leases[i], numbers, away)
	}
	for i := range img.bindings {
		takeBinding(&s.bindings, now, &img.bindings[i], numbers, away)
	}
	for i := range img.stand {
		takeBinding(&s.stand, now, &img.stand[i], numbers, away)
	}
	for i := range img.cooldowns {
		c := &img.cooldowns[i]
		if until := restored(now, c.left, away); until > now {
			value := core.Cooldown{Account: c.account, Model: c.model, Reason: c.reason, Until: s.wall(until)}
			s.cooldowns.set(coolKey{c.account, c.model}, value, until)
		}
	}
	s.tick()
}

// restored gives the end of what had so much left, after a time away.
func restored(now, left, away int64) int64 {
	if left < 0 && left < math.MinInt64+away {
		return now
	}
	if left -= away; left > math.MaxInt64-now {
		return math.MaxInt64
	}
	return now + left
}

// takeMark keeps a mark for no longer than marks are kept now.
func (s *Store) takeMark(now int64, m *markImage, numbers []*account, away int64) {
	until := min(restored(now, m.left, away), after(now, time.Duration(s.markTTL)))
	if until <= now {
		return
	}
	made := m.mark
	made.until, made.account = until, noAccount
	if m.known {
		made.account = numbers[m.account].number
	}
	r, place := s.addMark(made)
	if made.request {
		s.leases.byRequest.put(&place.key, r)
	} else {
		s.leases.byID.put(&place.key, r)
	}
}

// takeLease takes up a lease of which no mark tells that it ended while the state was written. One
// whose time is over enters too, so that it ends as any other.
func (s *Store) takeLease(now int64, l *leaseImage, numbers []*account, away int64) {
	if s.leases.byID.find((*[16]byte)(&l.id)) != 0 {
		return
	}
	if l.request != (core.RequestKey{}) && s.leases.byRequest.find((*[16]byte)(&l.request)) != 0 {
		l.request = core.RequestKey{}
	}
	made := s.leases.make()
	self := made.self
	*made = l.lease
	made.self = self
	made.granted, made.expires = l.granted-s.start.UnixNano(), restored(now, l.left, away)
	s.enter(made, numbers[l.account], s.tenant(l.tenant))
}

func takeBinding(table *lapsing[core.BindingKey, int32], now int64, b *bindingImage, numbers []*account, away int64) {
	if until := restored(now, b.left, away); until > now {
		table.set(b.key, numbers[b.account].number, until)
	}
}
