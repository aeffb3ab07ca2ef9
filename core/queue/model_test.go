package queue_test

import (
	"cmp"
	"slices"
)

// model is the line in the plainest words: a slice that is sorted anew for each question.
type model struct {
	aging    int64 // 0 is strict priority
	events   int
	waiters  []modelWaiter
	tenants  map[string]*modelTenant
	accounts map[string][]int32 // of the classes that somebody waits in
	out      map[int]modelGrant // by waiter: the grant that took it out
}

type modelWaiter struct {
	id, seq       int
	class, tenant string
	behind        int64 // priorities below the highest
	arrived       int64
}

type modelTenant struct {
	turn, served int
	parked       bool
}

type modelGrant struct{ seq, turn, event int }

func newModel(aging int64) *model {
	return &model{
		aging: aging, tenants: map[string]*modelTenant{},
		accounts: map[string][]int32{}, out: map[int]modelGrant{},
	}
}

func (m *model) event() int {
	m.events++
	return m.events
}

func (m *model) compare(a, b modelWaiter) int {
	turns := cmp.Compare(m.tenants[a.tenant].turn, m.tenants[b.tenant].turn)
	if m.aging == 0 {
		return cmp.Or(turns, cmp.Compare(a.behind, b.behind), cmp.Compare(a.arrived, b.arrived), cmp.Compare(a.seq, b.seq))
	}
	return cmp.Or(turns, cmp.Compare(a.arrived+a.behind*m.aging, b.arrived+b.behind*m.aging), cmp.Compare(a.seq, b.seq))
}

// order gives the ids of those whom the account fits.
func (m *model) order(account int32) []int {
	slices.SortFunc(m.waiters, m.compare)
	var ids []int
	for _, w := range m.waiters {
		if slices.Contains(m.accounts[w.class], account) && !m.tenants[w.tenant].parked {
			ids = append(ids, w.id)
		}
	}
	return ids
}

// park sets whether the tenant is passed over, and tells whether that changed.
func (m *model) park(tenant string, parked bool) bool {
	t := m.tenants[tenant]
	if t == nil || t.parked == parked {
		return false
	}
	t.parked = parked
	return true
}

// firsts gives the ids of a tenant's first waiters by class, in order.
func (m *model) firsts(tenant string) []int {
	slices.SortFunc(m.waiters, m.compare)
	var ids []int
	seen := map[string]bool{}
	for _, w := range m.waiters {
		if w.tenant == tenant && !seen[w.class] {
			seen[w.class] = true
			ids = append(ids, w.id)
		}
	}
	return ids
}

func (m *model) find(id int) int {
	return slices.IndexFunc(m.waiters, func(w modelWaiter) bool { return w.id == id })
}

func (m *model) count(match func(modelWaiter) bool) int {
	n := 0
	for _, w := range m.waiters {
		if match(w) {
			n++
		}
	}
	return n
}

func (m *model) join(w modelWaiter, accounts []int32) {
	w.seq = m.event()
	delete(m.out, w.id)
	m.enter(w, accounts)
}

func (m *model) enter(w modelWaiter, accounts []int32) {
	if m.tenants[w.tenant] == nil {
		m.tenants[w.tenant] = &modelTenant{turn: m.event()}
	}
	if _, ok := m.accounts[w.class]; !ok {
		m.accounts[w.class] = slices.Clone(accounts)
	}
	m.waiters = append(m.waiters, w)
}

func (m *model) leave(id int) bool {
	i := m.find(id)
	if i < 0 {
		return false
	}
	gone := m.waiters[i]
	m.waiters = slices.Delete(m.waiters, i, i+1)
	if m.count(func(w modelWaiter) bool { return w.tenant == gone.tenant }) == 0 {
		delete(m.tenants, gone.tenant)
	}
	if m.count(func(w modelWaiter) bool { return w.class == gone.class }) == 0 {
		delete(m.accounts, gone.class)
	}
	return true
}

func (m *model) grant(id int) bool {
	i := m.find(id)
	if i < 0 {
		return false
	}
	w, event := m.waiters[i], m.event()
	t := m.tenants[w.tenant]
	m.out[id] = modelGrant{w.seq, t.turn, event}
	t.turn, t.served = event, event
	return m.leave(id)
}

func (m *model) undo(w modelWaiter, accounts []int32) {
	g, ok := m.out[w.id]
	if !ok {
		m.join(w, accounts)
		return
	}
	delete(m.out, w.id)
	w.seq = g.seq
	m.enter(w, accounts)
	if t := m.tenants[w.tenant]; t.served == 0 || t.served == g.event {
		t.turn, t.served = g.turn, 0
	}
}

// place is the bound as Line.Place states it, for short lines.
func (m *model) place(id int) int {
	slices.SortFunc(m.waiters, m.compare)
	i := m.find(id)
	if i < 0 {
		return 0
	}
	me, own, tenants := m.waiters[i], 0, map[string]bool{}
	for n, w := range m.waiters {
		if w.class != me.class {
			continue
		}
		tenants[w.tenant] = true
		if w.tenant == me.tenant && n <= i {
			own++
		}
	}
	return min(m.count(func(w modelWaiter) bool { return w.class == me.class }), own*len(tenants))
}
