package queue

import "slices"

// class is what the same accounts can serve. Without a waiter it is spare.
type class[T any] struct {
	slot     int32
	waiting  int
	heap     []entry[T] // its lanes, lowest turn first, but those of parked tenants
	parked   int        // lanes outside the heap
	accounts []int32    // ascending
	places   []int32    // aligned with accounts: where the account lists the class
}

// entry keeps the turn that the lane was placed by: never more than its tenant's.
type entry[T any] struct {
	turn uint64
	lane *lane[T]
}

// push adds a lane by its tenant's turn.
func (c *class[T]) push(n *lane[T]) {
	n.class, n.at = c, len(c.heap)
	c.heap = append(c.heap, entry[T]{n.tenant.turn, n})
	c.up(n.at)
}

func (c *class[T]) remove(n *lane[T]) {
	at, last := n.at, len(c.heap)-1
	moved := c.heap[last]
	c.heap[last] = entry[T]{}
	c.heap = c.heap[:last]
	if at < last {
		c.heap[at] = moved
		moved.lane.at = at
		c.up(at)
		c.down(at)
	}
	n.at = -1
}

// place puts the lane where its tenant's turn belongs.
func (c *class[T]) place(n *lane[T]) {
	c.heap[n.at].turn = n.tenant.turn
	c.up(n.at)
	c.down(n.at)
}

// settle corrects the top until it is the lane with the lowest turn, and tells whether
// it had to.
func (c *class[T]) settle() bool {
	moved := false
	for c.heap[0].turn != c.heap[0].lane.tenant.turn {
		c.heap[0].turn = c.heap[0].lane.tenant.turn
		c.down(0)
		moved = true
	}
	return moved
}

func (c *class[T]) up(i int) {
	h, e := c.heap, c.heap[i]
	for i > 0 {
		parent := (i - 1) / 2
		if h[parent].turn <= e.turn {
			break
		}
		h[i] = h[parent]
		h[i].lane.at = i
		i = parent
	}
	h[i] = e
	e.lane.at = i
}

func (c *class[T]) down(i int) {
	h, e := c.heap, c.heap[i]
	for {
		child := 2*i + 1
		if child >= len(h) {
			break
		}
		if child+1 < len(h) && h[child+1].turn < h[child].turn {
			child++
		}
		if e.turn <= h[child].turn {
			break
		}
		h[i] = h[child]
		h[i].lane.at = i
		i = child
	}
	h[i] = e
	e.lane.at = i
}

// ascending writes the accounts over buf in order, without repeats and negatives.
func ascending(buf, accounts []int32) []int32 {
	buf = append(buf[:0], accounts...)
	if !slices.IsSorted(buf) {
		slices.Sort(buf)
	}
	buf = slices.Compact(buf)
	first, _ := slices.BinarySearch(buf, 0)
	return slices.Delete(buf, 0, first)
}
