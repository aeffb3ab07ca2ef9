package storetest

import (
	"time"

	"usher.internal/core"
)

func checkAdoptAge(t TB, h *Harness) {
	r := newRig(t, h, 9)
	old := r.lost(0)
	old.GrantedAt = r.now().Add(-leaseTTL)
	if got := r.adopt(old, leaseTTL); got.Status != core.EventExpired || got.End != core.LeaseEndMaxAge || got.Taken {
		r.Errorf("adopted as %+v", got)
	}
	old.GrantedAt = old.GrantedAt.Add(instant)
	if got := r.adopt(old, leaseTTL); got.Status != core.EventApplied || !got.ExpiresAt.Equal(old.GrantedAt.Add(leaseTTL)) {
		r.Errorf("adopted as %+v", got)
	}
	r.wantInUse(0, 1)
	r.advance(instant)
	r.wantInUse(0, 0)
}

// Who tells what is left of a lease's life renews nothing by it, whether the lease is known or not.
func checkAdoptLeft(t TB, h *Harness) {
	r := newRig(t, h, 9)
	adopt := func(l core.Lease, left, maxAge time.Duration, ends time.Time) {
		t.Helper()
		results := make([]core.Adopted, 1)
		r.must(r.Adopt(r.ctx, []core.Adoption{{Lease: l, TTL: leaseTTL, Left: left, MaxAge: maxAge}}, results))
		if got := results[0]; got.Status != core.EventApplied || !got.ExpiresAt.Equal(ends) {
			r.Errorf("adopted as %+v, want it to end at %v", got, ends)
		}
	}
	known, lost := r.hold(0), r.lost(0)
	r.advance(leaseTTL / 4)
	now, ends := r.now(), known.ExpiresAt
	for range 2 {
		adopt(known, 2*leaseTTL, 0, ends)
		adopt(lost, leaseTTL/4, 0, now.Add(leaseTTL/4))
	}
	r.wantInUse(0, 2)
	known.ExpiresAt = ends.Add(-instant)
	adopt(known, leaseTTL/4, 0, ends)
	known.ExpiresAt = ends.Add(leaseTTL)
	adopt(known, leaseTTL/4, leaseTTL+instant, known.GrantedAt.Add(leaseTTL+instant))
	adopt(known, leaseTTL/4, 0, known.ExpiresAt)
	for _, l := range []core.Lease{known, lost} {
		if got := r.renew(l, 0); got.Status != core.EventApplied || !got.ExpiresAt.Equal(now.Add(leaseTTL)) {
			r.Errorf("renewed to %+v, want %v", got, now.Add(leaseTTL))
		}
	}
	r.advance(leaseTTL)
	r.wantInUse(0, 0)
}

func checkRenewOwn(t TB, h *Harness) {
	r := newRig(t, h, 9)
	l := r.hold(0)
	r.advance(instant)
	if got := r.renew(l, 0); got.Status != core.EventApplied || !got.ExpiresAt.Equal(l.GrantedAt.Add(leaseTTL+instant)) {
		r.Errorf("renewed to %+v", got)
	}
	r.renew(l, 2*leaseTTL)
	r.advance(leaseTTL)
	r.renew(l, 0) // what was asked for last
	r.advance(2*leaseTTL - instant)
	r.wantInUse(0, 1)
	r.advance(instant)
	r.wantInUse(0, 0)
}

func checkMaxAge(t TB, h *Harness) {
	r := newRig(t, h, 9)
	l := r.hold(0)
	most := leaseTTL + leaseTTL/2
	renewal := []core.Renewal{{Lease: l.ID, GrantedAt: l.GrantedAt, TTL: leaseTTL, MaxAge: most}}
	results := make([]core.Renewed, 1)
	for range 2 {
		r.advance(leaseTTL / 2)
		r.must(r.Renew(r.ctx, renewal, results))
		if results[0].Status != core.EventApplied || results[0].ExpiresAt.After(l.GrantedAt.Add(most)) {
			r.stop("renewed to %+v, granted at %v", results[0], l.GrantedAt)
		}
	}
	r.advance(leaseTTL/2 - instant)
	r.wantInUse(0, 1)
	r.advance(instant)
	r.wantInUse(0, 0)
	if got := r.sweep(10); len(got) != 1 || !got[0].ExpiresAt.Equal(l.GrantedAt.Add(most)) {
		r.Errorf("swept %+v", got)
	}
	r.wantSettled(of(l, core.SettleFinished), core.EventExpired)
}

func checkMaxAgePassed(t TB, h *Harness) {
	r := newRig(t, h, 9)
	l := r.hold(0)
	r.advance(leaseTTL / 2)
	renewal := []core.Renewal{{Lease: l.ID, GrantedAt: l.GrantedAt, TTL: leaseTTL, MaxAge: leaseTTL / 2}}
	results := make([]core.Renewed, 1)
	r.must(r.Renew(r.ctx, renewal, results))
	if results[0].Status != core.EventExpired || results[0].End != core.LeaseEndMaxAge {
		r.Errorf("renewed as %+v", results[0])
	}
	r.wantInUse(0, 0)
	if got := r.sweep(10); len(got) != 1 || got[0].ID != l.ID {
		r.Errorf("swept %+v", got)
	}
	r.wantSettled(of(l, core.SettleFinished), core.EventExpired)
	r.wantSettled(of(l, core.SettleFinished), core.EventAlreadyReleased)
}
