package storetest

import "usher.internal/core"

func repeatChecks() []Check {
	return []Check{
		{"repeat/same_lease_id_takes_one_slot", checkSameLease},
		{"repeat/same_lease_id_takes_one_slot_of_the_bound", checkSameBound},
		{"repeat/released_lease_id_takes_nothing", checkReleasedLease},
		{"repeat/request_id_finds_its_lease", checkRequest},
		{"repeat/request_id_is_released_with_its_lease", checkRequestReleased},
		{"repeat/request_id_of_an_expired_lease_takes_anew", checkRequestExpired},
		{"repeat/release_before_the_take", checkReleaseFirst},
		{"repeat/release_by_request_id", checkReleaseByRequest},
		{"repeat/withdrawn_takes_back_one_handing_out", checkWithdrawn},
	}
}

func checkSameLease(t TB, h *Harness) {
	r := newRig(t, h, 2, 2)
	take := r.first(0, 1)
	take.Session = r.session()
	once := r.wantFirst(take, core.FirstTook)
	again := r.wantFirst(take, core.FirstTook)
	if !sameLease(once.Lease, again.Lease) || once.Index != again.Index {
		r.Errorf("took %+v, then %+v", once, again)
	}
	r.wantInUse(0, 1)
	r.wantInUse(1, 0)
	take.Grant.Request = r.request()
	take.Grant.ID = r.fresh()
	once = r.wantFirst(take, core.FirstTook)
	if again = r.wantFirst(take, core.FirstTook); !sameLease(once.Lease, again.Lease) {
		r.Errorf("with a request id took %+v, then %+v", once, again)
	}
	r.wantInUse(0, 2)
}

func checkSameBound(t TB, h *Harness) {
	r := newRig(t, h, 2)
	s := r.session()
	r.bind(s, 0, sessionTTL)
	take := r.bound(s, core.BindingKey{})
	once := r.wantBound(take, core.BoundTook)
	again := r.wantBound(take, core.BoundTook)
	if !sameLease(once.Lease, again.Lease) || once.Layer != again.Layer {
		r.Errorf("took %+v, then %+v", once, again)
	}
	r.wantInUse(0, 1)
}

func checkReleasedLease(t TB, h *Harness) {
	r := newRig(t, h, 2)
	take := r.first(0)
	r.settle(of(r.wantFirst(take, core.FirstTook).Lease, core.SettleFinished))
	r.wantFirst(take, core.FirstReleased)
	bound := r.bound(core.BindingKey{}, core.BindingKey{})
	bound.Grant = take.Grant
	r.wantBound(bound, core.BoundReleased)
	r.wantInUse(0, 0)
}

func checkRequest(t TB, h *Harness) {
	r := newRig(t, h, 9)
	s := r.session()
	take := r.first(0)
	take.Grant.Request, take.Session = r.request(), s
	lease := r.wantFirst(take, core.FirstTook).Lease
	take.Grant.ID = r.fresh()
	if got := r.wantFirst(take, core.FirstRepeated); !sameLease(got.Lease, lease) {
		r.Errorf("found %+v, want %+v", got.Lease, lease)
	}
	r.advance(instant)
	bound := r.bound(s, s)
	bound.Grant.Request = take.Grant.Request
	got := r.wantBound(bound, core.BoundRepeated)
	if !sameLease(got.Lease, lease) || got.Response != (core.Binding{}) || got.Session != (core.Binding{}) {
		r.Errorf("found %+v, want %+v", got, lease)
	}
	r.wantInUse(0, 1)
	take.Grant.ID, take.Grant.Request = r.fresh(), r.request()
	take.Session = core.BindingKey{}
	r.wantFirst(take, core.FirstTook)
	r.wantInUse(0, 2)
	r.wantLife(s, "a", sessionTTL-instant) // a repeated take renews nothing
}

func checkRequestReleased(t TB, h *Harness) {
	for _, kind := range []core.SettleKind{core.SettleFinished, core.SettleUnused} {
		r := newRig(t, h, 9)
		take := r.first(0)
		take.Grant.Request = r.request()
		r.settle(of(r.wantFirst(take, core.FirstTook).Lease, kind))
		r.wantReleased(take)
		r.advance(h.markTTL() - instant)
		r.wantReleased(take)
		r.advance(instant)
		take.Grant.ID = r.fresh()
		r.wantFirst(take, core.FirstTook)
	}
}

// wantReleased expects neither kind of take to take for a request id.
func (r *rig) wantReleased(take *core.FirstTake) {
	r.Helper()
	take.Grant.ID = r.fresh()
	r.wantFirst(take, core.FirstReleased)
	bound := r.bound(core.BindingKey{}, core.BindingKey{})
	bound.Grant.Request = take.Grant.Request
	r.wantBound(bound, core.BoundReleased)
	r.wantInUse(0, 0)
}

func checkRequestExpired(t TB, h *Harness) {
	r := newRig(t, h, 1)
	take := r.first(0)
	take.Grant.Request = r.request()
	r.wantFirst(take, core.FirstTook)
	r.advance(leaseTTL)
	take.Grant.ID = r.fresh()
	r.wantFirst(take, core.FirstTook)
	r.wantInUse(0, 1)
}

func checkReleaseFirst(t TB, h *Harness) {
	r := newRig(t, h, 9)
	take := r.first(0)
	take.Grant.Request = r.request()
	release := core.Settlement{Kind: core.SettleUnused, Request: take.Grant.Request}
	r.wantSettled(release, core.EventReleaseRecorded)
	r.wantSettled(release, core.EventAlreadyReleased)
	r.wantReleased(take)
	r.advance(h.markTTL() - instant)
	r.wantReleased(take)
	r.advance(instant)
	take.Grant.ID = r.fresh()
	r.wantFirst(take, core.FirstTook)
}

func checkReleaseByRequest(t TB, h *Harness) {
	r := newRig(t, h, 1)
	take := r.first(0)
	take.Grant.Request = r.request()
	lease := r.wantFirst(take, core.FirstTook).Lease
	release := core.Settlement{Kind: core.SettleUnused, Request: take.Grant.Request}
	if got := r.wantSettled(release, core.EventApplied); got.Account != "a" {
		r.Errorf("released %+v", got)
	}
	r.wantInUse(0, 0)
	r.wantSettled(release, core.EventAlreadyReleased)
	r.wantSettled(of(lease, core.SettleFinished), core.EventAlreadyReleased)
	r.wantReleased(take)
}

func checkWithdrawn(t TB, h *Harness) {
	r := newRig(t, h, 1)
	take := r.first(0)
	take.Grant.Request = r.request()
	lease := r.wantFirst(take, core.FirstTook).Lease
	take.Grant.ID = r.fresh()
	r.wantFirst(take, core.FirstRepeated)
	bound := r.bound(core.BindingKey{}, core.BindingKey{})
	bound.Grant.Request = take.Grant.Request
	r.wantBound(bound, core.BoundRepeated)
	for range 2 { // of three that were answered with it
		r.wantSettled(of(lease, core.SettleWithdrawn), core.EventApplied)
		r.wantInUse(0, 1)
	}
	r.wantSettled(of(lease, core.SettleWithdrawn), core.EventApplied)
	r.wantInUse(0, 0)
	r.wantSettled(of(lease, core.SettleFinished), core.EventAlreadyReleased)
	r.wantFirst(take, core.FirstTook) // the request id may take anew
	r.wantInUse(0, 1)
}
