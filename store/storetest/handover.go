package storetest

import (
	"usher.internal/core"
	"usher.internal/core/decide"
)

func handoverChecks() []Check {
	return []Check{
		{"handover/is_for_those_in_line", checkHandover},
		{"handover/ends_at_its_time", checkHandoverEnds},
		{"handover/only_while_somebody_waits", checkNobodyWaits},
		{"handover/of_whatever_comes_free", checkComesFree},
		{"handover/of_bound_accounts", checkBoundHandover},
	}
}

// newcomer asks for accounts in order, and stands in no line.
func (r *rig) newcomer(order ...int) *core.FirstTake {
	take := r.first(order...)
	take.Grant.InLine = false
	return take
}

// newcomerBound asks for what is bound, and stands in no line.
func (r *rig) newcomerBound(response, session core.BindingKey) *core.BoundTake {
	take := r.bound(response, session)
	take.Grant.InLine = false
	return take
}

// finish gives a lease back.
func (r *rig) finish(l core.Lease) {
	r.Helper()
	r.wantSettled(of(l, core.SettleFinished), core.EventApplied)
}

func checkHandover(t TB, h *Harness) {
	if !h.Handover {
		return
	}
	r := newRig(t, h, 1, 1)
	l := r.hold(0)
	r.join(0, 1)
	r.wantFirst(r.newcomer(1), core.FirstTook) // it did not come free
	r.finish(l)
	r.wantFirst(r.newcomer(0), core.FirstNone)
	r.wantInUse(0, 0)
	if out := r.wantFirst(r.newcomer(0, int(r.clock())), core.FirstTook); out.Index != 1 {
		r.Errorf("took %q at %d", out.Lease.Account, out.Index)
	}
	r.hold(0)
}

// checkHandoverEnds: whether or not the account is the one that is waited for.
func checkHandoverEnds(t TB, h *Harness) {
	if !h.Handover {
		return
	}
	r := newRig(t, h, 1, 1)
	a, b := r.hold(0), r.hold(1)
	r.join(0, 1)
	for ordinal, l := range []core.Lease{a, b} {
		r.finish(l)
		r.advance(core.Handover - instant)
		r.wantFirst(r.newcomer(ordinal), core.FirstNone)
		r.advance(instant)
		r.wantFirst(r.newcomer(ordinal), core.FirstTook)
	}
}

func checkNobodyWaits(t TB, h *Harness) {
	if !h.Handover {
		return
	}
	r := newRig(t, h, 2)
	one, two := r.hold(0), r.hold(0)
	r.finish(one)
	w := r.waiter(0)
	r.wantJoin(w, core.JoinedLine, 1)
	one = r.wantFirst(r.newcomer(0), core.FirstTook).Lease // nobody waited when it came free
	r.finish(two)
	r.wantFirst(r.newcomer(0), core.FirstNone)
	r.must(r.Leave(r.ctx, w.ID))
	r.wantFirst(r.newcomer(0), core.FirstTook)
	w.TTL = instant
	r.wantJoin(w, core.JoinedLine, 1)
	r.finish(one)
	r.wantFirst(r.newcomer(0), core.FirstNone)
	r.advance(instant)
	r.wantFirst(r.newcomer(0), core.FirstTook)
}

func checkComesFree(t TB, h *Harness) {
	if !h.Handover {
		return
	}
	r := newRig(t, h, 1)
	r.kept(func() {
		ended, err := r.End(r.ctx, []core.LeaseID{r.hold(0).ID}, core.LeaseEndOperator)
		if r.must(err); len(ended) != 1 {
			r.Errorf("%d ended", len(ended))
		}
	})
	r.kept(func() {
		take := r.first(0)
		take.Grant.TTL = instant
		r.wantFirst(take, core.FirstTook)
		r.advance(instant)
	})
	r.kept(func() {
		r.roster.Accounts[0].Limit = 2
		r.register()
	})
}

// kept wants what an act frees of the first account to be kept from newcomers.
func (r *rig) kept(free func()) {
	r.Helper()
	w := r.waiter(0)
	r.wantJoin(w, core.JoinedLine, 1)
	free()
	r.wantFirst(r.newcomer(0), core.FirstNone)
	r.finish(r.hold(0))
	r.advance(handover)
	r.finish(r.wantFirst(r.newcomer(0), core.FirstTook).Lease)
	r.advance(handover)
	r.must(r.Leave(r.ctx, w.ID))
}

func checkBoundHandover(t TB, h *Harness) {
	if !h.Handover {
		return
	}
	r := newRig(t, h, 1, 1)
	session, response := r.session(), r.session()
	r.bind(session, 0, sessionTTL)
	r.bind(response, 0, sessionTTL)
	held := r.hold(0)
	r.join(0, 1)
	r.finish(held)
	for _, take := range []*core.BoundTake{r.newcomerBound(response, core.BindingKey{}), r.newcomerBound(core.BindingKey{}, session)} {
		for _, take.DryRun = range []bool{true, false} {
			if out := r.wantBound(take, core.BoundFull); !out.Response.Full && !out.Session.Full {
				r.Errorf("it is not full: %+v", out)
			}
		}
	}
	r.finish(r.wantBound(r.bound(core.BindingKey{}, session), core.BoundTook).Lease)
	r.finish(r.wantBound(r.bound(response, core.BindingKey{}), core.BoundTook).Lease)

	stands := r.first(1)
	stands.Session, stands.Substitute = session, true
	r.finish(r.wantFirst(stands, core.FirstTook).Lease)
	away := fates{"a": decide.Keep}
	take := r.newcomerBound(core.BindingKey{}, session)
	take.Judge = away
	r.wantBound(take, core.BoundNone)
	take = r.bound(core.BindingKey{}, session)
	take.Judge = away
	if out := r.wantBound(take, core.BoundTook); out.Lease.Account != "b" {
		r.Errorf("took %q", out.Lease.Account)
	}
}
