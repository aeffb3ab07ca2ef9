package queue

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Dump writes the line for tests and people: a row for each class, then its tenants by
// turn, each with its waiters in order as priority, arrival plus aging in nanoseconds, and number of joining.
// The same calls give the same text.
func (l *Line[K, T]) Dump() string {
	var b strings.Builder
	for key, accounts := range l.Classes() {
		c := l.byKey[key]
		fmt.Fprintf(&b, "%v accounts %v waiting %d\n", key, accounts, c.waiting)
		lanes := slices.Clone(c.heap)
		slices.SortFunc(lanes, func(a, b entry[T]) int { return cmp.Compare(a.lane.tenant.turn, b.lane.tenant.turn) })
		for _, e := range lanes {
			fmt.Fprintf(&b, "  %q turn %d:", e.lane.tenant.name, e.lane.tenant.turn)
			for _, w := range e.lane.all() {
				fmt.Fprintf(&b, " %s@%d#%d", [ranks]string{"high", "normal", "low"}[w.rank], w.virtual, w.seq)
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}

func (n *lane[T]) all() []*Waiter[T] {
	var all []*Waiter[T]
	for i := range n.lists {
		for w := n.lists[i].head; w != nil; w = w.next {
			all = append(all, w)
		}
	}
	slices.SortFunc(all, func(a, b *Waiter[T]) int { return cmp.Or(cmp.Compare(a.virtual, b.virtual), cmp.Compare(a.seq, b.seq)) })
	return all
}
