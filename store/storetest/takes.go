package storetest

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"sync/atomic"

	"usher.internal/core"
	"usher.internal/core/decide"
)

func takeChecks() []Check {
	return []Check{
		{"take/never_above_the_limit", checkLimit},
		{"take/unlimited_always_has_room", checkUnlimited},
		{"take/first_with_room_in_order", checkOrder},
		{"take/none_changes_nothing_and_refills_loads", checkNone},
		{"take/lease_is_told_as_granted", checkLeaseTold},
		{"take/one_probe_at_a_time", checkProbe},
		{"take/tenant_cap", checkTenantCap},
		{"take/not_after", checkNotAfter},
		{"take/not_after_while_the_store_stood_still", checkPause},
		{"take/ended_context_takes_nothing", checkContext},
		{"take/concurrent_takes_keep_the_limit", checkConcurrent},
	}
}

func checkLimit(t TB, h *Harness) {
	r := newRig(t, h, 2, 1)
	r.hold(0)
	r.hold(0)
	r.wantFirst(r.first(0), core.FirstNone)
	r.wantInUse(0, 2)
	r.wantInUse(1, 0)
	r.hold(1)
	r.wantFirst(r.first(0, 1), core.FirstNone)
}

func checkUnlimited(t TB, h *Harness) {
	r := newRig(t, h, 0, -1)
	for range 50 {
		r.hold(0)
		r.hold(1)
	}
	for _, load := range r.loads()[:2] {
		if load != (decide.Load{InUse: 50}) {
			r.Errorf("load is %+v, want 50 in use at rate 0", load)
		}
	}
}

func checkOrder(t TB, h *Harness) {
	r := newRig(t, h, 1, 1, 1)
	for i, want := range []int{2, 0, 1} {
		out := r.wantFirst(r.first(2, 0, 1), core.FirstTook)
		if out.Index != i || out.Lease.Account != r.account(want) {
			r.Errorf("take %d took %q at %d", i, out.Lease.Account, out.Index)
		}
	}
}

func checkNone(t TB, h *Harness) {
	r := newRig(t, h, 1, 3)
	s := r.session()
	r.bind(s, 1, sessionTTL)
	r.hold(0)
	r.hold(1)
	take := r.first(0)
	take.Session = s
	take.Ordinals, take.Loads = []int32{1, 0, 1}, make([]decide.Load, 3)
	r.wantFirst(take, core.FirstNone)
	rate := decide.LoadRate(1, 0, 3)
	want := []decide.Load{{InUse: 1, Rate: rate}, {InUse: 1, Rate: 100}, {InUse: 1, Rate: rate}}
	if !reflect.DeepEqual(take.Loads, want) {
		r.Errorf("loads are %+v, want %+v", take.Loads, want)
	}
	r.wantFirst(r.first(), core.FirstNone)
	r.wantBinding(s, "b")
}

func checkLeaseTold(t TB, h *Harness) {
	r := newRig(t, h, 1)
	g := r.grant()
	g.Owner = core.Owner{Name: "gateway", Incarnation: "7"}
	g.Tenant, g.Group, g.Model = "tenant", "group", "model"
	g.Decision = core.DecisionID{Replica: 3, Seq: 9}
	g.Request = r.request()
	now := r.now()
	want := core.Lease{
		ID: g.ID, Account: "a", Owner: g.Owner, Tenant: g.Tenant, Group: g.Group, Model: g.Model, Decision: g.Decision,
		GrantedAt: now, ExpiresAt: now.Add(leaseTTL),
	}
	take := r.first(0)
	take.Grant = g
	if got := r.takeFirst(take).Lease; !sameLease(got, want) {
		r.Errorf("granted %+v, want %+v", got, want)
	}
	take.Grant.ID = r.fresh()
	if got := r.takeFirst(take).Lease; !sameLease(got, want) {
		r.Errorf("found %+v by request id, want %+v", got, want)
	}
}

func sameLease(a, b core.Lease) bool {
	times := a.GrantedAt.Equal(b.GrantedAt) && a.ExpiresAt.Equal(b.ExpiresAt)
	a.GrantedAt, a.ExpiresAt = b.GrantedAt, b.ExpiresAt
	return times && a == b
}

func checkProbe(t TB, h *Harness) {
	r := newRig(t, h, 3, 1)
	probe := func(want core.FirstStatus, order ...int) core.FirstTaken {
		take := r.first(order...)
		take.Order[0].Probe = true
		return r.wantFirst(take, want)
	}
	first := probe(core.FirstTook, 0)
	probe(core.FirstNone, 0)
	r.wantProbing(true, false, false)
	if next := probe(core.FirstTook, 0, 1); next.Index != 1 {
		r.Errorf("a second probe took choice %d", next.Index)
	}
	r.hold(0) // what is no probe is not kept out
	r.wantSettled(of(first.Lease, core.SettleFirstToken), core.EventApplied)
	probe(core.FirstNone, 0)
	r.wantSettled(of(first.Lease, core.SettleFinished), core.EventApplied)
	r.wantProbing(false, false, false)
	probe(core.FirstTook, 0)
	probe(core.FirstNone, 0)
	r.advance(leaseTTL) // an expired probe is out no more
	probe(core.FirstTook, 0)
}

// wantProbing checks which accounts show a probe.
func (r *rig) wantProbing(want ...bool) {
	r.Helper()
	loads := r.loads()
	for i := range want {
		if loads[i].Probing != want[i] {
			r.Errorf("account %d shows %+v", i, loads[i])
		}
	}
}

func checkTenantCap(t TB, h *Harness) {
	r := newRig(t, h, 9)
	capped := func(tenant string, want core.FirstStatus) core.FirstTaken {
		take := r.first(0)
		take.Grant.Tenant, take.Grant.TenantCap = tenant, 2
		return r.wantFirst(take, want)
	}
	held := capped("t", core.FirstTook)
	capped("t", core.FirstTook)
	capped("t", core.FirstTenantFull)
	capped("u", core.FirstTook)
	r.wantInUse(0, 3)
	if u := r.usage("t"); u.TenantLeases != 2 || u.Leases != 3 {
		r.Errorf("usage is %+v", u)
	}
	r.settle(of(held.Lease, core.SettleFinished))
	capped("t", core.FirstTook)
	capped("t", core.FirstTenantFull)
	r.advance(leaseTTL)
	capped("t", core.FirstTook)
}

func checkNotAfter(t TB, h *Harness) {
	r := newRig(t, h, 2)
	s := r.session()
	r.bind(s, 0, sessionTTL)
	first, bound := r.first(0), r.bound(core.BindingKey{}, s)
	first.Grant.NotAfter = r.now().Add(2 * instant)
	bound.Grant.NotAfter = first.Grant.NotAfter
	r.advance(3 * instant)
	if _, err := r.TakeFirst(r.ctx, first); !errors.Is(err, context.DeadlineExceeded) {
		r.Errorf("a late TakeFirst answered %v", err)
	}
	if _, err := r.TakeBound(r.ctx, bound); !errors.Is(err, context.DeadlineExceeded) {
		r.Errorf("a late TakeBound answered %v", err)
	}
	r.wantInUse(0, 0)
	r.wantLife(s, "a", sessionTTL-3*instant)
	first.Grant.NotAfter = r.now().Add(instant)
	r.wantFirst(first, core.FirstTook)
}

func checkPause(t TB, h *Harness) {
	if h.Pause == nil {
		return
	}
	r := newRig(t, h, 2)
	take := r.first(0)
	take.Grant.NotAfter = r.now().Add(instant)
	resume := h.Pause()
	ended := make(chan error, 1)
	go func() {
		_, err := r.TakeFirst(r.ctx, take)
		ended <- err
	}()
	r.advance(2 * instant)
	resume()
	if err := <-ended; err == nil {
		r.Errorf("a take whose time passed on the way was carried out")
	}
	r.wantInUse(0, 0)
}

func checkContext(t TB, h *Harness) {
	r := newRig(t, h, 2)
	s := r.session()
	r.bind(s, 0, sessionTTL)
	ended, cancel := context.WithCancel(r.ctx)
	cancel()
	if _, err := r.TakeFirst(ended, r.first(0)); !errors.Is(err, context.Canceled) {
		r.Errorf("TakeFirst answered %v", err)
	}
	if _, err := r.TakeBound(ended, r.bound(core.BindingKey{}, s)); !errors.Is(err, context.Canceled) {
		r.Errorf("TakeBound answered %v", err)
	}
	r.wantInUse(0, 0)
}

func checkConcurrent(t TB, h *Harness) {
	const limit, callers, rounds = 3, 8, 100
	r := newRig(t, h, limit, limit)
	ids := make([][16]byte, callers*rounds)
	for i := range ids {
		ids[i] = r.fresh()
	}
	var held [2]atomic.Int32
	var wrong atomic.Int32
	var all sync.WaitGroup
	for caller := range callers {
		all.Go(func() {
			for _, id := range ids[caller*rounds : (caller+1)*rounds] {
				take := &core.FirstTake{Grant: core.Grant{ID: id, TTL: leaseTTL}}
				take.Order = []core.Choice{{Ordinal: int32(caller % 2)}, {Ordinal: int32(1 - caller%2)}}
				out, err := r.TakeFirst(r.ctx, take)
				if err != nil || out.Status != core.FirstTook {
					continue
				}
				n := &held[out.Lease.Account[0]-'a']
				if n.Add(1) > limit {
					wrong.Add(1)
				}
				n.Add(-1)
				event := []core.Settlement{of(out.Lease, core.SettleFinished)}
				result := make([]core.Settled, 1)
				if err := r.Settle(r.ctx, event, result); err != nil || result[0].Status != core.EventApplied {
					wrong.Add(1)
				}
			}
		})
	}
	all.Wait()
	if n := wrong.Load(); n > 0 {
		r.Errorf("%d takes above the limit or releases that did not count", n)
	}
	r.wantInUse(0, 0)
	r.wantInUse(1, 0)
}
