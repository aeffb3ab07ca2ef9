package storetest

import (
	"time"

	"usher.internal/core"
)

func endedChecks() []Check {
	return []Check{
		{"ended/expired_counts_once", checkExpiredCounts},
		{"ended/expired_then_unused", checkExpiredUnused},
		{"ended/not_known_and_young_is_expired", checkYoung},
		{"ended/not_known_and_old_is_unknown", checkOld},
		{"ended/mark_has_a_life", checkMarkLife},
	}
}

// wantLate expects what an expired lease's events do: each counts once.
func (r *rig) wantLate(l core.Lease) {
	r.Helper()
	for _, kind := range []core.SettleKind{core.SettleFirstToken, core.SettleSwitched} {
		r.wantSettled(of(l, kind), core.EventExpired)
		r.wantSettled(of(l, kind), core.EventAlreadyApplied)
	}
	s := r.session()
	got := r.wantSettled(r.loaded(l, core.SettleFinished, s), core.EventExpired)
	r.wantCounted(s, got, true)
	if got.Account != "a" {
		r.Errorf("account is %q", got.Account)
	}
	s = r.session()
	if got := r.wantSettled(r.loaded(l, core.SettleFinished, s), core.EventAlreadyReleased); got.Bound || got.SampleCounts {
		r.Errorf("counted twice: %+v", got)
	}
	r.wantBinding(s, "")
	r.wantSettled(of(l, core.SettleUnused), core.EventAlreadyReleased)
	r.wantInUse(0, 0)
}

func checkExpiredCounts(t TB, h *Harness) {
	r := newRig(t, h, 1)
	l := r.hold(0)
	r.advance(leaseTTL)
	r.wantLate(l)
	swept := r.hold(0)
	r.advance(leaseTTL)
	r.sweep(100)
	r.wantSettled(of(swept, core.SettleFinished), core.EventExpired)
	r.wantSettled(of(swept, core.SettleFinished), core.EventAlreadyReleased)
}

func checkExpiredUnused(t TB, h *Harness) {
	r := newRig(t, h, 1)
	l, s := r.hold(0), r.session()
	r.advance(leaseTTL)
	r.wantCounted(s, r.wantSettled(r.loaded(l, core.SettleUnused, s), core.EventExpired), false)
	r.wantCounted(s, r.wantSettled(r.loaded(l, core.SettleUnused, s), core.EventAlreadyReleased), false)
	r.wantCounted(s, r.wantSettled(r.loaded(l, core.SettleFinished, s), core.EventAlreadyReleased), false)
}

func checkYoung(t TB, h *Harness) {
	r := newRig(t, h, 1)
	now := r.now()
	for _, age := range []time.Duration{0, h.markTTL() - instant, -time.Minute} {
		l := core.Lease{ID: r.fresh(), Account: "a", GrantedAt: now.Add(-age)}
		s := r.session()
		r.settle(r.loaded(l, core.SettleFirstToken, s))
		r.wantBinding(s, "a")
		r.wantSettled(of(l, core.SettleFinished), core.EventExpired)
		r.wantSettled(of(l, core.SettleFinished), core.EventAlreadyReleased)
	}
	l := core.Lease{ID: r.fresh(), Account: "a", GrantedAt: now}
	r.wantSettled(of(l, core.SettleUnused), core.EventExpired)
	r.wantSettled(of(l, core.SettleUnused), core.EventAlreadyReleased)
	if u := r.usage(""); u.Leases != 0 {
		r.Errorf("usage is %+v", u)
	}
}

func checkOld(t TB, h *Harness) {
	r := newRig(t, h, 1)
	now := r.now()
	for _, at := range []time.Time{now.Add(-h.markTTL()), now.Add(-time.Hour), now.Add(time.Minute + instant)} {
		for _, kind := range []core.SettleKind{
			core.SettleFirstToken, core.SettleFinished, core.SettleUnused, core.SettleSwitched, core.SettleWithdrawn,
		} {
			l := core.Lease{ID: r.fresh(), Account: "a", GrantedAt: at}
			s := r.session()
			for range 2 {
				r.wantCounted(s, r.wantSettled(r.loaded(l, kind, s), core.EventUnknown), false)
			}
		}
	}
}

func checkMarkLife(t TB, h *Harness) {
	r := newRig(t, h, 1)
	l := r.hold(0)
	r.advance(instant)
	r.wantSettled(of(l, core.SettleFinished), core.EventApplied)
	r.advance(h.markTTL() - instant)
	r.wantSettled(of(l, core.SettleFinished), core.EventAlreadyReleased)
	r.advance(instant)
	r.wantSettled(of(l, core.SettleFinished), core.EventUnknown)
	r.sweep(100)
	r.wantSettled(of(l, core.SettleFinished), core.EventUnknown)
}
