package memstore

import (
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
)

// bind binds a key to an account for a time, over any binding of the key; a zero
// key or no time binds nothing.
func bind(table *lapsing[core.BindingKey, int32], key core.BindingKey, a *account, now int64, ttl time.Duration) {
	if key != (core.BindingKey{}) && ttl > 0 {
		table.set(key, a.number, after(now, ttl))
	}
}

// bound gives the account that a key is bound to; nil when there is none.
func (s *Store) bound(table *lapsing[core.BindingKey, int32], key core.BindingKey, now int64) *account {
	if key == (core.BindingKey{}) || len(table.places) == 0 {
		return nil
	}
	number, _, ok := table.get(key, now)
	if !ok {
		return nil
	}
	return s.accounts[number]
}

// boundTake is a TakeBound on its way through the layers.
type boundTake struct {
	*Store
	*core.BoundTake
	now int64
	out *core.BoundTaken
	// probe says that the account judged last is to be taken as its probe.
	probe bool
}

// judge says what the binding to an account may do. An account that no roster names has no slot to take.
func (b *boundTake) judge(layer decide.Layer, a *account) decide.Fate {
	fate := b.Judge.Judge(layer, a.id)
	b.probe = fate == decide.Probe
	switch {
	case b.probe && a.probes > 0, (b.probe || fate == decide.Take) && a.ordinal == unlisted:
		return decide.Keep
	case b.probe:
		return decide.Take
	}
	return fate
}

// response follows the response's binding, and tells whether that ends the take.
func (b *boundTake) response() bool {
	a := b.bound(&b.bindings, b.Response, b.now)
	if a == nil {
		return false
	}
	found := &b.out.Response
	found.Account, found.Fate = a.id, b.judge(decide.LayerResponse, a)
	if found.Fate != decide.Take {
		b.drop(b.Response, found.Fate)
		return b.ResponseAlone
	}
	found.Full = !b.free(b.now, &b.Grant, a)
	if !b.DryRun {
		// A full account keeps the conversation: the session follows it, but the response is not used yet.
		bind(&b.bindings, b.Session, a, b.now, b.SessionTTL)
		if !found.Full {
			bind(&b.bindings, b.Response, a, b.now, b.ResponseTTL)
		}
	}
	if found.Full {
		b.full(decide.LayerResponse, a)
	} else {
		b.take(decide.LayerResponse, a)
	}
	return true
}

// session follows the session's binding and, where that is kept but may not serve now, its substitute.
func (b *boundTake) session() {
	substitute := b.bound(&b.stand, b.Session, b.now)
	found := &b.out.Session
	if substitute != nil {
		found.Substitute = substitute.id
	}
	a := b.bound(&b.bindings, b.Session, b.now)
	if a == nil {
		return
	}
	found.Account, found.Fate = a.id, b.judge(decide.LayerSession, a)
	switch found.Fate {
	case decide.Drop:
		b.drop(b.Session, found.Fate)
	case decide.Keep, decide.Probe: // judge has made of a probe what it is
		b.standIn(substitute)
	case decide.Take:
		found.Full = !b.free(b.now, &b.Grant, a)
		switch {
		case !found.Full:
			if !b.DryRun {
				bind(&b.bindings, b.Session, a, b.now, b.SessionTTL)
			}
			b.take(decide.LayerSession, a)
		case b.SpillSession:
			b.standIn(substitute)
		default:
			b.full(decide.LayerSession, a)
		}
	}
}

// standIn takes the session's substitute, if there is one that is fit and has room.
func (b *boundTake) standIn(substitute *account) {
	if substitute != nil && b.free(b.now, &b.Grant, substitute) && b.judge(decide.LayerSession, substitute) == decide.Take {
		b.take(decide.LayerSession, substitute)
	}
}

func (b *boundTake) drop(key core.BindingKey, fate decide.Fate) {
	if fate == decide.Drop && !b.DryRun {
		b.bindings.remove(key)
	}
}

// full answers that the account is fit and has no room.
func (b *boundTake) full(layer decide.Layer, a *account) {
	b.out.Status, b.out.Layer = core.BoundFull, layer
	b.out.Lease.Account, b.out.Waiting = a.id, int(a.waiting)
}

// take takes a slot of an account that has room, or says that it would.
func (b *boundTake) take(layer decide.Layer, a *account) {
	b.out.Status, b.out.Layer = core.BoundTook, layer
	if b.DryRun {
		g := &b.Grant
		b.out.Lease = core.Lease{
			ID: g.ID, Account: a.id, Owner: g.Owner, Tenant: g.Tenant, Group: g.Group, Model: g.Model,
			Decision: g.Decision, GrantedAt: b.wall(b.now), ExpiresAt: b.wall(after(b.now, g.TTL)),
		}
		return
	}
	l := b.grant(b.now, &b.Grant, a)
	l.layer = layer
	if b.probe {
		b.Store.probe(l, a)
	}
	b.out.Lease = b.tell(l)
}
