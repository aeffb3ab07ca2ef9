package queue

import "slices"

// Each gives the waiters whom the account fits, in fairness order, until yield says false.
// It takes nobody out: the order is as of now, so all of a tenant's waiters come before
// those of the tenant whose turn is next. The first is Next's. It costs a step for each
// class that fits, and then by how far it goes.
//
// A call of yield that changes the line, or that calls Next, should be the last: it may
// end the walk whatever it says.
func (l *Line[K, T]) Each(account int32, yield func(*Waiter[T]) bool) {
	l.Walk(account, func(w *Waiter[T]) Step {
		if yield(w) {
			return On
		}
		return Stop
	})
}

// Step is how a walk goes on.
type Step uint8

const (
	// Stop means: it ends.
	Stop Step = iota
	// On means: to the next waiter.
	On
	// SkipClass means: to the next waiter of another class; those behind in this one cost nothing.
	SkipClass
)

// Walk is Each for a yield that can leave whole classes out.
func (l *Line[K, T]) Walk(account int32, yield func(*Waiter[T]) Step) {
	var skipped []*class[T]
	// A walk inside of yield finds no memory to use again and makes its own.
	walk := l.spare.walk
	l.spare.walk.steps, l.spare.walk.outdated = nil, nil
	for _, at := range l.fitting(account) {
		if c := l.classes[at.slot]; len(c.heap) > 0 {
			walk.push(step[T]{turn: l.bounds[at.slot], class: c})
		}
	}
	for began := l.changes; len(walk.steps) > 0 && began == l.changes; {
		s := walk.pop()
		switch of := s.classOf(); {
		case slices.Contains(skipped, of):
			continue
		case s.waiter == nil:
			walk.open(s)
			continue
		default:
			step := yield(s.waiter)
			if step == SkipClass {
				skipped = append(skipped, of)
				continue
			}
			if step == On {
				walk.follow(s.turn, s.waiter.next)
				continue
			}
		}
		break
	}
	for _, n := range walk.outdated {
		// yield may have taken the lane's last waiter.
		if n.at >= 0 {
			n.class.place(n)
			l.bound(n.class)
			l.changes++
		}
	}
	clear(walk.steps)
	clear(walk.outdated)
	l.spare.walk.steps, l.spare.walk.outdated = walk.steps[:0], walk.outdated[:0]
}

// walk goes through the heaps of several classes in order without changing them.
type walk[T any] struct {
	steps    []step[T]  // where it may go next: a heap, first in order at the top
	outdated []*lane[T] // lanes that were met at a turn that has passed
}

// step is a waiter, or else a lane that is not opened yet. A lane sorts by the turn
// it was placed by, before waiters of the same turn: whoever it holds comes no earlier.
type step[T any] struct {
	turn, virtual, seq uint64
	waiter             *Waiter[T]
	class              *class[T]
	at                 int // of the lane in the class's heap
}

func (s *step[T]) classOf() *class[T] {
	if s.waiter != nil {
		return s.waiter.lane.class
	}
	return s.class
}

func (s *step[T]) before(o *step[T]) bool {
	switch {
	case s.turn != o.turn:
		return s.turn < o.turn
	case s.virtual != o.virtual:
		return s.virtual < o.virtual
	}
	return s.seq < o.seq
}

// open replaces a lane by its waiters and by the lanes below it in its heap.
func (k *walk[T]) open(s step[T]) {
	heap := s.class.heap
	for at := 2*s.at + 1; at <= 2*s.at+2 && at < len(heap); at++ {
		k.push(step[T]{turn: heap[at].turn, class: s.class, at: at})
	}
	n := heap[s.at].lane
	if n.tenant.turn != s.turn {
		k.outdated = append(k.outdated, n)
	}
	for i := range n.lists {
		k.follow(n.tenant.turn, n.lists[i].head)
	}
}

// follow adds a waiter, who stands for the rest of its list; nil is its end.
func (k *walk[T]) follow(turn uint64, w *Waiter[T]) {
	if w != nil {
		k.push(step[T]{turn: turn, virtual: w.virtual, seq: w.seq, waiter: w})
	}
}

func (k *walk[T]) push(s step[T]) {
	k.steps = append(k.steps, s)
	h, i := k.steps, len(k.steps)-1
	for i > 0 {
		parent := (i - 1) / 2
		if !s.before(&h[parent]) {
			break
		}
		h[i] = h[parent]
		i = parent
	}
	h[i] = s
}

func (k *walk[T]) pop() step[T] {
	h := k.steps
	top, last := h[0], len(h)-1
	s := h[last]
	h[last] = step[T]{}
	h = h[:last]
	k.steps = h
	if last == 0 {
		return top
	}
	i := 0
	for {
		child := 2*i + 1
		if child >= last {
			break
		}
		if child+1 < last && h[child+1].before(&h[child]) {
			child++
		}
		if !h[child].before(&s) {
			break
		}
		h[i] = h[child]
		i = child
	}
	h[i] = s
	return top
}
