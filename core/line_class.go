package core

import (
	"bytes"
	"context"
	"slices"
	"strings"

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

// boundNoMore tells that a Select that waited for its bound account would not any more: the account is gone or unfit.
func (r *run) boundNoMore() bool {
	return r.answer.WaitPlan == nil || r.decision.Layer == decide.LayerLoadBalance
}

// unbind lets a waiter whose bound account will not serve it stand in line for the others, or refuses it.
func (l *line) unbind(w *waiter) bool {
	if w.run.answer.WaitPlan == nil {
		l.out(w)
		w.done <- served{refused: true}
		return true
	}
	if w.account = w.run.answer.WaitPlan.Account.ID; l.s.store.Move(context.Background(), w.id, w.account) != nil {
		return false // it is asked again at the next look
	}
	l.reenter(w, "")
	return false
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
	if _, known := world.limit(account); !known || l.queue.WaitingIn(class{bound: world.ids[account]}) == 0 {
		return
	}
	var gone []*waiter
	l.queue.Each(account, func(w *queue.Waiter[*waiter]) bool {
		if w.Value.class.bound != "" && !l.mayServeBound(w.Value) {
			gone = append(gone, w.Value)
		}
		return true
	})
	for _, w := range gone {
		l.try(w, why)
	}
}

// unbindCooled does so for the accounts that reports taught something of. mu is held.
func (l *line) unbindCooled() {
	for _, account := range l.alarms.takeChanged() {
		l.unbindFrom(account, WokenByCooldownEnd)
	}
}

// unbindAll asks all who wait for a bound account that may not serve any more. mu is held.
func (l *line) unbindAll(why WakeReason) {
	var gone []*waiter
	for w := range l.all { // order-free: sorted below
		if w.class.bound != "" && !l.mayServeBound(w) {
			gone = append(gone, w)
		}
	}
	slices.SortFunc(gone, func(a, b *waiter) int { return bytes.Compare(a.id[:], b.id[:]) })
	for _, w := range gone {
		l.try(w, why)
	}
}
