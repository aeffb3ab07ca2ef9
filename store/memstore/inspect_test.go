package memstore

import (
	"fmt"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
)

// Inspect derives every count again from the records, and says what does not agree.
func (s *Store) Inspect() (faults []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	derived := make(map[*account]account)
	tenants := make(map[*tenant]tenant)
	for i, item := range s.leases.order.items {
		l := item.key
		if int(l.place) != i || l.expires != item.at || s.leases.at(l.self) != l {
			fault("lease %v lies at %d of the order, and says %d", l.id, i, l.place)
		}
		if s.leases.byID.find((*[16]byte)(&l.id)) != l.self {
			fault("lease %v is not found by its id", l.id)
		}
		if l.request != (core.RequestKey{}) && s.leases.byRequest.find((*[16]byte)(&l.request)) != l.self {
			fault("lease %v is not found by its request id", l.id)
		}
		a, t := derived[l.account], tenants[l.tenant]
		a.inUse++
		t.leases++
		if l.flags&flagProbe != 0 {
			a.probes++
		}
		derived[l.account], tenants[l.tenant] = a, t
	}
	for id, w := range s.waiters {
		if w.id != id || s.waitOrder.items[w.place].key != w {
			fault("waiter %v is out of order", id)
		}
		a, t := derived[w.account], tenants[w.tenant]
		a.waiting++
		t.waiting++
		derived[w.account], tenants[w.tenant] = a, t
	}
	s.inspectCounts(derived, tenants, fault)
	s.inspectMarks(fault)
	s.inspectHolders(fault)
	s.bindings.inspect(fault)
	s.stand.inspect(fault)
	s.cooldowns.inspect(fault)
	return faults
}

func (s *Store) inspectCounts(derived map[*account]account, tenants map[*tenant]tenant, fault func(string, ...any)) {
	for _, a := range s.accounts {
		want := derived[a]
		if a.inUse != want.inUse || a.waiting != want.waiting || a.probes != want.probes {
			fault("account %q has %+v, derived %+v", a.id, *a, want)
		}
		if a.ordinal == unlisted {
			continue
		}
		load := decide.Load{InUse: a.inUse, Waiting: a.waiting, Rate: decide.LoadRate(a.inUse, a.waiting, a.limit), Probing: a.probes > 0}
		if s.loads[a.ordinal] != load {
			fault("account %q shows %+v, want %+v", a.id, s.loads[a.ordinal], load)
		}
	}
	for _, t := range s.tenants {
		if want := tenants[t]; t.leases != want.leases || t.waiting != want.waiting {
			fault("tenant %q has %+v, derived %+v", t.name, *t, want)
		}
	}
}

func (s *Store) inspectMarks(fault func(string, ...any)) {
	var byID, byRequest int
	for i := range s.marks.count {
		r := refMark | ref(s.marks.first+i)
		m := s.marks.at(s.marks.first + i)
		table, n := &s.leases.byID, &byID
		if m.request {
			table, n = &s.leases.byRequest, &byRequest
		}
		if table.find(&m.key) == r {
			*n++
		}
	}
	requests := 0
	for _, item := range s.leases.order.items {
		if item.key.request != (core.RequestKey{}) {
			requests++
		}
	}
	if got := s.leases.byID.entries(); got != byID+len(s.leases.order.items) {
		fault("%d leases and marks are known by id, want %d", got, byID+len(s.leases.order.items))
	}
	if got := s.leases.byRequest.entries(); got != byRequest+requests {
		fault("%d request ids are known, want %d", got, byRequest+requests)
	}
}

func (s *Store) inspectHolders(fault func(string, ...any)) {
	owned := 0
	for _, item := range s.leases.order.items {
		if l := item.key; l.owner.Name != "" {
			owned++
			if l.holder == nil || l.holder != s.holders[l.owner.Name] {
				fault("lease %v of %q is not its owner's", l.id, l.owner.Name)
			}
		}
	}
	for name, h := range s.holders {
		n := 0
		var before *lease
		for l := h.first; l != nil; before, l = l, l.next {
			n++
			if l.owner.Name != name || h.name != name || l.before != before {
				fault("the list of %q is broken at %v", name, l.id)
			}
		}
		if owned -= n; n != h.held {
			fault("%q holds %d leases, and says %d", name, n, h.held)
		}
	}
	if owned != 0 {
		fault("%d leases are on no owner's list", owned)
	}
}

func (x *index) entries() (n int) {
	for i := range x.shards {
		n += x.shards[i].used
	}
	return n
}

// Sizes gives what is kept: marks, entries of the order of bindings, pages of leases.
func (s *Store) Sizes() (marks, order, pages int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int(s.marks.count), len(s.bindings.order.items), len(s.leases.pages)
}

// inspect says what does not agree between a table's map, values and order.
func (l *lapsing[K, V]) inspect(fault func(string, ...any)) {
	queued := make(map[timed[int32]]bool)
	for _, item := range l.order.items {
		queued[item] = true
	}
	for key, place := range l.places {
		e := l.at(place)
		if e.key != key || e.queued > e.until || !queued[timed[int32]{e.queued, place}] {
			fault("key %v leads to %+v", key, *e)
		}
	}
	if used := len(l.pages)*lapsePage - len(l.free); used != len(l.places) {
		fault("%d places are used by %d keys", used, len(l.places))
	}
}

// Seal appends the sum that a state ends with.
func Seal(body []byte) []byte {
	e := encoder{b: append([]byte(nil), body...)}
	e.seal(0)
	return e.b
}

// ReplaceFile is how a state file is written.
var ReplaceFile = replaceFile

// LongestHold goes through the steps of an export, and gives the longest.
func (s *Store) LongestHold() (longest time.Duration) {
	x := exporter{Store: s}
	step := func(do func() bool) bool {
		begun := time.Now()
		more := do()
		longest = max(longest, time.Since(begun))
		return more
	}
	var leases [pageSize]lease
	for n := 0; step(func() bool { return x.leasePage(n, &leases) }); n++ {
	}
	var some [markPage]mark
	next := s.marks.first
	for step(func() bool { n, after := x.someMarks(next, some[:]); next = after; return n > 0 }) {
	}
	var page [lapsePage]lapse[core.BindingKey, int32]
	for n := 0; step(func() bool { return copyPage(&x, &s.bindings, n, &page) }); n++ {
	}
	return longest
}

// TakeLeasesAndMarks takes up a state whose leases are one state's and whose marks another's.
func (s *Store) TakeLeasesAndMarks(leases, marks []byte) {
	img, _ := decodeState(leases)
	other, _ := decodeState(marks)
	img.marks = other.marks
	s.mu.Lock()
	defer s.mu.Unlock()
	s.take(img)
}
