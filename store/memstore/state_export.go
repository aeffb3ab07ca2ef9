package memstore

import "usher.internal/core"

// Export appends the store's state and the caller's section to dst. The lock is held for a page of a table at a
// time, so that no call waits for the whole: what happens meanwhile is told or not, one thing at a
// time. A lease that ends meanwhile may be told twice, as living and by its mark; then the mark counts.
func (s *Store) Export(dst, section []byte) []byte {
	x := exporter{Store: s, encoder: encoder{b: dst}}
	x.head()
	s.mu.Lock()
	x.now = s.tick()
	saved := s.clock.Now().UnixNano()
	secret := s.secret
	s.mu.Unlock()
	x.unsigned(uint64(max(saved, 0)))
	x.text(string(secret))
	x.text(string(section))
	// Leases come before marks: one that ends in between is found in the marks, not in neither.
	x.leases()
	x.marks()
	exportLapsing(&x, &s.bindings, func(b *lapse[core.BindingKey, int32], left int64) { x.binding(b.key, b.value, left) })
	exportLapsing(&x, &s.stand, func(b *lapse[core.BindingKey, int32], left int64) { x.binding(b.key, b.value, left) })
	// Probations, and pauses that have no end, are over with the process.
	exportLapsing(&x, &s.cooldowns, func(c *lapse[coolKey, core.Cooldown], _ int64) {
		if left := s.since(c.value.Until) - x.now; !c.value.Until.IsZero() && left > 0 {
			x.cooldown(c.key, c.value.Reason, left)
		}
	})
	x.accounts()
	x.seal(len(dst))
	return x.b
}

type exporter struct {
	*Store
	encoder
	now int64
}

func (x *exporter) leases() {
	var page [pageSize]lease
	for n := 0; x.leasePage(n, &page); n++ {
		for i := range page {
			if l := &page[i]; l.account != nil {
				x.lease(l, x.wall(l.granted).UnixNano(), l.expires-x.now)
			}
		}
	}
	x.byte(0)
}

// leasePage copies a page; what the copies point to and is read of it never changes.
func (x *exporter) leasePage(n int, page *[pageSize]lease) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if n >= len(x.Store.leases.pages) {
		return false
	}
	*page = *x.Store.leases.pages[n]
	return true
}

func (x *exporter) marks() {
	var some [markPage]mark
	x.mu.Lock()
	next := x.Store.marks.first
	x.mu.Unlock()
	for {
		n, after := x.someMarks(next, some[:])
		if n == 0 {
			break
		}
		next = after
		for i := range some[:n] {
			if m := &some[i]; m.until > x.now {
				x.encoder.mark(m, m.until-x.now)
			}
		}
	}
	x.byte(0)
}

// someMarks copies marks from a number on, or from the oldest that is left. Numbers go round.
func (x *exporter) someMarks(from uint32, some []mark) (n int, next uint32) {
	x.mu.Lock()
	defer x.mu.Unlock()
	m := &x.Store.marks
	if from-m.first > m.count {
		from = m.first
	}
	for ; n < len(some) && from-m.first < m.count; n++ {
		some[n] = *m.at(from)
		from++
	}
	return n, from
}

func exportLapsing[K comparable, V any](x *exporter, table *lapsing[K, V], each func(e *lapse[K, V], left int64)) {
	var page [lapsePage]lapse[K, V]
	for n := 0; copyPage(x, table, n, &page); n++ {
		for i := range page {
			if e := &page[i]; e.until > x.now {
				each(e, e.until-x.now)
			}
		}
	}
	x.byte(0)
}

func copyPage[K comparable, V any](x *exporter, table *lapsing[K, V], n int, page *[lapsePage]lapse[K, V]) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if n >= len(table.pages) {
		return false
	}
	*page = *table.pages[n]
	return true
}

// accounts comes last: by now every number that was told is known.
func (x *exporter) accounts() {
	x.mu.Lock()
	accounts := x.Store.accounts
	x.mu.Unlock()
	for _, a := range accounts {
		x.byte(1)
		x.text(a.id)
	}
	x.byte(0)
}

// Changes counts what an export would tell otherwise; time alone changes nothing.
func (s *Store) Changes() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changes + s.bindings.changes + s.stand.changes + s.cooldowns.changes
}
