package storetest

import (
	"reflect"

	"usher.internal/core"
	"usher.internal/core/decide"
)

func dryChecks() []Check {
	return []Check{
		{"dry/looks_without_taking", checkDryTake},
		{"dry/renews_and_binds_nothing", checkDryBindings},
		{"dry/drops_nothing", checkDryDrop},
		{"dry/hands_out_nothing", checkDryRepeat},
		{"dry/answers_as_it_would_be", checkDryAnswers},
	}
}

func checkDryTake(t TB, h *Harness) {
	r := newRig(t, h, 1)
	s := r.session()
	r.bind(s, 0, sessionTTL)
	for range 3 {
		take := r.bound(core.BindingKey{}, s)
		take.DryRun = true
		take.Grant.Request = r.request()
		out := r.wantBound(take, core.BoundTook)
		if out.Layer != decide.LayerSession || out.Lease.Account != "a" || out.Session.Fate != decide.Take {
			r.Errorf("answered %+v", out)
		}
		r.wantInUse(0, 0)
		take.DryRun = false // neither the lease id nor the request id is known from it
		l := r.wantBound(take, core.BoundTook).Lease
		r.settle(of(l, core.SettleFinished))
	}
	if u := r.usage(""); u.Leases != 0 {
		r.Errorf("usage is %+v", u)
	}
}

func checkDryBindings(t TB, h *Harness) {
	r := newRig(t, h, 1, 1)
	response, s := r.session(), r.session()
	r.bind(response, 0, responseTTL)
	r.bind(s, 1, sessionTTL)
	r.advance(instant)
	dry := func(want core.BoundStatus) {
		r.Helper()
		for _, response := range []core.BindingKey{response, {}} {
			take := r.bound(response, s)
			take.DryRun = true
			r.wantBound(take, want)
		}
	}
	dry(core.BoundTook)
	r.wantBinding(s, "b")
	held := []core.Lease{r.hold(0), r.hold(1)}
	dry(core.BoundFull)
	r.wantBinding(s, "b")
	r.settle(of(held[0], core.SettleFinished), of(held[1], core.SettleFinished))
	r.advance(sessionTTL - 2*instant)
	r.wantBinding(s, "b")
	r.advance(instant)
	r.wantBinding(s, "")
	r.wantLife(response, "a", responseTTL-sessionTTL)
}

func checkDryDrop(t TB, h *Harness) {
	r := newRig(t, h, 9, 9)
	response, s := r.session(), r.session()
	r.bind(response, 0, responseTTL)
	r.bind(s, 1, sessionTTL)
	take := r.bound(response, s)
	take.DryRun, take.Judge = true, fates{"": decide.Drop}
	out := r.wantBound(take, core.BoundNone)
	if out.Response.Fate != decide.Drop || out.Session.Fate != decide.Drop {
		r.Errorf("answered %+v", out)
	}
	r.wantBinding(response, "a")
	r.wantBinding(s, "b")
}

func checkDryRepeat(t TB, h *Harness) {
	r := newRig(t, h, 1)
	take := r.first(0)
	take.Grant.Request = r.request()
	lease := r.wantFirst(take, core.FirstTook).Lease
	dry := r.bound(core.BindingKey{}, core.BindingKey{})
	dry.Grant.Request, dry.DryRun = take.Grant.Request, true
	if out := r.wantBound(dry, core.BoundRepeated); !sameLease(out.Lease, lease) {
		r.Errorf("found %+v, want %+v", out.Lease, lease)
	}
	r.wantSettled(of(lease, core.SettleWithdrawn), core.EventApplied)
	r.wantInUse(0, 0) // the dry run was no handing out
	r.wantFirst(take, core.FirstReleased)
	take.Grant.ID = r.fresh()
	r.settle(of(r.wantFirst(take, core.FirstTook).Lease, core.SettleFinished))
	r.wantBound(dry, core.BoundReleased)
}

func checkDryAnswers(t TB, h *Harness) {
	r := newRig(t, h, 1)
	s := r.session()
	r.bind(s, 0, sessionTTL)
	r.hold(0)
	take := r.bound(core.BindingKey{}, s)
	take.DryRun = true
	take.Ordinals, take.Loads = []int32{0}, make([]decide.Load, 1)
	if out := r.wantBound(take, core.BoundFull); out.Lease.Account != "a" || !out.Session.Full {
		r.Errorf("answered %+v", out)
	}
	take.SpillSession = true
	r.wantBound(take, core.BoundNone)
	if want := []decide.Load{{InUse: 1, Rate: 100}}; !reflect.DeepEqual(take.Loads, want) {
		r.Errorf("loads are %+v, want %+v", take.Loads, want)
	}
	take.Grant.TenantCap = 1
	r.wantBound(take, core.BoundTenantFull)
}
