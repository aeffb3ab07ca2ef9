package queue

import (
	"cmp"
	"math"
	"time"
)

// Line holds everyone who waits. K names classes and must equal itself (no NaN);
// T is what a waiter carries. It is not safe for concurrent use.
type Line[K comparable, T any] struct {
	aging   uint64
	seq     uint64 // number of the last join, grant or activation
	changes uint64 // ends a walk that was changed under way
	waiting int
	most    int // largest number of waiters since the line was cleared

	classes   []*class[T] // by slot, spare ones among them
	keys      []K         // by slot
	bounds    []uint64    // by slot: no lane of the class has a lower turn
	free      []int32     // slots of spare classes
	byKey     map[K]*class[T]
	byAccount [][]listing // by ordinal: classes that somebody waits in

	tenants map[string]*tenant[T]
	lanes   map[crossing[T]]*lane[T]

	spare spares[T]
}

// crossing is where a tenant and a class meet.
type crossing[T any] struct {
	tenant *tenant[T]
	class  *class[T]
}

// New makes an empty line. After an aging a waiter has caught up with the priority above
// its own; 0 or less is never: strict priority.
func New[K comparable, T any](aging time.Duration) *Line[K, T] {
	l := &Line[K, T]{aging: horizon}
	if aging > 0 {
		l.aging = min(uint64(aging), horizon)
	}
	l.clear()
	return l
}

// Len gives the number of waiters.
func (l *Line[K, T]) Len() int { return l.waiting }

// Tenants gives the number of tenants that have a waiter.
func (l *Line[K, T]) Tenants() int { return len(l.tenants) }

// WaitingOf gives the number of a tenant's waiters.
func (l *Line[K, T]) WaitingOf(name string) int {
	if t, ok := l.tenants[name]; ok {
		return t.waiting
	}
	return 0
}

// WaitingIn gives the number of waiters in a class.
func (l *Line[K, T]) WaitingIn(key K) int {
	if c, ok := l.byKey[key]; ok {
		return c.waiting
	}
	return 0
}

// Join puts a waiter in line and gives its place; see Place. One that stands in line
// already stays where it is.
func (l *Line[K, T]) Join(w *Waiter[T], t Ticket[K]) (place int) {
	if !w.Waiting() {
		w.seq, w.granted = l.tick(), 0
		l.enter(w, &t)
	}
	return l.Place(w)
}

// Leave takes a waiter out, wherever it stands; its tenant keeps its turn. Of one that
// does not stand in line it changes nothing and gives false.
func (l *Line[K, T]) Leave(w *Waiter[T]) bool {
	if !w.Waiting() {
		return false
	}
	l.remove(w)
	return true
}

// Grant takes a waiter out and ends its tenant's turn. Of one that does not stand in
// line it changes nothing and gives false.
func (l *Line[K, T]) Grant(w *Waiter[T]) bool {
	if !w.Waiting() {
		return false
	}
	t := w.lane.tenant
	w.turn, w.granted = t.turn, l.tick()
	t.turn, t.served = w.granted, w.granted
	l.remove(w)
	return true
}

// Return undoes a Grant that came to nothing: the waiter stands by its ticket's arrival and
// its first order of joining again, and its tenant has its turn back unless it was served
// since. A waiter that no Grant took out joins. It costs a step for each class in which
// the tenant waits.
func (l *Line[K, T]) Return(w *Waiter[T], t Ticket[K]) (place int) {
	if w.Waiting() || w.granted == 0 {
		return l.Join(w, t)
	}
	l.enter(w, &t)
	if of := w.lane.tenant; of.served == 0 || of.served == w.granted {
		of.turn, of.served = w.turn, 0
		for n := of.lanes; n != nil && !of.parked; n = n.older {
			n.class.place(n)
			l.bound(n.class)
		}
	}
	w.granted = 0
	return l.Place(w)
}

// Place bounds from above, from 1, how many of its class will have been served with the
// waiter if nobody joins and no other class is served: as many of each tenant as the waiter's
// own has up to it, and no more than wait. It is exact for a
// tenant that is alone in the class, and for one that just became active. A waiter with
// more than 64 of its lane and priority before and behind it counts as the last of them.
// 0 when it does not stand in line.
func (l *Line[K, T]) Place(w *Waiter[T]) int {
	if !w.Waiting() {
		return 0
	}
	c := w.lane.class
	return min(c.waiting, (w.lane.ahead(w)+1)*(len(c.heap)+c.parked))
}

// Compare is the fairness order of two that wait, as of now, whatever they wait for: negative when a comes first.
func (l *Line[K, T]) Compare(a, b *Waiter[T]) int {
	switch ta, tb := a.lane.tenant, b.lane.tenant; {
	case ta != tb:
		return cmp.Compare(ta.turn, tb.turn)
	case a.before(b):
		return -1
	case b.before(a):
		return 1
	}
	return 0
}

func (l *Line[K, T]) tick() uint64 {
	l.seq++
	return l.seq
}

// bound is called after any change to the class's heap.
func (l *Line[K, T]) bound(c *class[T]) {
	bound := uint64(math.MaxUint64)
	if len(c.heap) > 0 {
		bound = c.heap[0].turn
	}
	l.bounds[c.slot] = bound
}

func (l *Line[K, T]) enter(w *Waiter[T], t *Ticket[K]) {
	l.changes++
	w.rank = t.Priority.rank()
	w.virtual = virtual(t.Arrived, w.rank, l.aging)
	w.lane = l.laneOf(l.tenantOf(t.Tenant), l.classOf(t.Class, t.Accounts))
	w.lane.lists[w.rank].insert(w)
	w.lane.tenant.waiting++
	w.lane.class.waiting++
	l.waiting++
	l.most = max(l.most, l.waiting)
}

func (l *Line[K, T]) remove(w *Waiter[T]) {
	l.changes++
	n := w.lane
	t, c := n.tenant, n.class
	w.lane = nil
	n.lists[w.rank].remove(w)
	t.waiting--
	c.waiting--
	l.waiting--
	if n.empty() {
		l.dropLane(n)
	}
	if c.waiting == 0 {
		l.dropClass(c)
	}
	if t.waiting == 0 {
		l.dropTenant(t)
	}
	if l.waiting == 0 && l.most > plenty {
		l.clear()
	}
}
