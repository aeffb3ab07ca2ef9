package storetest

import (
	"time"

	"usher.internal/core"
)

func ownerChecks() []Check {
	return []Check{
		{"owner/leases_of_all_incarnations_and_of_nobody_else", checkLeasesOf},
		{"owner/leases_of_leaves_out_what_ended", checkLeasesOfEnded},
		{"owner/end_frees_once_and_a_finish_counts_once", checkEnd},
		{"owner/end_answers_what_it_ended", checkEndAnswers},
		{"owner/end_lets_the_request_id_take_anew", checkEndRequest},
		{"owner/sweep_does_not_tell_of_an_end", checkEndSwept},
		{"owner/renewal_tells_how_it_ended", checkEndTold},
		{"owner/adopt_takes_up_what_is_not_known", checkAdopt},
		{"owner/adopt_goes_over_the_limit", checkAdoptOver},
		{"owner/adopt_takes_nothing_that_left_a_mark", checkAdoptEnded},
		{"owner/adopt_takes_up_what_has_reported", checkAdoptReported},
		{"owner/adopt_twice_takes_one_slot", checkAdoptTwice},
		{"owner/adopt_renews_what_lives", checkAdoptLiving},
		{"owner/adopt_of_what_has_some_life_left_renews_nothing", checkAdoptLeft},
		{"owner/adopt_of_a_grant_in_the_future", checkAdoptFuture},
		{"owner/max_age_bounds_a_lease_that_is_taken_up", checkAdoptAge},
		{"expiry/renew_gives_its_own_life_again", checkRenewOwn},
		{"expiry/max_age_bounds_renewals", checkMaxAge},
		{"expiry/max_age_that_has_passed_ends", checkMaxAgePassed},
	}
}

var gateway = core.Owner{Name: "gateway", Incarnation: "1"}

// holdFor takes a lease for an owner.
func (r *rig) holdFor(owner core.Owner, ordinal int) core.Lease {
	r.Helper()
	take := r.first(ordinal)
	take.Grant.Owner, take.Grant.Tenant, take.Grant.Group, take.Grant.Model = owner, "tenant", "group", "model"
	return r.wantFirst(take, core.FirstTook).Lease
}

// wantHeld expects the leases of an owner's name, in any order.
func (r *rig) wantHeld(name string, want ...core.Lease) {
	r.Helper()
	held, err := r.LeasesOf(r.ctx, name)
	r.must(err)
	if len(held) != len(want) {
		r.stop("%q holds %d leases, want %d", name, len(held), len(want))
	}
	for _, w := range want {
		found := false
		for _, l := range held {
			found = found || sameLease(l, w)
		}
		if !found {
			r.stop("%q holds %+v, want %+v", name, held, w)
		}
	}
}

func (r *rig) end(how core.LeaseEnd, leases ...core.Lease) []core.Lease {
	r.Helper()
	ids := make([]core.LeaseID, len(leases))
	for i := range leases {
		ids[i] = leases[i].ID
	}
	ended, err := r.End(r.ctx, ids, how)
	r.must(err)
	return ended
}

// lost gives a lease that the store does not know.
func (r *rig) lost(ordinal int) core.Lease {
	r.Helper()
	return core.Lease{
		ID: r.fresh(), Account: r.account(ordinal), Owner: gateway,
		Tenant: "tenant", Group: "group", Model: "model", GrantedAt: r.now().Add(-time.Hour),
	}
}

func (r *rig) adopt(l core.Lease, maxAge time.Duration) core.Adopted {
	r.Helper()
	results := make([]core.Adopted, 1)
	r.must(r.Adopt(r.ctx, []core.Adoption{{Lease: l, TTL: leaseTTL, MaxAge: maxAge}}, results))
	return results[0]
}

func (r *rig) wantAdopted(l core.Lease, want core.EventStatus, taken bool) core.Adopted {
	r.Helper()
	got := r.adopt(l, 0)
	if got.Status != want || got.Taken != taken {
		r.stop("adopted as %+v, want status %d, taken %v", got, want, taken)
	}
	return got
}

func checkLeasesOf(t TB, h *Harness) {
	r := newRig(t, h, 9, 9)
	r.wantHeld(gateway.Name)
	later := core.Owner{Name: gateway.Name, Incarnation: "2"}
	one, two, three := r.holdFor(gateway, 0), r.holdFor(gateway, 1), r.holdFor(later, 0)
	other := r.holdFor(core.Owner{Name: "gateway2", Incarnation: "1"}, 0)
	r.holdFor(core.Owner{}, 0)
	r.wantHeld(gateway.Name, one, two, three)
	r.wantHeld("gateway2", other)
	r.wantHeld("")
	r.wantHeld("nobody")
}

func checkLeasesOfEnded(t TB, h *Harness) {
	r := newRig(t, h, 9)
	first, second, third := r.holdFor(gateway, 0), r.holdFor(gateway, 0), r.holdFor(gateway, 0)
	r.settle(of(second, core.SettleFinished))
	r.wantHeld(gateway.Name, first, third)
	r.settle(of(third, core.SettleWithdrawn))
	r.wantHeld(gateway.Name, first)
	r.advance(leaseTTL)
	r.wantHeld(gateway.Name)
	again := r.holdFor(gateway, 0)
	r.wantHeld(gateway.Name, again)
	r.end(core.LeaseEndOperator, again)
	r.wantHeld(gateway.Name)
}

func checkEnd(t TB, h *Harness) {
	r := newRig(t, h, 2)
	l, other := r.holdFor(gateway, 0), r.holdFor(gateway, 0)
	signals := r.listen()
	if ended := r.end(core.LeaseEndOwnerSilent, l); len(ended) != 1 || !sameLease(ended[0], l) {
		r.Errorf("ended %+v, want %+v", ended, l)
	}
	r.wantInUse(0, 1)
	r.wantSignal(signals, core.SignalEnded, "a")
	if u := r.usage("tenant"); u.Leases != 1 || u.TenantLeases != 1 {
		r.Errorf("usage is %+v", u)
	}
	r.settle(of(other, core.SettleFinished))
	r.wantLate(l)
}

func checkEndAnswers(t TB, h *Harness) {
	r := newRig(t, h, 9)
	released, expired := r.holdFor(gateway, 0), r.holdFor(gateway, 0)
	r.settle(of(released, core.SettleUnused))
	r.advance(leaseTTL)
	lives := r.holdFor(gateway, 0)
	unknown := core.Lease{ID: r.fresh()}
	if ended := r.end(core.LeaseEndReplaced, released, lives, expired, unknown, lives); len(ended) != 1 || !sameLease(ended[0], lives) {
		r.Errorf("ended %+v, want %+v", ended, lives)
	}
	if ended := r.end(core.LeaseEndReplaced, released, lives, expired, unknown); len(ended) != 0 {
		r.Errorf("ended %+v again", ended)
	}
	if ended := r.end(core.LeaseEndReplaced); len(ended) != 0 {
		r.Errorf("ended %+v of none", ended)
	}
	r.wantInUse(0, 0)
	r.wantSettled(of(released, core.SettleFinished), core.EventAlreadyReleased)
}

func checkEndRequest(t TB, h *Harness) {
	r := newRig(t, h, 9)
	take := r.first(0)
	take.Grant.Request = r.request()
	r.end(core.LeaseEndForgotten, r.wantFirst(take, core.FirstTook).Lease)
	take.Grant.ID = r.fresh()
	r.wantFirst(take, core.FirstTook)
	r.wantInUse(0, 1)
}

func checkEndSwept(t TB, h *Harness) {
	r := newRig(t, h, 9)
	r.end(core.LeaseEndForgotten, r.hold(0), r.hold(0))
	if got := r.sweep(100); len(got) != 0 {
		r.Errorf("swept %+v", got)
	}
	r.advance(leaseTTL)
	if got := r.sweep(100); len(got) != 0 {
		r.Errorf("swept %+v", got)
	}
}

func checkEndTold(t TB, h *Harness) {
	r := newRig(t, h, 9)
	expired := r.hold(0)
	r.advance(leaseTTL)
	rows := map[core.LeaseEnd]core.Lease{core.LeaseEndExpired: expired}
	for _, how := range []core.LeaseEnd{
		core.LeaseEndOwnerSilent, core.LeaseEndForgotten, core.LeaseEndReplaced, core.LeaseEndOperator,
	} {
		rows[how] = r.hold(0)
		r.end(how, rows[how])
	}
	for how, l := range rows {
		if got := r.renew(l, leaseTTL); got.Status != core.EventExpired || got.End != how {
			r.Errorf("renewed as %+v, want %v", got, how)
		}
		if got := r.wantAdopted(l, core.EventExpired, false); got.End != how {
			r.Errorf("adopted as %+v, want %v", got, how)
		}
	}
}

func checkAdopt(t TB, h *Harness) {
	r := newRig(t, h, 2)
	l := r.lost(0)
	got := r.wantAdopted(l, core.EventApplied, true)
	if now := r.now(); !got.ExpiresAt.Equal(now.Add(leaseTTL)) || got.Overcommitted {
		r.Errorf("adopted as %+v at %v", got, now)
	}
	l.ExpiresAt = got.ExpiresAt
	r.wantHeld(gateway.Name, l)
	r.wantInUse(0, 1)
	if u := r.usage("tenant"); u.TenantLeases != 1 {
		r.Errorf("usage is %+v", u)
	}
	s := r.session()
	if got := r.wantSettled(r.loaded(l, core.SettleFinished, s), core.EventApplied); !got.Bound || !got.SampleCounts {
		r.Errorf("settled as %+v", got)
	}
	r.wantSettled(of(l, core.SettleFinished), core.EventAlreadyReleased)
	r.wantInUse(0, 0)
	r.wantAdopted(r.lost(0), core.EventApplied, true)
	r.advance(leaseTTL)
	r.wantInUse(0, 0)
	nowhere := r.lost(0)
	nowhere.Account = "not in the roster"
	r.wantAdopted(nowhere, core.EventApplied, true)
	r.wantSettled(of(nowhere, core.SettleUnused), core.EventApplied)
}

// What a lease that is not known reports before it is taken up, other than its end, neither ends it nor counts again.
func checkAdoptReported(t TB, h *Harness) {
	r := newRig(t, h, 2)
	l := r.lost(0)
	l.GrantedAt = r.now()
	s := r.session()
	if got := r.settle(r.loaded(l, core.SettleFirstToken, s))[0]; !got.SampleCounts {
		r.Errorf("settled as %+v", got)
	}
	r.wantSettled(of(l, core.SettleSwitched), core.EventExpired)
	r.wantAdopted(l, core.EventApplied, true)
	r.wantAdopted(l, core.EventApplied, false)
	r.wantInUse(0, 1)
	r.wantSettled(of(l, core.SettleFirstToken), core.EventAlreadyApplied)
	r.wantSettled(of(l, core.SettleSwitched), core.EventAlreadyApplied)
	if got := r.wantSettled(r.loaded(l, core.SettleFinished, s), core.EventApplied); got.SampleCounts {
		r.Errorf("counted twice: %+v", got)
	}
	r.wantInUse(0, 0)
	r.wantAdopted(l, core.EventAlreadyReleased, false)
	over := r.lost(0)
	over.GrantedAt = r.now()
	r.wantSettled(of(over, core.SettleFinished), core.EventExpired)
	r.wantAdopted(over, core.EventExpired, false)
}

func checkAdoptOver(t TB, h *Harness) {
	r := newRig(t, h, 1)
	held := r.hold(0)
	up := r.lost(0)
	if got := r.wantAdopted(up, core.EventApplied, true); !got.Overcommitted {
		r.Errorf("adopted as %+v", got)
	}
	r.wantInUse(0, 2)
	r.wantFirst(r.first(0), core.FirstNone)
	r.settle(of(held, core.SettleFinished))
	r.wantFirst(r.first(0), core.FirstNone)
	r.settle(of(up, core.SettleFinished))
	r.hold(0)
}

func checkAdoptEnded(t TB, h *Harness) {
	r := newRig(t, h, 9)
	released, unused := r.holdFor(gateway, 0), r.holdFor(gateway, 0)
	r.settle(of(released, core.SettleFinished), of(unused, core.SettleUnused))
	ended, expired := r.holdFor(gateway, 0), r.holdFor(gateway, 0)
	r.end(core.LeaseEndOwnerSilent, ended)
	r.advance(leaseTTL)
	for range 2 {
		r.wantAdopted(released, core.EventAlreadyReleased, false)
		r.wantAdopted(unused, core.EventAlreadyReleased, false)
		r.wantAdopted(ended, core.EventExpired, false)
		r.wantAdopted(expired, core.EventExpired, false)
	}
	r.wantInUse(0, 0)
	r.wantHeld(gateway.Name)
	r.wantSettled(of(ended, core.SettleFinished), core.EventExpired) // adopting left no trace
}

func checkAdoptTwice(t TB, h *Harness) {
	r := newRig(t, h, 9)
	l := r.lost(0)
	once := r.wantAdopted(l, core.EventApplied, true)
	again := r.wantAdopted(l, core.EventApplied, false)
	if !once.ExpiresAt.Equal(again.ExpiresAt) || again.Overcommitted {
		r.Errorf("adopted as %+v, then as %+v", once, again)
	}
	r.wantInUse(0, 1)
	results := make([]core.Adopted, 2)
	both := core.Adoption{Lease: r.lost(0), TTL: leaseTTL}
	r.must(r.Adopt(r.ctx, []core.Adoption{both, both}, results))
	if !results[0].Taken || results[1].Taken {
		r.Errorf("adopted as %+v", results)
	}
	r.wantInUse(0, 2)
}

func checkAdoptLiving(t TB, h *Harness) {
	r := newRig(t, h, 9)
	stranger := core.Owner{Name: "stranger", Incarnation: "1"}
	owned, free := r.holdFor(stranger, 0), r.holdFor(core.Owner{}, 0)
	r.advance(leaseTTL - instant)
	for _, l := range []core.Lease{owned, free} {
		asked := l
		asked.Owner = gateway
		if got := r.wantAdopted(asked, core.EventApplied, false); !got.ExpiresAt.Equal(l.ExpiresAt.Add(leaseTTL - instant)) {
			r.Errorf("adopted as %+v", got)
		}
	}
	owned.ExpiresAt, free.ExpiresAt = owned.ExpiresAt.Add(leaseTTL-instant), free.ExpiresAt.Add(leaseTTL-instant)
	free.Owner = gateway
	r.wantHeld(stranger.Name, owned)
	r.wantHeld(gateway.Name, free)
	r.advance(leaseTTL - instant)
	r.wantInUse(0, 2)
	r.advance(instant)
	r.wantInUse(0, 0)
}

func checkAdoptFuture(t TB, h *Harness) {
	r := newRig(t, h, 9)
	l := r.lost(0)
	l.GrantedAt = r.now().Add(time.Minute + instant)
	r.wantAdopted(l, core.EventUnknown, false)
	l.GrantedAt = r.now().Add(time.Minute)
	r.wantAdopted(l, core.EventApplied, true)
}
