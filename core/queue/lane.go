package queue

// tenant is one that waits; it is forgotten with its last waiter.
type tenant[T any] struct {
	name    string
	turn    uint64 // no two tenants have the same
	served  uint64 // number of the last grant since it became active, 0 for none
	waiting int
	lanes   *lane[T] // any one of them; linked through older and newer
	parked  bool
}

// lane is a tenant's waiters in one class.
type lane[T any] struct {
	tenant *tenant[T]
	class  *class[T]
	at     int // place in the class's heap; -1 outside one, as while its tenant is parked

	older, newer *lane[T] // of the same tenant
	lists        [ranks]list[T]
}

func (n *lane[T]) empty() bool {
	return n.lists[0].head == nil && n.lists[1].head == nil && n.lists[2].head == nil
}

// first gives the lane's first waiter in order, nil when it is empty.
func (n *lane[T]) first() *Waiter[T] {
	var first *Waiter[T]
	for i := range n.lists {
		if w := n.lists[i].head; w != nil && (first == nil || w.before(first)) {
			first = w
		}
	}
	return first
}

// ahead counts those of the lane who come before w; see list.ahead.
func (n *lane[T]) ahead(w *Waiter[T]) int {
	sum := 0
	for i := range n.lists {
		sum += n.lists[i].ahead(w)
	}
	return sum
}

// join links the lane with its tenant's others.
func (n *lane[T]) join(t *tenant[T]) {
	n.tenant, n.older, n.newer = t, t.lanes, nil
	if t.lanes != nil {
		t.lanes.newer = n
	}
	t.lanes = n
}

func (n *lane[T]) part() {
	if n.older != nil {
		n.older.newer = n.newer
	}
	if n.newer != nil {
		n.newer.older = n.older
	} else {
		n.tenant.lanes = n.older
	}
	n.tenant, n.older, n.newer = nil, nil, nil
}

// list holds a lane's waiters of one rank, in order.
type list[T any] struct {
	head, tail *Waiter[T]
	count      int
}

// insert looks from both ends: an arrival in order goes to the tail, and one that comes
// back near the head.
func (q *list[T]) insert(w *Waiter[T]) {
	front, back := q.head, q.tail
	for back != nil && w.before(back) {
		if w.before(front) {
			back = front.prev
			break
		}
		front, back = front.next, back.prev
	}
	w.prev = back
	if back == nil {
		w.next, q.head = q.head, w
	} else {
		w.next, back.next = back.next, w
	}
	if w.next == nil {
		q.tail = w
	} else {
		w.next.prev = w
	}
	q.count++
}

func (q *list[T]) remove(w *Waiter[T]) {
	if w.prev == nil {
		q.head = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		q.tail = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.prev, w.next = nil, nil
	q.count--
}

// look is how far from each end a place is told exactly.
const look = 64

// ahead counts those of the list who come before w. Deeper than look from both ends
// it is the whole list.
func (q *list[T]) ahead(w *Waiter[T]) int {
	front, back := q.head, q.tail
	for i := 0; i < look && front != nil; i++ {
		switch {
		case !front.before(w):
			return i
		case back.before(w):
			return q.count - i
		}
		front, back = front.next, back.prev
	}
	return q.count
}
