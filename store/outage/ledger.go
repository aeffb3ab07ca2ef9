package outage

import (
	"bytes"
	"maps"
	"slices"
	"sync"
	"time"

	"usher.internal/core"
)

// ledger is what this replica looks after: what it granted, renewed or adopted, and has not heard the end of.
type ledger struct {
	// mu guards what follows.
	mu        sync.Mutex
	leases    map[core.LeaseID]entry
	byRequest map[core.RequestKey]core.LeaseID
	held      map[string]int // by account
	// looks counts the looks at the loads that began; seen is the one that the last view is of.
	looks, seen uint64
	// gave counts by account what ended of before that look, where the primary was told after it.
	gave map[string]int
}

type entry struct {
	lease   core.Lease
	request core.RequestKey
	// ttl is the lifetime that it was given last.
	ttl time.Duration
	// since is when the lease was first seen by due, known when the primary was last known to have it; zero while it is not known to have
	// had it. heard is when it was granted here, or its gateway last spoke of it here.
	since, known, heard time.Time
	// look is how many looks at the loads had begun when it was taken down.
	look uint64
}

func newLedger() *ledger {
	return &ledger{
		leases: make(map[core.LeaseID]entry), byRequest: make(map[core.RequestKey]core.LeaseID), held: make(map[string]int),
		gave: make(map[string]int),
	}
}

// note takes a lease in, or its new end: it was granted, or its gateway spoke of it, and was answered by the primary or not.
func (l *ledger) note(lease core.Lease, request core.RequestKey, ttl time.Duration, now time.Time, primary bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	was, known := l.leases[lease.ID]
	if !known {
		l.held[lease.Account]++
		was.look = l.looks
	} else if request == (core.RequestKey{}) {
		request = was.request
	}
	was.lease, was.request, was.ttl = lease, request, ttl
	was.hear(now, primary)
	l.leases[lease.ID] = was
	if request != (core.RequestKey{}) {
		l.byRequest[request] = lease.ID
	}
}

// extend takes the new end of a lease in that is known, and its lifetime if that is another.
func (l *ledger) extend(id core.LeaseID, expires time.Time, ttl time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, known := l.leases[id]; known {
		e.lease.ExpiresAt = expires
		if ttl > 0 {
			e.ttl = ttl
		}
		l.leases[id] = e
	}
}

// drop forgets a lease by its id, or else by its request id, and gives the id.
func (l *ledger) drop(id core.LeaseID, request core.RequestKey) core.LeaseID {
	l.mu.Lock()
	defer l.mu.Unlock()
	if id == (core.LeaseID{}) {
		id = l.byRequest[request]
	}
	l.dropLocked(id)
	return id
}

// release forgets a lease that ended, as drop does; seen is the look that the last view was of when the store was told.
func (l *ledger) release(id core.LeaseID, request core.RequestKey, seen uint64) core.LeaseID {
	l.mu.Lock()
	defer l.mu.Unlock()
	if id == (core.LeaseID{}) {
		id = l.byRequest[request]
	}
	if e, known := l.leases[id]; known && e.look < seen && seen == l.seen {
		l.gave[e.lease.Account]++
	}
	l.dropLocked(id)
	return id
}

// look numbers a look at the loads that begins.
func (l *ledger) look() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.looks++
	return l.looks
}

// saw takes down that a look made the last view.
func (l *ledger) saw(look uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen = look
	clear(l.gave)
}

// lastSeen gives the look that the last view is of.
func (l *ledger) lastSeen() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen
}

// holding is what this replica has of an account, and what it took and gave back of that since a view. Took may count what the view
// does already, and gave leave out what it does.
type holding struct{ held, took, gave int }

// since gives what is held of each account, and what changed since a look.
func (l *ledger) since(look uint64) map[string]holding {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make(map[string]holding, len(l.held))
	for account, held := range l.held { // order-free: each account is one of its own
		all[account] = holding{held: held}
	}
	for _, e := range l.leases { // order-free: counted
		if e.look >= look {
			h := all[e.lease.Account]
			h.took++
			all[e.lease.Account] = h
		}
	}
	if look != l.seen {
		return all
	}
	for account, gave := range l.gave { // order-free: likewise
		h := all[account]
		h.gave = gave
		all[account] = h
	}
	return all
}

func (l *ledger) dropLocked(id core.LeaseID) {
	e, known := l.leases[id]
	if !known {
		return
	}
	delete(l.leases, id)
	if l.byRequest[e.request] == id {
		delete(l.byRequest, e.request)
	}
	if l.held[e.lease.Account]--; l.held[e.lease.Account] == 0 {
		delete(l.held, e.lease.Account)
	}
}

// living lists what has not ended by now, in the order of its grants, and forgets the rest.
func (l *ledger) living(now time.Time) []entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []entry
	for _, id := range slices.SortedFunc(maps.Keys(l.leases), func(a, b core.LeaseID) int { return bytes.Compare(a[:], b[:]) }) {
		if e := l.leases[id]; e.lease.ExpiresAt.After(now) {
			out = append(out, e)
		} else {
			l.dropLocked(id)
		}
	}
	slices.SortStableFunc(out, func(a, b entry) int { return a.lease.GrantedAt.Compare(b.lease.GrantedAt) })
	return out
}

// checkLatest bounds the pause between two looks at a lease: the longer it has lived, the longer that is.
const checkLatest = 10 * time.Second

// due lists what the primary is to be asked about by now, where the pause is soonest at least; 0 is all. It forgets what has ended.
func (l *ledger) due(now time.Time, soonest time.Duration) (due []entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, e := range l.leases { // order-free: each is looked at by itself
		switch {
		case !e.lease.ExpiresAt.After(now):
			l.dropLocked(id)
		case e.since.IsZero():
			e.since, e.known = now, now
			l.leases[id] = e
			if soonest == 0 {
				due = append(due, e)
			}
		case soonest == 0 || now.Sub(e.known) >= min(max(e.known.Sub(e.since), soonest), checkLatest):
			due = append(due, e)
		}
	}
	slices.SortFunc(due, func(a, b entry) int { return bytes.Compare(a.lease.ID[:], b.lease.ID[:]) })
	return due
}

// lives takes down that the primary has a lease.
func (l *ledger) lives(id core.LeaseID, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, known := l.leases[id]; known {
		e.known = now
		l.leases[id] = e
	}
}

// hear takes down that its gateway spoke of it, and was answered by the primary or not.
func (e *entry) hear(now time.Time, primary bool) {
	if e.heard = now; primary && e.known.IsZero() {
		e.known = now
	}
}

// heard takes down that a lease's gateway spoke of it.
func (l *ledger) heard(id core.LeaseID, now time.Time, primary bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, known := l.leases[id]; known {
		e.hear(now, primary)
		l.leases[id] = e
	}
}

// unmet tells that a lease, by its id or else by its request id, is looked after here, and that the primary never had it.
func (l *ledger) unmet(id core.LeaseID, request core.RequestKey) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if id == (core.LeaseID{}) {
		id = l.byRequest[request]
	}
	e, known := l.leases[id]
	return known && e.known.IsZero()
}

// unheard gives for how long neither the primary nor the gateway was known to have the lease.
func (e *entry) unheard(now time.Time) time.Duration {
	if e.heard.After(e.known) {
		return now.Sub(e.heard)
	}
	return now.Sub(e.known)
}

// holds counts what is held of an account.
func (l *ledger) holds(account string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.held[account]
}

// settlementsMost bounds what is kept for the primary of an outage; of more the oldest is lost, and its lease ends there by its lifetime.
const settlementsMost = 1 << 16

// settlements are what was reported during an outage.
type settlements struct{ backlog[reported] }

// reported is an event, which the primary is owed unless all that it tells is of a lease that the primary never had.
type reported struct {
	core.Settlement
	owed bool
}

func (s *settlements) add(e core.Settlement, owed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.list) == settlementsMost {
		s.list = slices.Delete(s.list, 0, settlementsMost/16)
	}
	s.list = append(s.list, reported{e, owed})
}

// owed counts what the primary is owed.
func (s *settlements) owed() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.list {
		if s.list[i].owed {
			n++
		}
	}
	return n
}

const (
	// endsFor is how far back at least the ends of leases are remembered: a failover may lose them.
	endsFor = 30 * time.Second
	// endsMost bounds each of the two generations of them.
	endsMost = 1 << 15
)

// ends are what the primary heard last of the ends of leases.
type ends struct {
	// mu guards what follows.
	mu         sync.Mutex
	young, old []core.Settlement
	since      time.Time // of the young
}

func (r *ends) add(e core.Settlement, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.young) >= endsMost || now.Sub(r.since) >= endsFor {
		clear(r.old)
		r.young, r.old, r.since = r.old[:0], r.young, now
	}
	r.young = append(r.young, e)
}

// all gives them in order.
func (r *ends) all() []core.Settlement {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Concat(r.old, r.young)
}

// bindingsMost bounds each of the two generations of bindings that are remembered.
const bindingsMost = 1 << 15

// bindings remembers which account a session or response was seen bound to: the newest, at least bindingsMost of them.
type bindings struct {
	// mu guards what follows.
	mu         sync.Mutex
	young, old map[core.BindingKey]bound
}

type bound struct {
	account string
	ttl     time.Duration
	at      time.Time
}

func (b *bindings) note(key core.BindingKey, account string, ttl time.Duration, now time.Time) {
	if key == (core.BindingKey{}) || account == "" || ttl <= 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.young == nil || len(b.young) >= bindingsMost {
		b.young, b.old = make(map[core.BindingKey]bound), b.young
	}
	b.young[key] = bound{account, ttl, now}
}

// living gives what has not lapsed by now.
func (b *bindings) living(now time.Time) map[core.BindingKey]bound {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := maps.Clone(b.old)
	if all == nil {
		all = make(map[core.BindingKey]bound)
	}
	maps.Copy(all, b.young)
	maps.DeleteFunc(all, func(_ core.BindingKey, v bound) bool { return !v.at.Add(v.ttl).After(now) })
	return all
}
