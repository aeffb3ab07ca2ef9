package queue

import "slices"

// Park passes a tenant over until Unpark or until its last waiter is gone: its waiters keep their order and count as waiting,
// and no account fits them. Of a tenant that does not wait, or is parked, it changes nothing and gives false.
// It costs leaving each class in which the tenant waits.
func (l *Line[K, T]) Park(name string) bool {
	t, ok := l.tenants[name]
	if !ok || t.parked {
		return false
	}
	l.changes++
	t.parked = true
	for n := t.lanes; n != nil; n = n.older {
		n.class.remove(n)
		n.class.parked++
		l.bound(n.class)
	}
	return true
}

// Unpark undoes Park; the tenant has its turn as before. Of a tenant that is not parked it changes nothing and gives false.
func (l *Line[K, T]) Unpark(name string) bool {
	t, ok := l.tenants[name]
	if !ok || !t.parked {
		return false
	}
	l.changes++
	t.parked = false
	for n := t.lanes; n != nil; n = n.older {
		n.class.parked--
		n.class.push(n)
		l.bound(n.class)
	}
	return true
}

// Parked tells whether a tenant is passed over.
func (l *Line[K, T]) Parked(name string) bool {
	t, ok := l.tenants[name]
	return ok && t.parked
}

// Firsts gives the first waiter of the tenant in each class in which it waits, in order.
func (l *Line[K, T]) Firsts(name string) []*Waiter[T] {
	t, ok := l.tenants[name]
	if !ok {
		return nil
	}
	var firsts []*Waiter[T]
	for n := t.lanes; n != nil; n = n.older {
		firsts = append(firsts, n.first())
	}
	slices.SortFunc(firsts, func(a, b *Waiter[T]) int {
		if a.before(b) {
			return -1
		}
		return 1
	})
	return firsts
}
