package storetest

import (
	"reflect"

	"usher.internal/core"
	"usher.internal/core/decide"
)

func bindingChecks() []Check {
	return []Check{
		{"binding/take_first_binds_over_any", checkRebind},
		{"binding/ends_exactly_at_its_time", checkBindingEnds},
		{"binding/response_hit", checkResponseHit},
		{"binding/response_full", checkResponseFull},
		{"binding/session_hit", checkSessionHit},
		{"binding/session_full", checkSessionFull},
		{"binding/session_full_spills", checkSpill},
		{"binding/response_alone", checkResponseAlone},
		{"binding/probe", checkBoundProbe},
		{"binding/none_gives_loads", checkNoBinding},
		{"binding/loads_on_request", checkAlwaysLoads},
		{"binding/tenant_cap_comes_first", checkCapFirst},
		{"binding/memory_is_what_lives", checkBindingMemory},
	}
}

func checkRebind(t TB, h *Harness) {
	r := newRig(t, h, 9, 9)
	s := r.session()
	r.bind(s, 0, sessionTTL)
	r.bind(s, 1, responseTTL)
	r.wantLife(s, "b", responseTTL)
	r.bind(s, 0, responseTTL)
	r.bind(s, 1, sessionTTL) // a shorter life stands too
	r.wantLife(s, "b", sessionTTL)
}

func checkBindingEnds(t TB, h *Harness) {
	r := newRig(t, h, 9)
	s := r.session()
	r.bind(s, 0, sessionTTL)
	r.advance(sessionTTL)
	if out := r.wantBound(r.bound(core.BindingKey{}, s), core.BoundNone); out.Session != (core.Binding{}) {
		r.Errorf("found %+v", out.Session)
	}
	if out := r.wantBound(r.bound(s, core.BindingKey{}), core.BoundNone); out.Response != (core.Binding{}) {
		r.Errorf("found %+v", out.Response)
	}
}

func checkResponseHit(t TB, h *Harness) {
	r := newRig(t, h, 1, 1)
	response, s := r.session(), r.session()
	r.bind(response, 0, responseTTL)
	r.bind(s, 1, sessionTTL)
	r.advance(responseTTL - instant)
	out := r.wantBound(r.bound(response, s), core.BoundTook)
	if out.Layer != decide.LayerResponse || out.Lease.Account != "a" || out.Response.Account != "a" ||
		out.Response.Fate != decide.Take || out.Response.Full || out.Session != (core.Binding{}) {
		r.Errorf("answered %+v", out)
	}
	r.wantInUse(0, 1)
	r.advance(sessionTTL - instant)
	r.wantBinding(s, "a")
	r.advance(instant)
	r.wantBinding(s, "")
	r.wantLife(response, "a", responseTTL-sessionTTL)
}

func checkResponseFull(t TB, h *Harness) {
	r := newRig(t, h, 1, 1)
	response, s := r.session(), r.session()
	r.bind(response, 0, responseTTL)
	r.bind(s, 1, sessionTTL)
	r.advance(instant)
	r.hold(0)
	r.join(0, 2)
	out := r.wantBound(r.bound(response, s), core.BoundFull)
	if out.Layer != decide.LayerResponse || out.Lease.Account != "a" || out.Waiting != 2 ||
		out.Response.Account != "a" || !out.Response.Full || out.Session != (core.Binding{}) {
		r.Errorf("answered %+v", out)
	}
	r.wantInUse(0, 1)
	r.wantInUse(1, 0)
	r.advance(sessionTTL - instant)
	r.wantBinding(s, "a") // bound anew, with a whole life
	r.advance(instant)
	r.wantBinding(s, "")
	r.wantLife(response, "a", responseTTL-sessionTTL-instant) // as it was
}

func checkSessionHit(t TB, h *Harness) {
	r := newRig(t, h, 1)
	response, s := r.session(), r.session()
	r.bind(s, 0, sessionTTL)
	r.advance(sessionTTL - instant)
	out := r.wantBound(r.bound(response, s), core.BoundTook)
	if out.Layer != decide.LayerSession || out.Lease.Account != "a" || out.Session.Account != "a" ||
		out.Session.Fate != decide.Take || out.Session.Full || out.Response != (core.Binding{}) {
		r.Errorf("answered %+v", out)
	}
	r.wantInUse(0, 1)
	r.wantBinding(response, "")
	r.wantLife(s, "a", sessionTTL)
}

func checkSessionFull(t TB, h *Harness) {
	r := newRig(t, h, 1)
	s := r.session()
	r.bind(s, 0, sessionTTL)
	r.advance(instant)
	r.hold(0)
	r.join(0, 1)
	out := r.wantBound(r.bound(core.BindingKey{}, s), core.BoundFull)
	if out.Layer != decide.LayerSession || out.Lease.Account != "a" || out.Waiting != 1 ||
		out.Session.Account != "a" || !out.Session.Full {
		r.Errorf("answered %+v", out)
	}
	r.wantInUse(0, 1)
	r.wantLife(s, "a", sessionTTL-instant)
}

func checkSpill(t TB, h *Harness) {
	r := newRig(t, h, 1, 2)
	s := r.session()
	r.bind(s, 0, sessionTTL)
	r.hold(0)
	take := r.bound(core.BindingKey{}, s)
	take.SpillSession = true
	take.Ordinals, take.Loads = []int32{1, 0}, make([]decide.Load, 2)
	out := r.wantBound(take, core.BoundNone)
	if out.Session.Account != "a" || !out.Session.Full || out.Session.Fate != decide.Take {
		r.Errorf("answered %+v", out)
	}
	if want := []decide.Load{{}, {InUse: 1, Rate: 100}}; !reflect.DeepEqual(take.Loads, want) {
		r.Errorf("loads are %+v, want %+v", take.Loads, want)
	}
	r.wantLife(s, "a", sessionTTL)
}

func checkBoundProbe(t TB, h *Harness) {
	r := newRig(t, h, 9, 9)
	s := r.session()
	r.bind(s, 0, sessionTTL)
	take := func(want core.BoundStatus) core.BoundTaken {
		b := r.bound(core.BindingKey{}, s)
		b.Judge = fates{"a": decide.Probe}
		return r.wantBound(b, want)
	}
	probe := take(core.BoundTook)
	r.wantProbing(true, false)
	if out := take(core.BoundNone); out.Session.Fate != decide.Keep {
		r.Errorf("a second probe was answered %+v", out)
	}
	r.settle(of(probe.Lease, core.SettleFinished))
	take(core.BoundTook)
	r.wantProbing(true, false)
	r.wantInUse(1, 0)
}

func checkResponseAlone(t TB, h *Harness) {
	r := newRig(t, h, 1, 2)
	response, session := r.session(), r.session()
	r.bind(response, 0, sessionTTL)
	r.bind(session, 1, sessionTTL)
	take := r.bound(response, session)
	take.Judge, take.ResponseAlone = fates{"a": decide.Keep}, true
	out := r.wantBound(take, core.BoundNone)
	if out.Response != (core.Binding{Account: "a"}) || out.Session != (core.Binding{}) {
		r.Errorf("answered %+v", out)
	}
	take = r.bound(r.session(), session)
	take.ResponseAlone = true
	if out := r.wantBound(take, core.BoundTook); out.Lease.Account != "b" {
		r.Errorf("without a response binding it took %q", out.Lease.Account)
	}
}

func checkNoBinding(t TB, h *Harness) {
	r := newRig(t, h, 2)
	r.hold(0)
	take := r.bound(r.session(), r.session())
	take.Ordinals, take.Loads = []int32{0}, make([]decide.Load, 1)
	out := r.wantBound(take, core.BoundNone)
	if out.Response != (core.Binding{}) || out.Session != (core.Binding{}) || out.Lease != (core.Lease{}) {
		r.Errorf("answered %+v", out)
	}
	if want := (decide.Load{InUse: 1, Rate: 50}); take.Loads[0] != want {
		r.Errorf("load is %+v, want %+v", take.Loads[0], want)
	}
	r.wantInUse(0, 1)
}

func checkAlwaysLoads(t TB, h *Harness) {
	r := newRig(t, h, 2)
	s := r.session()
	r.bind(s, 0, sessionTTL)
	take := r.bound(core.BindingKey{}, s)
	take.AlwaysLoads = true
	take.Ordinals, take.Loads = []int32{0}, make([]decide.Load, 1)
	r.wantBound(take, core.BoundTook)
	if want := (decide.Load{InUse: 1, Rate: 50}); take.Loads[0] != want {
		r.Errorf("load is %+v, want %+v", take.Loads[0], want)
	}
}

func checkCapFirst(t TB, h *Harness) {
	r := newRig(t, h, 9, 9)
	response, s := r.session(), r.session()
	r.bind(response, 0, responseTTL)
	r.bind(s, 1, sessionTTL)
	r.hold(0)
	r.advance(instant)
	take := r.bound(response, s)
	take.Grant.TenantCap, take.Judge = 1, fates{"": decide.Drop}
	r.wantBound(take, core.BoundTenantFull)
	take.Judge = fates{}
	r.wantBound(take, core.BoundTenantFull)
	r.wantInUse(0, 1)
	r.advance(sessionTTL - 2*instant)
	r.wantBinding(s, "b")
	r.advance(instant)
	r.wantBinding(s, "")
	r.wantLife(response, "a", responseTTL-sessionTTL)
}

func checkBindingMemory(t TB, h *Harness) {
	r := newRig(t, h, 9)
	for i := range 50 {
		take := r.first(0)
		take.Session, take.Substitute = r.session(), i%5 == 0
		if i%2 == 0 {
			take.SessionTTL *= 2
		}
		r.settle(of(r.wantFirst(take, core.FirstTook).Lease, core.SettleFinished))
	}
	for _, row := range []struct{ left int }{{50}, {25}, {0}} {
		if u := r.usage(""); u.Bindings != row.left && u.Bindings != core.NotCounted {
			r.Errorf("%d bindings, want %d", u.Bindings, row.left)
		}
		r.advance(sessionTTL)
		r.sweep(7)
	}
}
