package storetest

import (
	"time"

	"usher.internal/core"
)

func settleChecks() []Check {
	return []Check{
		{"settle/finished_frees_once", checkFinishedOnce},
		{"settle/unused_frees_once_and_nothing_counts", checkUnused},
		{"settle/first_token_and_switched_count_once", checkOnce},
		{"settle/first_token_after_release_counts_once", checkOnceAfterRelease},
		{"settle/sample_counts_once_per_lease", checkSample},
		{"settle/binds_with_a_life_of_its_own", checkSettleBinds},
		{"settle/cools_when_it_counts", checkSettleCools},
		{"settle/in_order_with_a_result_each", checkSettleOrder},
	}
}

func checkFinishedOnce(t TB, h *Harness) {
	r := newRig(t, h, 2)
	l := r.hold(0)
	r.hold(0)
	if got := r.wantSettled(of(l, core.SettleFinished), core.EventApplied); got.Account != "a" {
		r.Errorf("settled %+v", got)
	}
	r.wantInUse(0, 1)
	for _, kind := range []core.SettleKind{core.SettleFinished, core.SettleUnused, core.SettleFinished} {
		got := r.wantSettled(of(l, kind), core.EventAlreadyReleased)
		if got.Account != "a" || got.Bound || got.SampleCounts {
			r.Errorf("settled %+v", got)
		}
		r.wantInUse(0, 1)
	}
	r.hold(0)
	r.wantFirst(r.first(0), core.FirstNone)
}

// loaded gives an event that carries everything that may count.
func (r *rig) loaded(l core.Lease, kind core.SettleKind, key core.BindingKey) core.Settlement {
	e := of(l, kind)
	e.Sample, e.Bind, e.BindTTL = true, key, sessionTTL
	e.Cool = core.Cooldown{Account: "cooled", Until: l.GrantedAt.Add(time.Hour)}
	return e
}

// wantCounted expects all that loaded carried to have counted, or nothing of it.
func (r *rig) wantCounted(key core.BindingKey, got core.Settled, counted bool) {
	r.Helper()
	account := ""
	if counted {
		account = "a"
	}
	r.wantBinding(key, account)
	cooling, err := r.Cooling(r.ctx)
	if err != nil {
		r.stop("Cooling: %v", err)
	}
	if got.Bound != counted || got.SampleCounts != counted || (len(cooling) > 0) != counted {
		r.Errorf("settled %+v with %d cooldowns, want all to count: %v", got, len(cooling), counted)
	}
}

func checkUnused(t TB, h *Harness) {
	r := newRig(t, h, 2)
	l, s := r.hold(0), r.session()
	r.hold(0)
	r.wantCounted(s, r.wantSettled(r.loaded(l, core.SettleUnused, s), core.EventApplied), false)
	r.wantInUse(0, 1)
	r.wantCounted(s, r.wantSettled(r.loaded(l, core.SettleUnused, s), core.EventAlreadyReleased), false)
	r.wantCounted(s, r.wantSettled(r.loaded(l, core.SettleFinished, s), core.EventAlreadyReleased), false)
	r.wantInUse(0, 1)
}

func checkOnce(t TB, h *Harness) {
	for _, kind := range []core.SettleKind{core.SettleFirstToken, core.SettleSwitched} {
		r := newRig(t, h, 1)
		l, s := r.hold(0), r.session()
		r.wantCounted(s, r.wantSettled(r.loaded(l, kind, s), core.EventApplied), true)
		again := r.session()
		if got := r.wantSettled(r.loaded(l, kind, again), core.EventAlreadyApplied); got.Bound || got.SampleCounts {
			r.Errorf("counted again: %+v", got)
		}
		r.wantBinding(again, "")
		r.wantInUse(0, 1)
		r.wantSettled(of(l, core.SettleFinished), core.EventApplied)
		r.wantSettled(of(l, kind), core.EventAlreadyApplied)
	}
}

func checkOnceAfterRelease(t TB, h *Harness) {
	for _, kind := range []core.SettleKind{core.SettleFirstToken, core.SettleSwitched} {
		r := newRig(t, h, 1)
		l, s := r.hold(0), r.session()
		r.wantSettled(of(l, core.SettleFinished), core.EventApplied)
		r.wantCounted(s, r.wantSettled(r.loaded(l, kind, s), core.EventApplied), true)
		r.wantSettled(of(l, kind), core.EventAlreadyApplied)
		r.wantInUse(0, 0)
	}
}

func checkSample(t TB, h *Harness) {
	r := newRig(t, h, 0)
	for _, row := range []struct{ first, finished, want bool }{
		{true, true, false}, {false, true, true}, {true, false, false},
	} {
		l := r.hold(0)
		first, finished := of(l, core.SettleFirstToken), of(l, core.SettleFinished)
		first.Sample, finished.Sample = row.first, row.finished
		if got := r.wantSettled(first, core.EventApplied); got.SampleCounts != row.first {
			r.Errorf("first token with a sample %v: counts %v", row.first, got.SampleCounts)
		}
		if got := r.wantSettled(finished, core.EventApplied); got.SampleCounts != row.want {
			r.Errorf("%+v: the finish's sample counts: %v", row, got.SampleCounts)
		}
	}
	l := r.hold(0)
	finished, first := of(l, core.SettleFinished), of(l, core.SettleFirstToken)
	finished.Sample, first.Sample = true, true
	if got := r.wantSettled(finished, core.EventApplied); !got.SampleCounts {
		r.Errorf("the finish's sample does not count")
	}
	if got := r.wantSettled(first, core.EventApplied); got.SampleCounts {
		r.Errorf("a sample after the finish's counts")
	}
}

func checkSettleBinds(t TB, h *Harness) {
	r := newRig(t, h, 3, 3)
	s := r.session()
	r.bind(s, 1, 10*sessionTTL)
	e := of(r.hold(0), core.SettleFinished)
	e.Bind, e.BindTTL = s, responseTTL
	if got := r.wantSettled(e, core.EventApplied); !got.Bound {
		r.Errorf("not bound: %+v", got)
	}
	r.wantLife(s, "a", responseTTL)
	if got := r.wantSettled(of(r.hold(0), core.SettleFinished), core.EventApplied); got.Bound {
		r.Errorf("no key, and yet bound: %+v", got)
	}
}

func checkSettleCools(t TB, h *Harness) {
	r := newRig(t, h, 3)
	l := r.hold(0)
	e := of(l, core.SettleFinished)
	e.Cool = core.Cooldown{Account: "a", Model: "m", Until: l.GrantedAt.Add(time.Hour), Reason: 3}
	r.wantSettled(e, core.EventApplied)
	r.wantCooling(e.Cool)
	again := of(r.hold(0), core.SettleFinished)
	again.Cool = e.Cool
	again.Cool.Until = l.GrantedAt.Add(time.Minute)
	r.wantSettled(again, core.EventApplied)
	r.wantCooling(e.Cool) // the later one stands
}

func checkSettleOrder(t TB, h *Harness) {
	r := newRig(t, h, 3)
	l, other := r.hold(0), r.hold(0)
	got := r.settle(of(l, core.SettleFirstToken), of(l, core.SettleFinished), of(other, core.SettleSwitched),
		of(l, core.SettleFirstToken), of(l, core.SettleFinished), core.Settlement{Kind: core.SettleFinished})
	want := []core.EventStatus{
		core.EventApplied, core.EventApplied, core.EventApplied,
		core.EventAlreadyApplied, core.EventAlreadyReleased, core.EventUnknown,
	}
	for i := range want {
		if got[i].Status != want[i] {
			r.Errorf("event %d: status %d, want %d", i, got[i].Status, want[i])
		}
	}
	r.wantInUse(0, 1)
	r.settle()
}
