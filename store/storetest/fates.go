package storetest

import (
	"usher.internal/core"
	"usher.internal/core/decide"
)

func fateChecks() []Check {
	return []Check{
		{"fate/drop_removes_the_binding", checkDrop},
		{"fate/keep_leaves_the_binding", checkKeep},
		{"fate/next_layer_decides", checkNextLayer},
		{"fate/judged_for_its_layer", checkJudged},
		{"fate/unknown_account_is_kept_not_taken", checkUnlisted},
		{"fate/taken_elsewhere_binds_anew", checkBindAnew},
	}
}

func checkDrop(t TB, h *Harness) {
	r := newRig(t, h, 9, 9)
	response, s := r.session(), r.session()
	r.bind(response, 0, responseTTL)
	r.bind(s, 1, sessionTTL)
	take := r.bound(response, s)
	take.Judge = fates{"": decide.Drop}
	out := r.wantBound(take, core.BoundNone)
	want := core.Binding{Account: "a", Fate: decide.Drop}
	if out.Response != want {
		r.Errorf("response answered %+v, want %+v", out.Response, want)
	}
	want.Account = "b"
	if out.Session != want {
		r.Errorf("session answered %+v, want %+v", out.Session, want)
	}
	r.wantBinding(response, "")
	r.wantBinding(s, "")
	r.wantInUse(0, 0)
}

func checkKeep(t TB, h *Harness) {
	r := newRig(t, h, 9, 9)
	response, s := r.session(), r.session()
	r.bind(response, 0, responseTTL)
	r.bind(s, 1, sessionTTL)
	r.advance(instant)
	take := r.bound(response, s)
	take.Judge = fates{"": decide.Keep}
	out := r.wantBound(take, core.BoundNone)
	if out.Response != (core.Binding{Account: "a"}) || out.Session != (core.Binding{Account: "b"}) {
		r.Errorf("answered %+v", out)
	}
	r.advance(sessionTTL - 2*instant)
	r.wantBinding(s, "b")
	r.advance(instant)
	r.wantBinding(s, "") // its life is as it was
	r.wantLife(response, "a", responseTTL-sessionTTL)
}

func checkNextLayer(t TB, h *Harness) {
	for _, fate := range []decide.Fate{decide.Keep, decide.Drop} {
		r := newRig(t, h, 9, 9)
		response, s := r.session(), r.session()
		r.bind(response, 0, responseTTL)
		r.bind(s, 1, sessionTTL)
		take := r.bound(response, s)
		take.Judge = fates{"a": fate}
		out := r.wantBound(take, core.BoundTook)
		if out.Layer != decide.LayerSession || out.Lease.Account != "b" || out.Response.Account != "a" || out.Response.Fate != fate {
			r.Errorf("answered %+v", out)
		}
		if fate == decide.Drop {
			r.wantBinding(response, "")
		} else {
			r.wantBinding(response, "a")
		}
		r.wantBinding(s, "b")
	}
}

// byLayer judges each layer on its own.
type byLayer map[decide.Layer]decide.Fate

// Judge implements core.Judge.
func (f byLayer) Judge(layer decide.Layer, _ string) decide.Fate { return f[layer] }

// Fates implements core.Judge.
func (f byLayer) Fates(accounts []string, out []core.Fates) { judgeAll(f, accounts, out) }

// Standing implements core.Judge.
func (f byLayer) Standing() (core.Standing, bool) { return core.Standing{}, false }

// judgeAll fills fates by a judge whose verdicts do not depend on each other.
func judgeAll(j core.Judge, accounts []string, out []core.Fates) {
	for i, account := range accounts {
		session := j.Judge(decide.LayerSession, account)
		out[i] = core.Fates{Response: j.Judge(decide.LayerResponse, account), Session: session, Substitute: session}
	}
}

func checkJudged(t TB, h *Harness) {
	r := newRig(t, h, 9)
	s := r.session()
	r.bind(s, 0, sessionTTL)
	take := r.bound(s, s)
	take.Judge = byLayer{decide.LayerResponse: decide.Keep, decide.LayerSession: decide.Take}
	if out := r.wantBound(take, core.BoundTook); out.Layer != decide.LayerSession {
		r.Errorf("layer %v took", out.Layer)
	}
	take = r.bound(s, s)
	take.Judge = byLayer{decide.LayerResponse: decide.Take, decide.LayerSession: decide.Drop}
	if out := r.wantBound(take, core.BoundTook); out.Layer != decide.LayerResponse {
		r.Errorf("layer %v took", out.Layer)
	}
	r.wantBinding(s, "a")
}

func checkUnlisted(t TB, h *Harness) {
	r := newRig(t, h, 9)
	s := r.session()
	l := core.Lease{ID: r.fresh(), Account: "nobody", GrantedAt: r.now()}
	e := of(l, core.SettleFinished)
	e.Bind, e.BindTTL = s, sessionTTL
	r.wantSettled(e, core.EventExpired)
	out := r.wantBound(r.bound(s, s), core.BoundNone)
	want := core.Binding{Account: "nobody"}
	if out.Response != want || out.Session != want {
		r.Errorf("answered %+v", out)
	}
	take := r.bound(s, s)
	take.Judge = fates{"": decide.Drop}
	r.wantBound(take, core.BoundNone)
	r.wantBinding(s, "")
}

func checkBindAnew(t TB, h *Harness) {
	r := newRig(t, h, 1, 9)
	s := r.session()
	r.bind(s, 0, sessionTTL)
	r.hold(0)
	r.advance(instant)
	take := r.bound(core.BindingKey{}, s)
	take.SpillSession = true
	r.wantBound(take, core.BoundNone)
	first := r.first(0, 1)
	first.Session = s
	if out := r.wantFirst(first, core.FirstTook); out.Lease.Account != "b" {
		r.Errorf("took %q", out.Lease.Account)
	}
	r.wantLife(s, "b", sessionTTL)
}

// fates judges by account, "" being every other; Take for those not named.
type fates map[string]decide.Fate

// Judge implements core.Judge.
func (f fates) Judge(_ decide.Layer, account string) decide.Fate {
	if fate, ok := f[account]; ok {
		return fate
	}
	if fate, ok := f[""]; ok {
		return fate
	}
	return decide.Take
}

// Fates implements core.Judge.
func (f fates) Fates(accounts []string, out []core.Fates) { judgeAll(f, accounts, out) }

// Standing implements core.Judge.
func (f fates) Standing() (core.Standing, bool) { return core.Standing{}, false }
