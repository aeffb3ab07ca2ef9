package memstore

import (
	"hash/maphash"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
)

// flags is what has happened to a lease, while it lives and in its mark.
type flags uint8

const (
	flagFirstToken flags = 1 << iota
	flagSwitched
	flagSampled   // a first-token time has counted
	flagProbe     // the lease is its account's probe
	flagExpired   // it ended by itself
	flagSettled   // it was released, or its end was reported after it expired
	flagWithdrawn // the Select that took it handed it out to nobody
)

// lease is a lease that has not ended. Its place in memory is used again.
type lease struct {
	id               core.LeaseID
	request          core.RequestKey
	decision         core.DecisionID
	owner            core.Owner
	group, model     string
	account          *account
	tenant           *tenant
	holder           *holder // nil without an owner
	before, next     *lease  // of the same holder
	granted, expires int64
	ttl              time.Duration // as last asked for
	self             ref
	place            int32 // in the order of expiry
	handed           int32 // how many Selects were answered with it
	index            int32 // the place in the choice that it was taken from
	flags            flags
	layer            decide.Layer // that took it
}

const pageSize = 64

// leases keeps the records. byID and byRequest name live leases and marks alike:
// when a lease ends, its name leads to its mark from then on.
type leases struct {
	pages     []*[pageSize]lease
	free      []ref
	order     timeline[*lease]
	byID      index
	byRequest index
	// expired are those that a sweep has not told of yet.
	expired []core.Lease
}

// expiredMost bounds what is kept for the next sweep; what is beyond it is not told of.
const expiredMost = 1 << 16

// init makes the table ready; marks is where the keys of ended leases are.
func (l *leases) init(marks *marks) {
	l.order.moved = func(l *lease, place int32) { l.place = place }
	seed := maphash.MakeSeed()
	l.byID.seed, l.byRequest.seed = seed, seed
	l.byID.keyOf = func(r ref) *[16]byte {
		if r.marked() {
			return &marks.at(uint32(r &^ refMark)).key
		}
		return (*[16]byte)(&l.at(r).id)
	}
	l.byRequest.keyOf = func(r ref) *[16]byte {
		if r.marked() {
			return &marks.at(uint32(r &^ refMark)).key
		}
		return (*[16]byte)(&l.at(r).request)
	}
}

func (l *leases) at(r ref) *lease { return &l.pages[(r-1)/pageSize][(r-1)%pageSize] }

func (l *leases) make() *lease {
	if len(l.free) == 0 {
		before := ref(len(l.pages) * pageSize)
		l.pages = append(l.pages, new([pageSize]lease))
		for r := before + pageSize; r > before; r-- {
			l.free = append(l.free, r)
		}
	}
	r := l.free[len(l.free)-1]
	l.free = l.free[:len(l.free)-1]
	made := l.at(r)
	made.self = r
	return made
}

func (l *leases) recycle(old *lease) {
	r := old.self
	*old = lease{}
	l.free = append(l.free, r)
}

// grant takes a slot of an account that has room.
func (s *Store) grant(now int64, g *core.Grant, a *account) *lease {
	l := s.leases.make()
	l.id, l.request, l.decision, l.owner = g.ID, g.Request, g.Decision, g.Owner
	l.group, l.model = g.Group, g.Model
	l.granted, l.ttl, l.expires, l.handed = now, g.TTL, after(now, g.TTL), 1
	s.enter(l, a, s.tenant(g.Tenant))
	return l
}

// enter makes a lease count that has its id, owner and times.
func (s *Store) enter(l *lease, a *account, t *tenant) {
	s.changes++
	l.account, l.tenant = a, t
	s.leases.byID.put((*[16]byte)(&l.id), l.self)
	if l.request != (core.RequestKey{}) {
		s.leases.byRequest.put((*[16]byte)(&l.request), l.self)
	}
	s.leases.order.push(l.expires, l)
	if l.flags&flagProbe != 0 {
		a.probes++
	}
	s.change(a, 1, 0)
	s.charge(t, 1, 0)
	s.hand(l)
}

// end gives the slot back and leaves a mark with what happened to the lease. A
// lease that was released marks its request id too; after any other end the id may take anew.
func (s *Store) end(now int64, l *lease, how flags, why core.LeaseEnd) {
	s.leases.order.remove(l.place)
	s.unhand(l)
	a, number := l.account, l.account.number
	if l.flags&flagProbe != 0 {
		a.probes--
	}
	s.change(a, -1, 0)
	s.charge(l.tenant, -1, 0)
	if l.request != (core.RequestKey{}) {
		if how == flagSettled {
			s.markRequest(now, l.request, number)
		} else {
			s.leases.byRequest.drop((*[16]byte)(&l.request), l.self)
		}
	}
	s.markLease(now, l.id, number, l.flags|how).why = why
	s.leases.recycle(l)
	kind := core.SignalFreed
	if how == flagExpired {
		kind = core.SignalEnded
	}
	s.freed(now, a, kind)
}

// expire ends a lease whose time is over, for a sweep to tell of.
func (s *Store) expire(now int64, l *lease) {
	if len(s.leases.expired) < expiredMost {
		s.leases.expired = append(s.leases.expired, s.tell(l))
	}
	s.end(now, l, flagExpired, core.LeaseEndExpired)
}

// tell gives the lease as answers have it.
func (s *Store) tell(l *lease) core.Lease {
	return core.Lease{
		ID: l.id, Account: l.account.id, Owner: l.owner,
		Tenant: l.tenant.name, Group: l.group, Model: l.model, Decision: l.decision,
		GrantedAt: s.wall(l.granted), ExpiresAt: s.wall(l.expires),
	}
}
