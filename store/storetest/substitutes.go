package storetest

import (
	"usher.internal/core"
	"usher.internal/core/decide"
)

func substituteChecks() []Check {
	return []Check{
		{"substitute/leaves_the_binding_alone", checkSubstituteApart},
		{"substitute/stands_in_for_a_kept_binding", checkSubstituteTakes},
		{"substitute/only_when_fit_and_free", checkSubstituteUnfit},
		{"substitute/only_for_a_kept_binding", checkSubstituteIdle},
		{"substitute/stands_in_for_a_spilled_session", checkSubstituteSpills},
	}
}

// escape binds a session to one account and gives it another as its substitute.
func (r *rig) escape(bound, substitute int) core.BindingKey {
	r.Helper()
	s := r.session()
	r.bind(s, bound, responseTTL)
	take := r.first(substitute)
	take.Session, take.Substitute = s, true
	r.settle(of(r.wantFirst(take, core.FirstTook).Lease, core.SettleFinished))
	return s
}

func checkSubstituteApart(t TB, h *Harness) {
	r := newRig(t, h, 9, 9)
	s := r.escape(0, 1)
	want := core.Binding{Account: "a", Substitute: "b"}
	if got := r.binding(s); got != want {
		r.Errorf("found %+v, want %+v", got, want)
	}
	r.advance(sessionTTL - instant)
	if got := r.binding(s); got != want {
		r.Errorf("found %+v, want %+v", got, want)
	}
	r.advance(instant)
	want.Substitute = ""
	if got := r.binding(s); got != want {
		r.Errorf("found %+v after the substitute's life, want %+v", got, want)
	}
	r.wantLife(s, "a", responseTTL-sessionTTL)
}

func checkSubstituteTakes(t TB, h *Harness) {
	r := newRig(t, h, 9, 9)
	s := r.escape(0, 1)
	r.advance(instant)
	take := r.bound(core.BindingKey{}, s)
	take.Judge, take.DryRun = fates{"a": decide.Keep}, true
	for _, dry := range []bool{true, false} {
		take.DryRun = dry
		out := r.wantBound(take, core.BoundTook)
		if out.Layer != decide.LayerSession || out.Lease.Account != "b" ||
			out.Session != (core.Binding{Account: "a", Substitute: "b"}) {
			r.Errorf("dry run %v answered %+v", dry, out)
		}
	}
	r.wantInUse(1, 1)
	r.advance(sessionTTL - instant)
	if got := r.binding(s); got != (core.Binding{Account: "a"}) {
		r.Errorf("found %+v: the take gave the substitute more life", got)
	}
	r.wantLife(s, "a", responseTTL-sessionTTL)
}

func checkSubstituteUnfit(t TB, h *Harness) {
	r := newRig(t, h, 9, 1)
	s := r.escape(0, 1)
	for _, fate := range []decide.Fate{decide.Keep, decide.Drop} {
		take := r.bound(core.BindingKey{}, s)
		take.Judge = fates{"a": decide.Keep, "b": fate}
		r.wantBound(take, core.BoundNone)
	}
	r.hold(1)
	take := r.bound(core.BindingKey{}, s)
	take.Judge = fates{"a": decide.Keep}
	out := r.wantBound(take, core.BoundNone)
	if want := (core.Binding{Account: "a", Substitute: "b"}); out.Session != want {
		r.Errorf("found %+v, want %+v", out.Session, want)
	}
}

func checkSubstituteIdle(t TB, h *Harness) {
	r := newRig(t, h, 1, 9)
	s := r.escape(0, 1)
	if out := r.wantBound(r.bound(core.BindingKey{}, s), core.BoundTook); out.Lease.Account != "a" {
		r.Errorf("took %q for a session whose account is fit", out.Lease.Account)
	}
	if out := r.wantBound(r.bound(core.BindingKey{}, s), core.BoundFull); out.Lease.Account != "a" {
		r.Errorf("full is %q", out.Lease.Account)
	}
	take := r.bound(core.BindingKey{}, s)
	take.Judge = fates{"a": decide.Drop}
	r.wantBound(take, core.BoundNone)
	r.wantInUse(1, 0)
}

func checkSubstituteSpills(t TB, h *Harness) {
	r := newRig(t, h, 1, 9)
	s := r.escape(0, 1)
	r.hold(0)
	take := r.bound(core.BindingKey{}, s)
	take.SpillSession = true
	out := r.wantBound(take, core.BoundTook)
	if out.Lease.Account != "b" || out.Session.Account != "a" || !out.Session.Full || out.Session.Substitute != "b" {
		r.Errorf("answered %+v", out)
	}
	r.wantInUse(1, 1)
}
