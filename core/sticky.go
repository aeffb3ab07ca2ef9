package core

import (
	"slices"
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
	f := j.look(layer, account)
	if layer != decide.LayerResponse {
		if j.sessionOf != "" {
			return f.fate // a substitute's
		}
		j.sessionOf = account
	}
	j.found[layer] = StickyVerdict{Account: account, Reason: f.reason, Until: f.until}
	if layer == decide.LayerResponse {
		return j.owned(f.fate)
	}
	fate, escapes := j.loosen(&f, j.unwell)
	if j.escapes = escapes; escapes && f.reason == decide.None {
		j.leaves = int32(f.account.Ordinal)
	}
	return fate
}

// Fates gives what Judge would say of each account.
func (j *judge) Fates(accounts []string, fates []Fates) {
	unwell := make(map[int]bool)
	if j.world.policy.Escape.On() {
		j.gather()
		escapes := make([]bool, len(j.group))
		decide.AllEscape(j.group, j.world.policy, escapes)
		for i, ordinal := range j.view.Ordinals() {
			unwell[int(ordinal)] = escapes[i]
		}
	}
	for i, account := range accounts {
		response, session := j.look(decide.LayerResponse, account), j.look(decide.LayerSession, account)
		loosened, _ := j.loosen(&session, func(a *pool.Account) bool { return unwell[a.Ordinal] })
		fates[i] = Fates{Response: j.owned(response.fate), Session: loosened, Substitute: session.fate}
	}
}

// standingFor is how long fates are taken to stand while nothing is taught: deadlines pass and statistics change.
const standingFor = 50 * time.Millisecond

// Standing names what Fates stands on. A request that excludes accounts stands alone.
func (j *judge) Standing() (Standing, bool) {
	if len(j.session.Excluded) > 0 {
		return Standing{}, false
	}
	return Standing{view: j.view, taught: j.colds.changes.Load(), moment: j.now.UnixNano() / int64(standingFor)}, true
}

// fitness is what can be said of a bound account.
type fitness struct {
	account *pool.Account // nil when it is not known
	reason  decide.Reason
	until   time.Time
	fate    decide.Fate
}

func (j *judge) look(layer decide.Layer, account string) (f fitness) {
	asked := &j.session
	if layer == decide.LayerResponse {
		asked = &j.response
	}
	var cold *decide.Cold
	if f.account, _ = j.world.set.Lookup(account); f.account != nil {
		cold = j.colds.of(f.account.Ordinal)
	}
	f.reason, f.until = decide.EligibleID(account, f.account, cold, asked, j.now)
	f.fate = decide.FateOf(layer, f.reason)
	return f
}

// owned keeps a response's binding where no other account can continue it.
func (j *judge) owned(fate decide.Fate) decide.Fate {
	if j.world.policy.ResponseRequireOwner && fate == decide.Drop {
		return decide.Keep
	}
	return fate
}

// loosen lets a session go for a while, or for good, where the policy knows when to.
func (j *judge) loosen(f *fitness, unwell func(*pool.Account) bool) (fate decide.Fate, escapes bool) {
	switch {
	case !j.world.policy.Escape.On():
		return f.fate, false
	case f.reason == decide.None:
		if unwell(f.account) {
			return decide.Keep, true
		}
		return f.fate, false
	case f.until.IsZero():
		return f.fate, false
	}
	_, ttl := j.world.ttls()
	if f.until.Sub(j.now) >= ttl {
		return decide.Drop, false // it would lapse before its account is back
	}
	return decide.Keep, true
}

// unwell tells that the account does badly against its group.
func (j *judge) unwell(a *pool.Account) bool {
	j.gather()
	row := slices.Index(j.view.Ordinals(), int32(a.Ordinal))
	return row >= 0 && decide.Escapes(j.group[row], j.group, j.world.policy)
}

func (j *judge) gather() {
	j.group = room(j.group, j.view.Len())
	j.stats.gatherView(j.view, j.group, j.world.policy, j.now)
}

// verdict joins what the store found with why.
func (j *judge) verdict(layer decide.Layer, found *Binding, took bool) StickyVerdict {
	if found.Account == "" {
		return StickyVerdict{}
	}
	v := j.found[layer]
	v.Account = found.Account
	switch {
	case layer == decide.LayerSession && took && (found.Full || found.Fate != decide.Take):
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
	session, spills := &r.decision.Session, r.bound.SpillSession
	probing := session.Fate == BindingKept && session.Reason == decide.Probing
	return r.judge.escapes || spills && session.Fate == BindingFull || probing && (spills || r.world.policy.Escape.On())
}

// served settles what became of the session's binding once load balancing took.
func (r *run) served() {
	session := &r.decision.Session
	switch {
	case session.Account == "":
	case r.home:
		r.hit(decide.LayerSession)
		r.decision.CandidateCount, r.decision.TopK, r.decision.LoadSkew = 0, 0, 0
		session.Fate, session.Reason, session.Until = BindingHit, decide.None, time.Time{}
	case r.escaping():
		session.Fate = BindingEscaped
	case session.Fate == BindingDropped && r.world.policy.Escape.On():
		session.Fate = BindingRebound
	}
}
