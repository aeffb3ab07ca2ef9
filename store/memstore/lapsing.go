package memstore

import "math"

// lapse is a value with its end. queued is the time under which the order knows
// it, never later than until: a value whose life is made longer is moved only when
// that time comes. Both are 0 while the place is free.
type lapse[K comparable, V any] struct {
	key           K
	value         V
	until, queued int64
}

const lapsePage = 256

// lapsing maps keys to values that end by themselves. The map holds places only, so
// that it stays small; a value lies still and is renewed where it lies.
type lapsing[K comparable, V any] struct {
	places map[K]int32
	pages  []*[lapsePage]lapse[K, V]
	free   []int32
	order  timeline[int32] // places, some of them left by what was removed or ends sooner now
	// most is the length of order beyond which it is rid of those.
	most int
	// changes counts what was set and removed.
	changes uint64
}

const leastOrder = 1024

func newLapsing[K comparable, V any]() lapsing[K, V] {
	return lapsing[K, V]{places: make(map[K]int32), most: leastOrder}
}

func (l *lapsing[K, V]) at(place int32) *lapse[K, V] {
	return &l.pages[uint32(place)/lapsePage][uint32(place)%lapsePage]
}

// get gives the value and its end. A value whose end is now is over, and is gone after the look.
func (l *lapsing[K, V]) get(key K, now int64) (value V, until int64, ok bool) {
	place, ok := l.places[key]
	if !ok {
		return value, 0, false
	}
	e := l.at(place)
	if e.until <= now {
		l.forget(place)
		return value, 0, false
	}
	return e.value, e.until, true
}

// set keeps a value until a time, which is not 0.
func (l *lapsing[K, V]) set(key K, value V, until int64) {
	place, ok := l.places[key]
	if !ok {
		place = l.provide()
		l.places[key] = place
	}
	e := l.at(place)
	if !ok || until < e.queued {
		l.tidy()
		l.order.push(until, place)
		e.queued = until
	}
	e.key, e.value, e.until = key, value, until
	l.changes++
}

func (l *lapsing[K, V]) remove(key K) {
	if place, ok := l.places[key]; ok {
		l.forget(place)
	}
}

func (l *lapsing[K, V]) provide() int32 {
	if len(l.free) == 0 {
		first := int32(len(l.pages) * lapsePage)
		l.pages = append(l.pages, new([lapsePage]lapse[K, V]))
		for place := first + lapsePage; place > first; place-- {
			l.free = append(l.free, place-1)
		}
	}
	place := l.free[len(l.free)-1]
	l.free = l.free[:len(l.free)-1]
	return place
}

func (l *lapsing[K, V]) forget(place int32) {
	l.changes++
	e := l.at(place)
	delete(l.places, e.key)
	*e = lapse[K, V]{}
	l.free = append(l.free, place)
}

// tidy throws out of the order what a removal or a new end left behind, once that is more than half of it.
func (l *lapsing[K, V]) tidy() {
	if len(l.order.items) < l.most {
		return
	}
	l.order.keep(func(item timed[int32]) bool { return l.at(item.key).queued == item.at })
	l.most = max(leastOrder, 2*len(l.order.items))
}

// sweep removes what is over, in at most limit steps, and gives the number of steps.
func (l *lapsing[K, V]) sweep(now int64, limit int) (steps int) {
	for ; steps < limit && l.order.due(now); steps++ {
		first := l.order.items[0]
		e := l.at(first.key)
		switch {
		case e.queued != first.at: // left behind
			l.order.remove(0)
		case e.until <= now:
			l.order.remove(0)
			l.forget(first.key)
		default:
			e.queued = e.until
			l.order.reset(0, e.until)
		}
	}
	return steps
}

// count gives the number of values that are not over.
func (l *lapsing[K, V]) count(now int64) int {
	l.sweep(now, math.MaxInt)
	return len(l.places)
}
