package core

import (
	"time"

	"usher.internal/core/decide"
)

// judge tells a store what may become of the bindings that it finds, and keeps what it said for the decision.
type judge struct {
	world    *world
	colds    *colds
	now      time.Time
	response decide.Fitness
	session  decide.Fitness
	found    [layerKinds]StickyVerdict
}

func (j *judge) reset(w *world, c *colds, req *decide.Request, now time.Time) {
	j.world, j.colds, j.now = w, c, now
	j.response = req.Fitness(decide.LayerResponse, w.policy)
	j.session = req.Fitness(decide.LayerSession, w.policy)
	j.found = [layerKinds]StickyVerdict{}
}

// Judge gives the fate of a binding: one eligibility for all layers, and the table that decide.FateOf is.
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
	j.found[layer] = StickyVerdict{Account: account, Reason: reason, Until: until}
	return decide.FateOf(layer, reason)
}

// verdict joins what the store found with why.
func (j *judge) verdict(layer decide.Layer, found *Binding, took bool) StickyVerdict {
	if found.Account == "" {
		return StickyVerdict{}
	}
	v := j.found[layer]
	v.Account = found.Account
	switch {
	case found.Full:
		v.Fate = BindingFull
	case took:
		v.Fate = BindingHit
	case found.Fate == decide.Drop:
		v.Fate = BindingDropped
	default:
		v.Fate = BindingKept
	}
	return v
}
