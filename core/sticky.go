package core

import (
	"time"

	"usher.internal/core/decide"
	"usher.internal/core/pool"
)

// judge tells a store what may become of the bindings that it finds, and keeps what it said for the decision.
type judge struct {
	world    *world
	colds    *colds
	stats    *stats
	view     *pool.View
	now      time.Time
	response decide.Fitness
	session  decide.Fitness
	found    [layerKinds]StickyVerdict
	// sessionOf is the account that the session is bound to, once it was judged: whom is asked about after it is a substitute.
	sessionOf string
	// escapes says that the session is to be served elsewhere and stay bound; leaves is the
	// ordinal of its account when that may serve and only does badly, else nobody.
	escapes bool
	leaves  int32
	group   []decide.Stat
}

// nobody is no ordinal.
const nobody = -1

func (j *judge) reset(r *run) {
	j.world, j.colds, j.stats, j.view, j.now = r.world, &r.s.colds, &r.s.stats, r.view, r.started
	j.response = r.asked.Fitness(decide.LayerResponse, r.world.policy)
	j.session = r.asked.Fitness(decide.LayerSession, r.world.policy)
	j.found = [layerKinds]StickyVerdict{}
	j.sessionOf, j.escapes, j.leaves = "", false, nobody
}

// Judge gives the fate of a binding: one eligibility for all layers, the table that
// decide.FateOf is, and what the policy says of sessions whose account is unwell.
func (j *judge) Judge(layer decide.Layer, account string) decide.Fate {
	fitness := &j.session
	if layer == decide.LayerResponse {
		fitness = &j.response
	}
	var cold *decide.Cold
	known, _ := j.world.set.Lookup(account)
	if known != nil {
		cold = j.colds.of(known.Ordinal)
	}
	reason, until := decide.EligibleID(account, known, cold, fitness, j.now)
	fate := decide.FateOf(layer, reason)
	if layer == decide.LayerResponse {
		j.found[layer] = StickyVerdict{Account: account, Reason: reason, Until: until}
		if j.world.policy.ResponseRequireOwner && fate == decide.Drop {
			return decide.Keep // what no other account can continue stays its owner's
		}
		return fate
	}
	if j.sessionOf != "" {
		return fate
	}
	j.sessionOf = account
	j.found[layer] = StickyVerdict{Account: account, Reason: reason, Until: until}
	return j.loosen(known, reason, until, fate)
}

// loosen lets a session go for a while, or for good, where the policy knows when to.
func (j *judge) loosen(a *pool.Account, reason decide.Reason, until time.Time, fate decide.Fate) decide.Fate {
	policy := j.world.policy
	switch {
	case !policy.Escape.On():
		return fate
	case reason == decide.None:
		if j.escapes = j.unwell(a); j.escapes {
			j.leaves = int32(a.Ordinal)
			return decide.Keep
		}
		return fate
	case until.IsZero():
		return fate
	}
	_, ttl := j.world.ttls()
	if until.Sub(j.now) >= ttl {
		return decide.Drop // it would lapse before its account is back
	}
	j.escapes = true
	return decide.Keep
}

// unwell tells that the account does badly against its group.
func (j *judge) unwell(a *pool.Account) bool {
	j.group = room(j.group, j.view.Len())
	j.stats.gatherView(j.view, j.group, j.world.policy, j.now)
	for i, ordinal := range j.view.Ordinals() {
		if int(ordinal) == a.Ordinal {
			return decide.Escapes(j.group[i], j.group, j.world.policy)
		}
	}
	return false
}

// verdict joins what the store found with why.
func (j *judge) verdict(layer decide.Layer, found *Binding, took bool) StickyVerdict {
	if found.Account == "" {
		return StickyVerdict{}
	}
	v := j.found[layer]
	v.Account = found.Account
	switch {
	case layer == decide.LayerSession && took && (j.escapes || found.Full):
		v.Fate = BindingEscaped
	case found.Full:
		v.Fate = BindingFull
	case took:
		v.Fate, v.Reason, v.Until = BindingHit, decide.None, time.Time{}
	case found.Fate == decide.Drop:
		v.Fate = BindingDropped
	default:
		v.Fate = BindingKept
	}
	return v
}

// escaping tells that load balancing serves the session elsewhere and leaves it bound.
func (r *run) escaping() bool {
	return r.judge.escapes || r.bound.SpillSession && r.decision.Session.Fate == BindingFull
}

// served settles what became of the session's binding once load balancing took.
func (r *run) served() {
	session := &r.decision.Session
	switch {
	case session.Account == "":
	case r.escaping():
		session.Fate = BindingEscaped
	case session.Fate == BindingDropped && r.world.policy.Escape.On():
		session.Fate = BindingRebound
	}
}
