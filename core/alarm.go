package core

import (
	"container/heap"
	"sync"
	"sync/atomic"
	"time"

	"usher.internal/core/decide"
)

// alarms knows when each account's next deadline is over: one at which it may serve again, or no more.
type alarms struct {
	// mu guards what follows.
	mu   sync.Mutex
	next map[int32]time.Time // by ordinal
	// queue has an entry for each of next, and stale ones.
	queue alarmQueue
	// changed are the accounts that reports taught something of while somebody waited.
	changed []int32
}

type alarm struct {
	at      time.Time
	account int32
}

func newAlarms() alarms { return alarms{next: make(map[int32]time.Time)} }

// set says when an account's next deadline is over, zero for never, and tells whether it is the first of all now.
func (a *alarms) setLocked(account int32, at time.Time) (first bool) {
	if at.IsZero() {
		delete(a.next, account)
		return false
	}
	if a.next[account].Equal(at) {
		return false
	}
	first = len(a.queue) == 0 || at.Before(a.queue[0].at)
	a.next[account] = at
	heap.Push(&a.queue, alarm{at, account})
	if len(a.queue) > 2*len(a.next)+64 {
		a.queue = a.queue[:0]
		for account, at := range a.next { // order-free: ordered below
			a.queue = append(a.queue, alarm{at, account})
		}
		heap.Init(&a.queue)
	}
	return first
}

// first gives the first deadline, zero for none.
func (a *alarms) first() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.queue) > 0 {
		if top := a.queue[0]; a.next[top.account].Equal(top.at) {
			return top.at
		}
		heap.Pop(&a.queue)
	}
	return time.Time{}
}

// due takes out the accounts whose deadline is over.
func (a *alarms) due(now time.Time) (accounts []int32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.queue) > 0 && !now.Before(a.queue[0].at) {
		top := heap.Pop(&a.queue).(alarm)
		if a.next[top.account].Equal(top.at) {
			delete(a.next, top.account)
			accounts = append(accounts, top.account)
		}
	}
	return accounts
}

// takeChanged takes the accounts that reports taught something of.
func (a *alarms) takeChanged() []int32 {
	a.mu.Lock()
	defer a.mu.Unlock()
	changed := a.changed
	a.changed = nil
	return changed
}

// watch sets the alarm of an account by what is known of it now.
func (l *line) watch(account int32) {
	l.alarms.mu.Lock()
	defer l.alarms.mu.Unlock()
	l.watchLocked(account)
}

// taught is watch for an account that a report taught something of.
func (l *line) taught(account int32) {
	l.alarms.mu.Lock()
	defer l.alarms.mu.Unlock()
	l.watchLocked(account)
	if l.waits() {
		l.alarms.changed = append(l.alarms.changed, account)
	}
}

// watchAll does so for all accounts of the current world.
func (l *line) watchAll() {
	l.alarms.mu.Lock()
	defer l.alarms.mu.Unlock()
	clear(l.alarms.next)
	l.alarms.queue = l.alarms.queue[:0]
	set := l.s.registry.current.Load().set
	for i := range set.Len() {
		l.watchLocked(int32(set.At(i).Ordinal))
	}
}

// watchLocked reads what is known under the alarms' mu, so that the last to change it sets the alarm by all of it.
func (l *line) watchLocked(account int32) {
	world := l.s.registry.current.Load()
	if _, known := world.limit(account); !known {
		l.alarms.setLocked(account, time.Time{})
		return
	}
	at := decide.NextDeadline(world.at(account), l.s.colds.of(int(account)), l.s.clock.Now())
	if l.alarms.setLocked(account, at) && l.waits() {
		l.wake()
	}
}

type alarmQueue []alarm

func (q alarmQueue) Len() int           { return len(q) }
func (q alarmQueue) Less(i, j int) bool { return q[i].at.Before(q[j].at) }
func (q alarmQueue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }

// Push is heap.Interface's.
func (q *alarmQueue) Push(x any) { *q = append(*q, x.(alarm)) }

// Pop is heap.Interface's.
func (q *alarmQueue) Pop() any {
	last := len(*q) - 1
	top := (*q)[last]
	*q = (*q)[:last]
	return top
}

// nextEnd is when the first of all leases ends by itself, as far as this replica knows: no later than any that
// it granted or renewed, and than the store said at the last sweep. It is nanoseconds since the scheduler's start, one more; 0 is none.
type nextEnd struct{ at atomic.Int64 }

// note takes an end in, and tells whether it is the first.
func (e *nextEnd) note(started, at time.Time) bool {
	end := max(int64(at.Sub(started)), 0) + 1
	for {
		old := e.at.Load()
		if old != 0 && old <= end {
			return false
		}
		if e.at.CompareAndSwap(old, end) {
			return true
		}
	}
}

// forget is called before the store is asked: what it says, and what is noted meanwhile, counts from then on.
func (e *nextEnd) forget() { e.at.Store(0) }

func (e *nextEnd) first(started time.Time) (time.Time, bool) {
	at := e.at.Load()
	return started.Add(time.Duration(at - 1)), at != 0
}

func (e *nextEnd) due(started, now time.Time) bool {
	at := e.at.Load()
	return at != 0 && at-1 <= int64(now.Sub(started))
}

// noteEnd takes in when a lease ends by itself.
func (l *line) noteEnd(at time.Time) {
	if l.ends.note(l.s.started, at) && l.waits() {
		l.wake()
	}
}
