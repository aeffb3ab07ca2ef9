package core

import (
	"slices"
	"strings"
	"time"

	"usher.internal/core/decide"
	"usher.internal/core/pool"
	"usher.internal/core/queue"
)

// class is what can serve a waiter: the accounts of a query but the excluded ones, or one bound account.
type class struct {
	query    pool.Query
	excluded string
	bound    string
}

// classFor gives the class of a Select that waits; bound is blank unless it waits for one account.
func classFor(q pool.Query, excluded []string, bound string) class {
	if bound != "" {
		return class{bound: bound}
	}
	key := class{query: q}
	if len(excluded) > 0 {
		sorted := slices.Clone(excluded)
		slices.Sort(sorted)
		key.excluded = strings.Join(slices.Compact(sorted), "\x00")
	}
	return key
}

// accountsOf gives the ordinals that may serve a class if time and load allow.
func (w *world) accountsOf(key class) []int32 {
	if key.bound != "" {
		if a, ok := w.set.Lookup(key.bound); ok {
			return []int32{int32(a.Ordinal)}
		}
		return nil
	}
	view := w.view(key.query)
	if key.excluded == "" {
		return view.Ordinals()
	}
	excluded := strings.Split(key.excluded, "\x00")
	var out []int32
	for i, ordinal := range view.Ordinals() {
		if !slices.Contains(excluded, view.Account(i).ID) {
			out = append(out, ordinal)
		}
	}
	return out
}

// inVain tells that a waiter that looked anew was refused what does not come back in its time.
func (w *waiter) inVain() bool {
	refusal := w.run.answer.Refusal
	return refusal != nil && !refusal.endsBefore(w.until)
}

// mayServeBound tells whether the account that a waiter is bound to may serve it still, whatever its load.
func (l *line) mayServeBound(w *waiter) bool {
	world := l.s.registry.current.Load()
	fitness := w.run.asked.Fitness(w.layer, world.policy)
	return l.eligible(world.account(w.class.bound), &fitness)
}

// unbindFrom asks those who wait for an account alone that may not serve them any more. mu is held.
func (l *line) unbindFrom(account int32, why WakeReason) {
	world := l.s.registry.current.Load()
	if _, known := world.limit(account); !known || l.queue.WaitingIn(class{bound: world.at(account).ID}) == 0 {
		return
	}
	var gone []*waiter
	l.queue.Each(account, func(w *queue.Waiter[*waiter]) bool {
		if w.Value.class.bound != "" && !l.mayServeBound(w.Value) {
			gone = append(gone, w.Value)
		}
		return true
	})
	l.askAnew(gone, why)
}

// unbindCooled does so for the accounts that reports taught something of, and tells whether there are any. mu is held.
func (l *line) unbindCooled() bool {
	changed := l.alarms.takeChanged()
	for _, account := range changed {
		l.unbindFrom(account, WokenByCooldownEnd)
	}
	return len(changed) > 0
}

// comesBack gives when the first account that may serve a class does, loads aside; false when time alone brings none back.
func (l *line) comesBack(key class) (first time.Time, some bool) {
	world, now := l.s.registry.current.Load(), l.s.clock.Now()
	view, f := world.view(key.query), decide.Fitness{Query: key.query, Layer: decide.LayerLoadBalance}
	if key.excluded != "" {
		f.Excluded = strings.Split(key.excluded, "\x00")
	}
	for i := range view.Len() {
		a := view.Account(i)
		back, ok := decide.NextEligible(a, l.s.colds.of(a.Ordinal), &f, now)
		if ok && (!some || back.Before(first)) {
			first, some = back, true
		}
		if some && !first.After(now) {
			break
		}
	}
	return first, some
}

// dismiss asks those whom none may serve in their time. mu is held.
func (l *line) dismiss(why WakeReason) {
	away, now := make(map[class]time.Time), l.s.clock.Now()
	for key := range l.queue.Classes() {
		if key.bound != "" {
			continue
		}
		if first, some := l.comesBack(key); !some || first.After(now) {
			away[key] = first
		}
	}
	if len(away) == 0 {
		return
	}
	l.askAnew(l.which(func(w *waiter) bool {
		first, waits := away[w.class]
		return waits && (first.IsZero() || !first.Before(w.until))
	}), why)
}

// unbindAll asks all who wait for a bound account that may not serve any more. mu is held.
func (l *line) unbindAll(why WakeReason) {
	l.askAnew(l.which(func(w *waiter) bool { return w.class.bound != "" && !l.mayServeBound(w) }), why)
}

// which gives some of those who wait, in no order. mu is held.
func (l *line) which(are func(*waiter) bool) (some []*waiter) {
	for w := range l.all { // order-free: whoever uses them sorts
		if are(w) {
			some = append(some, w)
		}
	}
	return some
}

// askAnew has some waiters look anew in fairness order, whatever came free. mu is held.
func (l *line) askAnew(some []*waiter, why WakeReason) {
	for served := l.grants - 1; len(some) > 0; some = some[1:] {
		if served != l.grants { // a turn is over, and others come first
			some = slices.DeleteFunc(some, func(w *waiter) bool { return !w.Waiting() })
			slices.SortFunc(some, func(a, b *waiter) int { return l.queue.Compare(&a.Waiter, &b.Waiter) })
			if served = l.grants; len(some) == 0 {
				return
			}
		}
		l.try(some[0], why)
	}
}
