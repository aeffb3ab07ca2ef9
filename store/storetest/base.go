package storetest

import (
	"bytes"
	"reflect"

	"usher.internal/core"
	"usher.internal/core/decide"
)

func baseChecks() []Check {
	return []Check{
		{"base/roster_grows", checkGrows},
		{"base/limits_change_and_in_use_stays", checkLimitChanges},
		{"base/closed_grants_nothing", checkClosed},
		{"base/loads_are_exact_and_in_the_asked_order", checkLoads},
		{"base/waiters_before_the_roster", checkEarlyWaiter},
		{"base/secret_is_one", checkSecret},
		{"base/close_is_idempotent", checkClose},
		{"base/replicas_share_one_truth", checkPeer},
	}
}

func checkGrows(t TB, h *Harness) {
	r := newRig(t, h, 1)
	r.hold(0)
	r.wantFirst(r.first(2, 7, -1), core.FirstNone) // no such ordinals yet
	r.roster.Accounts = append(r.roster.Accounts, core.RosterEntry{ID: "new", Limit: 1})
	r.ordinals = append(r.ordinals, 2)
	r.register()
	r.register()
	r.wantInUse(0, 1)
	r.wantFirst(r.first(0), core.FirstNone)
	r.hold(2)
	r.wantFirst(r.first(2), core.FirstNone)
}

func checkLimitChanges(t TB, h *Harness) {
	r := newRig(t, h, 3)
	held := []core.Lease{r.hold(0), r.hold(0), r.hold(0)}
	r.roster.Accounts[0].Limit = 2
	r.register()
	r.wantInUse(0, 3)
	if rate, want := r.loads()[0].Rate, decide.LoadRate(3, 0, 2); rate != want {
		r.Errorf("rate is %v, want %v", rate, want)
	}
	r.wantFirst(r.first(0), core.FirstNone)
	r.settle(of(held[0], core.SettleFinished))
	r.wantFirst(r.first(0), core.FirstNone) // two are in use, as many as may
	r.settle(of(held[1], core.SettleFinished))
	r.hold(0)
	r.wantFirst(r.first(0), core.FirstNone)
	r.roster.Accounts[0].Limit = 3
	r.register()
	r.hold(0)
	r.wantFirst(r.first(0), core.FirstNone)
	r.roster.Accounts[0].Limit = 0
	r.register()
	r.hold(0)
	r.wantInUse(0, 4)
}

func checkClosed(t TB, h *Harness) {
	r := newRig(t, h, 3, 0)
	r.hold(0)
	for _, ordinal := range []int{0, 1} {
		r.roster.Accounts[ordinal].Closed = true
	}
	r.register()
	r.wantFirst(r.first(0, 1), core.FirstNone)
	r.wantInUse(0, 1)
	r.roster.Accounts[0].Closed, r.roster.Accounts[1].Closed = false, false
	r.register()
	r.hold(0)
	r.hold(1)
}

func checkLoads(t TB, h *Harness) {
	r := newRig(t, h, 3, 7)
	r.hold(0)
	r.hold(1)
	r.join(1, 1)
	r.hold(1)
	loads := make([]decide.Load, 4)
	r.must(r.Loads(r.ctx, []int32{1, 0, 9, 1}, loads))
	b := decide.Load{InUse: 2, Waiting: 1, Rate: decide.LoadRate(2, 1, 7)}
	want := []decide.Load{b, {InUse: 1, Rate: decide.LoadRate(1, 0, 3)}, {}, b}
	if !reflect.DeepEqual(loads, want) {
		r.Errorf("loads are %+v, want %+v", loads, want)
	}
}

func checkEarlyWaiter(t TB, h *Harness) {
	r := newRig(t, h, 1)
	w := r.waiter(0)
	w.Account = "new"
	r.wantJoin(w, core.JoinedLine, 1)
	r.roster.Accounts = append(r.roster.Accounts, core.RosterEntry{ID: "new", Limit: 2})
	r.ordinals = append(r.ordinals, 2)
	r.register()
	if got, want := r.loads()[2], (decide.Load{Waiting: 1, Rate: 50}); got != want {
		r.Errorf("load is %+v, want %+v", got, want)
	}
}

func checkSecret(t TB, h *Harness) {
	r := newRig(t, h, 1)
	first, err := r.Secret(r.ctx)
	r.must(err)
	if len(first) != 32 || bytes.Equal(first, make([]byte, 32)) {
		r.Errorf("the secret is %d bytes long, or blank", len(first))
	}
	kept := bytes.Clone(first)
	clear(first)
	again, err := r.Secret(r.ctx)
	r.must(err)
	if !bytes.Equal(kept, again) {
		r.Errorf("the secret changed")
	}
}

func checkClose(t TB, h *Harness) {
	r := newRig(t, h, 1)
	r.must(r.Close())
	r.must(r.Close())
}

func checkPeer(t TB, h *Harness) {
	if h.Peer == nil {
		return
	}
	r := newRig(t, h, 1)
	peer := *r
	peer.Store = h.Peer(t)
	peer.made = 1 << 32
	peer.register()
	signals := peer.listen()
	take := r.first(0)
	take.Session, take.Grant.Request = r.session(), r.request()
	l := r.wantFirst(take, core.FirstTook).Lease
	peer.wantInUse(0, 1)
	peer.wantFirst(peer.first(0), core.FirstNone)
	peer.wantBinding(take.Session, "a")
	take.Grant.ID = peer.fresh()
	peer.wantFirst(take, core.FirstRepeated)
	peer.wantSettled(of(l, core.SettleFinished), core.EventApplied)
	r.wantSettled(of(l, core.SettleFinished), core.EventAlreadyReleased)
	r.wantInUse(0, 0)
	r.advance(handover) // it is the turn of the replica where somebody waits
	r.hold(0)
	peer.wantSignal(signals, core.SignalFreed, "a")
	one, err := r.Secret(r.ctx)
	r.must(err)
	two, err := peer.Secret(r.ctx)
	r.must(err)
	if !bytes.Equal(one, two) {
		r.Errorf("two replicas have two secrets")
	}
}
