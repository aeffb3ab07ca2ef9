package queue

import (
	"iter"
	"math"
	"slices"
)

// listing is a class in an account's list.
type listing struct {
	slot int32 // of the class
	nth  int32 // of the class's accounts it is
}

// Wanted tells in constant time whether anybody waits whom the account fits, parked or not.
func (l *Line[K, T]) Wanted(account int32) bool { return len(l.fitting(account)) > 0 }

// Next gives the first in fairness order whom the account fits, and false when nobody is.
// It takes nobody out.
func (l *Line[K, T]) Next(account int32) (*Waiter[T], bool) {
	var first *Waiter[T]
	lowest := uint64(math.MaxUint64)
	for _, at := range l.fitting(account) {
		if bound := l.bounds[at.slot]; bound > lowest || bound == math.MaxUint64 {
			continue
		}
		c := l.classes[at.slot]
		l.settle(c)
		turn := c.heap[0].turn
		if turn > lowest {
			continue
		}
		// The same turn is the same tenant.
		if w := c.heap[0].lane.first(); turn < lowest || w.before(first) {
			first, lowest = w, turn
		}
	}
	return first, first != nil
}

// Classes gives the classes that somebody waits in, each with its accounts in ascending
// order. The order of the classes depends on the calls made before and on nothing else.
// SetAccounts may be called meanwhile, nothing else that changes the line; the accounts are
// to be read only, and until SetAccounts is called for their class.
func (l *Line[K, T]) Classes() iter.Seq2[K, []int32] {
	return func(yield func(K, []int32) bool) {
		for slot, c := range l.classes {
			if c.waiting > 0 && !yield(l.keys[slot], c.accounts) {
				return
			}
		}
	}
}

// SetAccounts says anew what can serve a class, as in a Ticket; its waiters keep their order.
// With no accounts they wait on, and nothing fits them. Of a class that nobody waits
// in it changes nothing and gives false.
func (l *Line[K, T]) SetAccounts(key K, accounts []int32) bool {
	c, ok := l.byKey[key]
	if !ok {
		return false
	}
	l.spare.sorted = ascending(l.spare.sorted, accounts)
	if slices.Equal(l.spare.sorted, c.accounts) {
		return true
	}
	l.changes++
	l.unlist(c)
	c.accounts = append(c.accounts[:0], l.spare.sorted...)
	l.list(c)
	return true
}

func (l *Line[K, T]) fitting(account int32) []listing {
	if account < 0 || int(account) >= len(l.byAccount) {
		return nil
	}
	return l.byAccount[account]
}

func (l *Line[K, T]) settle(c *class[T]) {
	if c.settle() {
		l.changes++
		l.bound(c)
	}
}

// list enters the class with each of its accounts.
func (l *Line[K, T]) list(c *class[T]) {
	if n := len(c.accounts); n > 0 && int(c.accounts[n-1]) >= len(l.byAccount) {
		more := int(c.accounts[n-1]) + 1 - len(l.byAccount)
		l.byAccount = append(l.byAccount, make([][]listing, more)...)
	}
	c.places = slices.Grow(c.places[:0], len(c.accounts))
	for nth, account := range c.accounts {
		in := l.byAccount[account]
		c.places = append(c.places, int32(len(in)))
		l.byAccount[account] = append(in, listing{c.slot, int32(nth)})
	}
}

// unlist strikes it out again; the last of a list takes its place there.
func (l *Line[K, T]) unlist(c *class[T]) {
	for nth, account := range c.accounts {
		in := l.byAccount[account]
		last := len(in) - 1
		moved, to := in[last], c.places[nth]
		in[to] = moved
		l.classes[moved.slot].places[moved.nth] = to
		l.byAccount[account] = in[:last]
	}
}
