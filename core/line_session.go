package core

import (
	"context"
	"slices"

	"usher.internal/core/decide"
)

// keep notes which account a waiter's session is bound to, as its last look found it; one whose tenant is capped finds none. mu is held.
func (w *waiter) keep() {
	if w.keeps = w.run.decision.Session.Account; w.run.decision.Session.Fate == BindingDropped {
		w.keeps = ""
	}
}

// move is that a request of a session may have moved its binding to an account, or dropped it.
type move struct {
	session BindingKey
	to      string
	by      *run
}

// moves tells whether the request, which took the lease unless that is nil, may have moved or dropped its session's binding.
func (r *run) moves(lease *Lease) (m move, may bool) {
	session := &r.decision.Session
	m = move{session: r.bound.Session, by: r}
	switch {
	case m.session == BindingKey{} || r.decision.Repeated || session.Fate == BindingEscaped:
		return m, false
	case lease != nil:
		m.to = lease.Account
	case r.decision.PreviousHit && r.answer.WaitPlan != nil:
		m.to = r.answer.WaitPlan.Account.ID
	case session.Fate != BindingDropped:
		return m, false
	}
	return m, true
}

// rebound tells those who wait in a session that another request of it may have moved or dropped the binding: who waits for an account
// that is the session's no more looks anew. mu is held.
func (l *line) rebound(r *run, lease *Lease, why WakeReason) {
	if m, may := r.moves(lease); may {
		l.moved(m, why)
	}
}

func (l *line) moved(m move, why WakeReason) {
	for _, w := range slices.Clone(l.bySession[m.session]) {
		if w.run == m.by {
			continue
		}
		if w.keeps = m.to; w.class.bound != "" && w.class.bound != m.to && w.layer == decide.LayerSession {
			l.try(w, why)
		}
	}
}

// stays has a waiter that looked in vain wait for what it is to wait for now: its tenant waits no more, its session is bound to
// another account, or its account may not serve it any more. mu is held.
func (l *line) stays(w *waiter) {
	account, layer, bound := w.run.target(), w.run.decision.Layer, ""
	if layer != decide.LayerLoadBalance {
		bound = account
	}
	if w.account != "" && bound == w.class.bound || l.s.store.Move(context.Background(), w.id, account) != nil {
		return
	}
	if w.account = account; bound != w.class.bound {
		w.layer = layer
		l.reenter(w, bound)
	}
}
