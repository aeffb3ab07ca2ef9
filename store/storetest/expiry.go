package storetest

import (
	"time"

	"usher.internal/core"
)

func expiryChecks() []Check {
	return []Check{
		{"expiry/ends_at_exactly_its_deadline", checkExpiry},
		{"expiry/sweep_tells_each_lease_once", checkSweep},
		{"expiry/sweep_names_the_next_end", checkNextEnd},
		{"expiry/sweep_is_not_needed", checkNoSweep},
		{"expiry/renew_gives_a_whole_life", checkRenew},
		{"expiry/renew_of_what_is_over", checkRenewOver},
		{"expiry/finish_after_expiry_frees_nothing", checkLateFinish},
	}
}

func checkExpiry(t TB, h *Harness) {
	r := newRig(t, h, 1)
	r.hold(0)
	r.advance(leaseTTL - instant)
	r.wantInUse(0, 1)
	r.wantFirst(r.first(0), core.FirstNone)
	r.advance(instant)
	r.wantInUse(0, 0)
	if u := r.usage(""); u.Leases != 0 || u.TenantLeases != 0 {
		r.Errorf("usage is %+v", u)
	}
	r.hold(0)
}

func checkSweep(t TB, h *Harness) {
	r := newRig(t, h, 0)
	want := make(map[core.LeaseID]core.Lease)
	for i := range 10 {
		take := r.first(0)
		take.Grant.TTL = time.Duration(10-i) * time.Second
		l := r.wantFirst(take, core.FirstTook).Lease
		want[l.ID] = l
	}
	lives := r.hold(0)
	if got := r.sweep(3); len(got) != 0 {
		r.Errorf("swept %d leases that live", len(got))
	}
	r.advance(4 * time.Second)
	r.loads() // finds some at their end before the sweep does
	r.advance(6 * time.Second)
	for _, got := range r.sweep(3) {
		if l, ok := want[got.ID]; !ok || !sameLease(l, got) {
			r.Errorf("swept %+v, which is not as it was granted, or twice", got)
		}
		delete(want, got.ID)
	}
	if len(want) != 0 {
		r.Errorf("%d expired leases were never told of", len(want))
	}
	r.wantInUse(0, 1)
	r.settle(of(lives, core.SettleFinished))
	if got := r.sweep(3); len(got) != 0 {
		r.Errorf("swept %d leases again", len(got))
	}
}

func checkNextEnd(t TB, h *Harness) {
	r := newRig(t, h, 0)
	want := func(end time.Time) {
		r.Helper()
		out, err := r.Sweep(r.ctx, 10)
		r.must(err)
		if !out.Next.Equal(end) {
			r.Errorf("the next end is %v, want %v", out.Next, end)
		}
	}
	want(time.Time{})
	late := r.hold(0)
	take := r.first(0)
	take.Grant.TTL = time.Second
	soon := r.wantFirst(take, core.FirstTook).Lease
	want(soon.ExpiresAt)
	r.renew(soon, 2*leaseTTL)
	want(late.ExpiresAt)
	r.advance(leaseTTL)
	want(soon.GrantedAt.Add(2 * leaseTTL))
	r.settle(of(soon, core.SettleFinished))
	want(time.Time{})
}

func checkNoSweep(t TB, h *Harness) {
	r := newRig(t, h, 1)
	s := r.session()
	for range 3 {
		take := r.first(0)
		take.Session = s
		r.wantFirst(take, core.FirstTook)
		r.advance(leaseTTL)
		r.wantBound(r.bound(core.BindingKey{}, s), core.BoundTook)
		r.advance(leaseTTL)
	}
	r.wantInUse(0, 0)
}

func (r *rig) renew(l core.Lease, ttl time.Duration) core.Renewed {
	r.Helper()
	results := make([]core.Renewed, 1)
	if err := r.Renew(r.ctx, []core.Renewal{{Lease: l.ID, GrantedAt: l.GrantedAt, TTL: ttl}}, results); err != nil {
		r.stop("Renew: %v", err)
	}
	return results[0]
}

func checkRenew(t TB, h *Harness) {
	r := newRig(t, h, 2)
	l, other := r.hold(0), r.hold(0)
	r.advance(leaseTTL - instant)
	got := r.renew(l, 2*leaseTTL)
	if want := l.GrantedAt.Add(leaseTTL - instant + 2*leaseTTL); got.Status != core.EventApplied || !got.ExpiresAt.Equal(want) {
		r.Errorf("renewed to %+v, want %v", got, want)
	}
	r.advance(instant)
	r.wantInUse(0, 1) // the other one ended
	r.wantSettled(of(other, core.SettleFinished), core.EventExpired)
	r.advance(2*leaseTTL - 2*instant)
	r.wantInUse(0, 1)
	if got := r.renew(l, instant); got.Status != core.EventApplied { // a shorter life is taken too
		r.Errorf("renewed to %+v", got)
	}
	r.advance(instant)
	r.wantInUse(0, 0)
}

func checkRenewOver(t TB, h *Harness) {
	r := newRig(t, h, 3)
	released, expired := r.hold(0), r.hold(0)
	r.settle(of(released, core.SettleFinished))
	r.advance(leaseTTL)
	now := r.now()
	young := core.Lease{ID: r.fresh(), GrantedAt: now.Add(-h.markTTL() + instant)}
	old := core.Lease{ID: r.fresh(), GrantedAt: now.Add(-h.markTTL())}
	for _, row := range []struct {
		name  string
		lease core.Lease
		want  core.EventStatus
	}{
		{"released", released, core.EventAlreadyReleased},
		{"expired", expired, core.EventExpired},
		{"not known and young", young, core.EventExpired},
		{"not known and old", old, core.EventUnknown},
	} {
		for range 2 {
			if got := r.renew(row.lease, leaseTTL); got.Status != row.want {
				r.Errorf("a lease that is %s: status %d, want %d", row.name, got.Status, row.want)
			}
		}
	}
	r.wantInUse(0, 0)
	r.wantSettled(of(young, core.SettleFinished), core.EventExpired) // renewing left no trace
}

func checkLateFinish(t TB, h *Harness) {
	r := newRig(t, h, 1)
	late := r.hold(0)
	r.advance(leaseTTL)
	r.hold(0)
	for _, kind := range []core.SettleKind{core.SettleFinished, core.SettleUnused, core.SettleWithdrawn} {
		r.settle(of(late, kind))
		r.wantInUse(0, 1)
	}
	r.wantFirst(r.first(0), core.FirstNone)
}
