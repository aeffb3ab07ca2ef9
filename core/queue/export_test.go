package queue

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// Check tells the first invariant that the line breaks.
func (l *Line[K, T]) Check() error {
	waiting, lanes, spare := 0, 0, 0
	for slot, c := range l.classes {
		if c.waiting == 0 {
			spare++
		}
		if err := l.checkClass(slot, c); err != nil {
			return fmt.Errorf("class %v: %w", l.keys[slot], err)
		}
		waiting += c.waiting
		lanes += len(c.heap) + c.parked
	}
	if waiting != l.waiting || lanes != len(l.lanes) || spare != len(l.free) || len(l.byKey) != len(l.classes)-spare {
		return fmt.Errorf("%d waiting, %d lanes, %d spare classes: the line says %d, %d, %d of %d",
			waiting, lanes, spare, l.waiting, len(l.lanes), len(l.free), len(l.classes))
	}
	if err := l.checkTenants(); err != nil {
		return err
	}
	return l.checkListings()
}

func (l *Line[K, T]) checkClass(slot int, c *class[T]) error {
	bound, sum := uint64(math.MaxUint64), 0
	if len(c.heap) > 0 {
		bound = c.heap[0].turn
	}
	if l.bounds[slot] != bound || int(c.slot) != slot {
		return fmt.Errorf("slot %d, bound %d: want %d, %d", c.slot, l.bounds[slot], slot, bound)
	}
	for i, e := range c.heap {
		switch n := e.lane; {
		case n.at != i || n.class != c || l.lanes[crossing[T]{n.tenant, c}] != n:
			return fmt.Errorf("lane %d of %q is not where it says", i, n.tenant.name)
		case e.turn > n.tenant.turn || e.turn < c.heap[max(i-1, 0)/2].turn:
			return fmt.Errorf("lane %d of %q has turn %d, the tenant's is %d", i, n.tenant.name, e.turn, n.tenant.turn)
		case n.empty() || n.tenant.parked:
			return fmt.Errorf("the lane of %q is empty or parked", n.tenant.name)
		default:
			count, err := n.check()
			if err != nil {
				return err
			}
			sum += count
		}
	}
	parked := 0
	for at, n := range l.lanes { // order-free: summed
		if at.class == c && n.at < 0 {
			count, err := n.check()
			if err != nil || !n.tenant.parked || n.class != c || count == 0 {
				return fmt.Errorf("parked lane of %q: %w", n.tenant.name, err)
			}
			sum, parked = sum+count, parked+1
		}
	}
	if parked != c.parked {
		return fmt.Errorf("%d lanes are parked, it says %d", parked, c.parked)
	}
	if sum != c.waiting || (sum > 0) != (l.byKey[l.keys[slot]] == c) {
		return fmt.Errorf("%d waiting in lanes, want %d", sum, c.waiting)
	}
	return nil
}

func (n *lane[T]) check() (int, error) {
	sum := 0
	for rank := range n.lists {
		q, count := &n.lists[rank], 0
		var last *Waiter[T]
		for w := q.head; w != nil; last, w = w, w.next {
			if w.prev != last || w.lane != n || int(w.rank) != rank || last != nil && !last.before(w) {
				return 0, errors.New("a list is broken or out of order")
			}
			count++
		}
		if q.tail != last || q.count != count {
			return 0, errors.New("a list's end or count is wrong")
		}
		sum += count
	}
	return sum, nil
}

func (l *Line[K, T]) checkTenants() error {
	turns := map[uint64]bool{}
	waiting, lanes := 0, 0
	for name, t := range l.tenants {
		if t.name != name || t.waiting == 0 || turns[t.turn] || t.lanes.newer != nil {
			return fmt.Errorf("tenant %q: waiting %d, turn %d", name, t.waiting, t.turn)
		}
		turns[t.turn] = true
		waiting += t.waiting
		for n := t.lanes; n != nil; n = n.older {
			if n.tenant != t || n.older != nil && n.older.newer != n {
				return fmt.Errorf("tenant %q: lanes are linked wrongly", name)
			}
			lanes++
		}
	}
	if waiting != l.waiting || lanes != len(l.lanes) {
		return fmt.Errorf("tenants have %d waiting in %d lanes", waiting, lanes)
	}
	return nil
}

func (l *Line[K, T]) checkListings() error {
	listed, want := 0, 0
	for account, in := range l.byAccount {
		listed += len(in)
		for i, at := range in {
			c := l.classes[at.slot]
			if c.waiting == 0 || int(c.accounts[at.nth]) != account || int(c.places[at.nth]) != i {
				return fmt.Errorf("account %d lists class %v wrongly", account, l.keys[at.slot])
			}
		}
	}
	for _, c := range l.classes {
		if c.waiting > 0 {
			want += len(c.accounts)
			if !slices.IsSorted(c.accounts) {
				return errors.New("accounts are not sorted")
			}
		}
	}
	if listed != want {
		return fmt.Errorf("%d listings, want %d", listed, want)
	}
	return nil
}

// Outdated counts the lanes whose place in their heap is that of a turn that has passed.
func (l *Line[K, T]) Outdated() int {
	sum := 0
	for _, n := range l.lanes {
		if n.at >= 0 && n.class.heap[n.at].turn != n.tenant.turn {
			sum++
		}
	}
	return sum
}

// Spares counts the records that are kept to be used again.
func (l *Line[K, T]) Spares() int {
	return len(l.spare.tenants) + len(l.spare.lanes) + len(l.classes)
}
