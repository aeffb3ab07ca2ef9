package redisstore

import (
	"context"
	"testing"
	"time"

	"usher.internal/core"
)

// deed is a call whose commands are sent again.
type deed struct {
	name string
	do   func(r *repeater, l core.Lease) error
}

func event(kind core.SettleKind) func(r *repeater, l core.Lease) error {
	return func(r *repeater, l core.Lease) error {
		e := core.Settlement{
			Kind: kind, Lease: l.ID, Account: l.Account, GrantedAt: l.GrantedAt, Sample: true,
			Bind: core.BindingKey(numbered(7)), BindTTL: time.Minute,
			Cool: core.Cooldown{Account: "b", Until: r.clock.Now().Add(time.Second), Reason: 1},
		}
		return r.store.Settle(context.Background(), []core.Settlement{e}, make([]core.Settled, 1))
	}
}

func deeds() []deed {
	ctx := context.Background()
	return []deed{
		{name: "first token", do: event(core.SettleFirstToken)},
		{name: "switched", do: event(core.SettleSwitched)},
		{name: "finished", do: event(core.SettleFinished)},
		{name: "unused", do: event(core.SettleUnused)},
		{name: "withdrawn", do: event(core.SettleWithdrawn)},
		{name: "taken back", do: func(r *repeater, l core.Lease) error {
			return r.store.takeBack(ctx, []lostTake{{id: key(l.ID)}, {id: key(r.id())}, {id: "!" + key(waiterID(1))}})
		}},
		{name: "renew", do: func(r *repeater, l core.Lease) error {
			return r.store.Renew(ctx, []core.Renewal{{Lease: l.ID, GrantedAt: l.GrantedAt}}, make([]core.Renewed, 1))
		}},
		{name: "adopt", do: func(r *repeater, l core.Lease) error {
			return r.store.Adopt(ctx, []core.Adoption{{Lease: l, TTL: worldTTL}}, make([]core.Adopted, 1))
		}},
		{name: "end", do: func(r *repeater, l core.Lease) error {
			_, err := r.store.End(ctx, []core.LeaseID{l.ID}, core.LeaseEndExpired)
			return err
		}},
		{name: "leases of", do: func(r *repeater, _ core.Lease) error { _, err := r.store.LeasesOf(ctx, "owner"); return err }},
		{name: "sweep", do: func(r *repeater, _ core.Lease) error { _, err := r.store.Sweep(ctx, 1000); return err }},
		{name: "join", do: func(r *repeater, _ core.Lease) error {
			_, err := r.store.Join(ctx, &core.Waiter{ID: waiterID(1), Account: "a", Tenant: "tenant", TTL: 20 * worldTTL})
			return err
		}},
		{name: "move", do: func(r *repeater, _ core.Lease) error { return r.store.Move(ctx, waiterID(1), "b") }},
		{name: "leave", do: func(r *repeater, _ core.Lease) error { return r.store.Leave(ctx, waiterID(1)) }},
		{name: "cool", do: func(r *repeater, _ core.Lease) error {
			_, err := r.store.Cool(ctx, core.Cooldown{Account: "a", Model: "m", Until: r.clock.Now().Add(time.Hour), Reason: 1})
			return err
		}},
		{name: "warm", do: func(r *repeater, _ core.Lease) error {
			return r.store.Warm(ctx, core.Cooldown{Account: "a", Model: "m"})
		}},
		{name: "push", do: func(r *repeater, _ core.Lease) error {
			_, err := r.store.PutState(ctx, core.StateOverride{Account: "a"})
			return err
		}},
		{name: "drop", do: func(r *repeater, _ core.Lease) error { _, err := r.store.DropAccount(ctx, "a"); return err }},
		{name: "register", do: func(r *repeater, _ core.Lease) error { return r.store.Register(ctx, worldRoster()) }},
		{name: "secret", do: func(r *repeater, _ core.Lease) error { _, err := r.store.Secret(ctx); return err }},
		{name: "beat", do: func(r *repeater, _ core.Lease) error { return r.store.beat(ctx) }},
		{name: "share", do: func(r *repeater, _ core.Lease) error {
			_, err := r.store.ShareStats(ctx, []byte("learned"), time.Minute)
			return err
		}},
		{name: "rebase", do: func(r *repeater, _ core.Lease) error { return r.store.rebase(ctx) }},
	}
}

// TestCallsTwice sends every other call again as it was: at once, after the lease is released and the waiter gone, and after
// all that is known of both is over.
func TestCallsTwice(t *testing.T) {
	t.Parallel()
	onWorlds(t, func(t *testing.T, w *world) {
		r := newRepeater(t, w)
		for _, d := range deeds() {
			t.Run(d.name, func(t *testing.T) {
				one := *r
				one.T = t
				one.twice(d)
			})
		}
	})
}

func (r *repeater) twice(d deed) {
	ctx := context.Background()
	take := r.first(0)
	take.Grant.Tenant, take.Grant.Owner.Name, take.Grant.Request = "tenant", "owner", r.id()
	lease := r.take(r.T, r.store, take)
	_, err := r.store.Join(ctx, &core.Waiter{ID: waiterID(1), Account: "a", Tenant: "tenant", TTL: worldTTL})
	must(r.T, err)
	r.tap.took()
	must(r.T, d.do(r, lease))
	sent := r.tap.took()
	use, waiting := usedBy(r.T, r.store), r.waiting()
	r.repeat(sent)
	r.holds("twice:", use, waiting)
	settle(r.T, r.store, core.SettleFinished, lease)
	must(r.T, r.store.Leave(ctx, waiterID(1)))
	r.advance(r.options.Budget + time.Second)
	r.repeat(sent)
	r.holds("after the release:", [3]int32{}, 0)
	r.advance(worldMarkTTL)
	r.repeat(sent)
	r.holds("after the mark:", [3]int32{}, 0)
	r.advance(worldTTL)
	_, err = r.store.Sweep(ctx, 1000)
	must(r.T, err)
	r.holds("at the end:", [3]int32{}, 0)
}

func (r *repeater) waiting() int {
	r.Helper()
	u, err := r.store.Usage(context.Background(), "")
	must(r.T, err)
	return u.Waiting
}
