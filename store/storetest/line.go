package storetest

import (
	"usher.internal/core"
	"usher.internal/core/decide"
)

func lineChecks() []Check {
	return []Check{
		{"line/waiting_counts_in_loads", checkJoin},
		{"line/join_is_idempotent", checkJoinTwice},
		{"line/caps", checkLineCaps},
		{"line/move", checkMove},
		{"line/leave", checkLeave},
		{"line/without_an_account", checkNoAccount},
		{"line/waiters_end_by_themselves", checkWaiterEnds},
		{"line/answered_request_ids", checkAnswered},
	}
}

func (r *rig) waiter(ordinal int) *core.Waiter {
	return &core.Waiter{ID: r.fresh(), Account: r.account(ordinal), Tenant: "t", TTL: leaseTTL}
}

func (r *rig) wantJoin(w *core.Waiter, want core.JoinStatus, waiting int) {
	r.Helper()
	got, err := r.Join(r.ctx, w)
	if err != nil {
		r.stop("Join: %v", err)
	}
	if got.Status != want || got.Waiting != waiting {
		r.Errorf("joined with %+v, want status %d and %d waiting", got, want, waiting)
	}
}

// join lets so many wait for an account.
func (r *rig) join(ordinal, count int) {
	r.Helper()
	for i := range count {
		r.wantJoin(r.waiter(ordinal), core.JoinedLine, i+1)
	}
}

// wantWaiting expects so many to wait for each account.
func (r *rig) wantWaiting(want ...int32) {
	r.Helper()
	all := 0
	for ordinal, load := range r.loads()[:len(want)] {
		if load.Waiting != want[ordinal] {
			r.Errorf("%d wait for %q, want %d", load.Waiting, r.account(ordinal), want[ordinal])
		}
		all += int(want[ordinal])
	}
	if u := r.usage("t"); u.Waiting != all || u.TenantWaiting != all {
		r.Errorf("usage is %+v, want %d waiting", u, all)
	}
}

func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.stop("%v", err)
	}
}

func checkJoin(t TB, h *Harness) {
	r := newRig(t, h, 3, 0)
	r.hold(0)
	r.join(0, 1)
	r.join(1, 2)
	loads := r.loads()
	if want := (decide.Load{InUse: 1, Waiting: 1, Rate: decide.LoadRate(1, 1, 3)}); loads[0] != want {
		r.Errorf("load is %+v, want %+v", loads[0], want)
	}
	if want := (decide.Load{Waiting: 2}); loads[1] != want {
		r.Errorf("load is %+v, want %+v", loads[1], want)
	}
	if u := r.usage("u"); u.TenantWaiting != 0 || u.Waiting != 3 {
		r.Errorf("usage is %+v", u)
	}
}

func checkJoinTwice(t TB, h *Harness) {
	r := newRig(t, h, 1)
	w := r.waiter(0)
	w.AccountCap = 1
	r.wantJoin(w, core.JoinedLine, 1)
	r.wantJoin(w, core.JoinedLine, 1)
	r.wantWaiting(1)
	r.must(r.Leave(r.ctx, w.ID))
	r.wantWaiting(0)
}

func checkLineCaps(t TB, h *Harness) {
	r := newRig(t, h, 1, 1)
	r.join(0, 2)
	w := r.waiter(0)
	w.AccountCap = 2
	r.wantJoin(w, core.JoinAccountFull, 2)
	w = r.waiter(1)
	w.TenantCap = 2
	r.wantJoin(w, core.JoinTenantFull, 0)
	r.wantWaiting(2, 0)
	w.Tenant = "u"
	r.wantJoin(w, core.JoinedLine, 1)
	if u := r.usage("u"); u.TenantWaiting != 1 || u.Waiting != 3 {
		r.Errorf("usage is %+v", u)
	}
}

func checkNoAccount(t TB, h *Harness) {
	r := newRig(t, h, 1)
	w, other := r.waiter(0), r.waiter(0)
	w.Account, w.AccountCap, w.TenantCap = "", 1, 2
	r.wantJoin(w, core.JoinedLine, 0)
	r.wantJoin(w, core.JoinedLine, 0)
	other.Account, other.AccountCap, other.TenantCap = "", 1, 2
	r.wantJoin(other, core.JoinedLine, 0)
	third := *other
	third.ID = r.fresh()
	r.wantJoin(&third, core.JoinTenantFull, 0)
	if u := r.usage("t"); u.TenantWaiting != 2 || r.loads()[0].Waiting != 0 {
		r.Errorf("usage is %+v, load %+v", u, r.loads()[0])
	}
	r.must(r.Move(r.ctx, w.ID, "a"))
	r.must(r.Leave(r.ctx, other.ID))
	r.wantWaiting(1)
	r.must(r.Leave(r.ctx, w.ID))
	r.wantWaiting(0)
}

func checkMove(t TB, h *Harness) {
	r := newRig(t, h, 1, 1)
	w := r.waiter(0)
	r.wantJoin(w, core.JoinedLine, 1)
	for range 2 {
		r.must(r.Move(r.ctx, w.ID, "b"))
		r.wantWaiting(0, 1)
	}
	r.must(r.Move(r.ctx, r.fresh(), "a"))
	r.wantWaiting(0, 1)
	r.advance(leaseTTL) // moving gives no more life
	r.wantWaiting(0, 0)
	r.must(r.Move(r.ctx, w.ID, "a"))
	r.wantWaiting(0, 0)
}

func checkLeave(t TB, h *Harness) {
	r := newRig(t, h, 1)
	w := r.waiter(0)
	r.wantJoin(w, core.JoinedLine, 1)
	r.join(0, 0)
	for range 2 {
		r.must(r.Leave(r.ctx, w.ID))
		r.wantWaiting(0)
	}
	r.must(r.Leave(r.ctx, r.fresh()))
	r.wantJoin(w, core.JoinedLine, 1)
	r.wantWaiting(1)
}

func checkWaiterEnds(t TB, h *Harness) {
	r := newRig(t, h, 1)
	r.join(0, 2)
	r.advance(leaseTTL - instant)
	r.wantWaiting(2)
	r.advance(instant)
	r.wantWaiting(0)
	w := r.waiter(0)
	w.AccountCap, w.TenantCap = 1, 1
	r.wantJoin(w, core.JoinedLine, 1)
	r.sweep(10)
	r.wantWaiting(1)
}

func checkAnswered(t TB, h *Harness) {
	r := newRig(t, h, 9)
	var ids [100]core.RequestKey // more than one call tells of
	for i := range ids {
		ids[i] = r.request()
	}
	want := make([]bool, len(ids))
	expect := func(what string) {
		r.Helper()
		got := make([]bool, len(ids))
		r.must(r.Answered(r.ctx, ids[:], got))
		for i := range got {
			if got[i] != want[i] {
				r.Errorf("%s: id %d is answered: %v, want %v", what, i, got[i], want[i])
			}
		}
	}
	expect("before any")
	leases := map[int]core.Lease{}
	for _, i := range []int{0, 1, 98} {
		take := r.first(0)
		take.Grant.Request, want[i] = ids[i], true
		leases[i] = r.wantFirst(take, core.FirstTook).Lease
	}
	r.wantSettled(core.Settlement{Kind: core.SettleUnused, Request: ids[99]}, core.EventReleaseRecorded)
	want[99] = true
	expect("granted and released")
	r.settle(of(leases[0], core.SettleFinished))
	r.settle(of(leases[1], core.SettleWithdrawn))
	want[1] = false
	expect("finished and withdrawn")
	r.advance(leaseTTL)
	want[98], want[0], want[99] = false, leaseTTL < h.markTTL(), leaseTTL < h.markTTL()
	expect("expired")
	r.advance(h.markTTL())
	clear(want)
	expect("after the marks")
}
