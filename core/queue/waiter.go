package queue

import "time"

// Priority ranks the waiters of one tenant; between tenants it means nothing.
// The zero value is Normal. A value outside the three counts as the nearest of them.
type Priority int8

const (
	// Low goes two agings behind High.
	Low Priority = iota - 1
	// Normal goes one aging behind High.
	Normal
	// High goes by its arrival alone.
	High
)

// ranks is the number of priorities. A rank is a priority counted down from High.
const ranks = 3

func (p Priority) rank() uint8 { return uint8(High - min(max(p, Low), High)) }

// Waiter is one place in a line, embedded in the record of whoever waits: a line
// allocates nothing for it. The zero value is ready to join; it must not be copied while
// it waits, and belongs to one line at a time.
type Waiter[T any] struct {
	Value T // the caller's; the line never looks at it

	lane       *lane[T] // nil outside the line
	prev, next *Waiter[T]
	virtual    uint64 // arrival, put back by its rank
	seq        uint64 // order of joining
	rank       uint8

	// The tenant's turn before the grant that took the waiter out, and the grant's number;
	// 0 when no grant did.
	turn, granted uint64
}

// Waiting tells whether the waiter stands in a line.
func (w *Waiter[T]) Waiting() bool { return w.lane != nil }

// before is the order within a tenant.
func (w *Waiter[T]) before(o *Waiter[T]) bool {
	if w.virtual != o.virtual {
		return w.virtual < o.virtual
	}
	return w.seq < o.seq
}

// Ticket says where a waiter belongs.
type Ticket[K comparable] struct {
	// Class names what can serve the waiter. Equal keys share one class.
	Class K
	// Accounts are the ordinals of what can serve the class, small numbers that lines keep
	// arrays by, in any order; repeats and negatives are ignored. They are read, and copied,
	// only when nobody waits in the class yet: WaitingIn tells.
	Accounts []int32
	// Tenant is whose turn the waiter uses; "" is a tenant like any other.
	Tenant string
	// Priority ranks it within its tenant.
	Priority Priority
	// Arrived is the time since any fixed instant, the same for the whole line. What lies
	// outside 0 to 146 years counts as the nearer end. Arrivals out of order are taken as
	// they are, at a cost of their distance from the nearer end of their lane.
	Arrived time.Duration
}

// horizon bounds arrivals and aging so that no sum of them overflows, and so that
// an aging of horizon is never overtaken.
const horizon = 1 << 62

func virtual(arrived time.Duration, rank uint8, aging uint64) uint64 {
	return uint64(min(max(arrived, 0), horizon-1)) + uint64(rank)*aging
}
