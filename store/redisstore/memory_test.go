package redisstore

import (
	"errors"
	"strings"
	"testing"

	"usher.internal/core"
	"usher.internal/store/storetest/redistest"
)

// TestOutOfMemory wants a server that may keep no more to take back what it keeps, and to hear who lives.
func TestOutOfMemory(t *testing.T) {
	if !redistest.Available() {
		return
	}
	server := redistest.Single(t, redistest.MaxMemory("0", "noeviction"))
	w := mortal(newRealWorld(single("unix://"+server.Socket()), "full"))
	one, two := w.replica(t), w.replica(t)
	var held []core.Lease
	for range 5 {
		take := w.long()
		take.Grant.Owner.Name, take.Grant.Tenant, take.Grant.Request = "owner", "tenant", w.id()
		held = append(held, w.take(t, one, take))
	}
	_, err := one.Join(t.Context(), &core.Waiter{ID: waiterID(1), Account: "a", TTL: worldTTL})
	must(t, err)
	server.Must("CONFIG", "SET", "maxmemory", "1")
	for _, refused := range []func() error{
		func() error { _, err := one.TakeFirst(t.Context(), w.first(0)); return err },
		func() error {
			_, err := one.Join(t.Context(), &core.Waiter{ID: waiterID(2), Account: "a", TTL: worldTTL})
			return err
		},
		func() error { _, err := one.PutState(t.Context(), core.StateOverride{Account: "a"}); return err },
	} {
		var known *core.Error
		if err := refused(); !errors.As(err, &known) || known.Kind != core.KindStoreUnavailable || !strings.Contains(err.Error(), "OOM") {
			t.Errorf("a full server answers %v", err)
		}
	}
	if got := settle(t, one, core.SettleFirstToken, held[0]); got != core.EventApplied {
		t.Errorf("a first token answers %d", got)
	}
	if got := settle(t, one, core.SettleFinished, held[0]); got != core.EventApplied {
		t.Errorf("a release answers %d", got)
	}
	ended, err := two.End(t.Context(), []core.LeaseID{held[1].ID}, core.LeaseEndForgotten)
	must(t, err)
	if len(ended) != 1 {
		t.Errorf("%d leases ended", len(ended))
	}
	must(t, one.Renew(t.Context(), []core.Renewal{{Lease: held[2].ID}}, make([]core.Renewed, 1)))
	must(t, one.Move(t.Context(), waiterID(1), "b"))
	if swept := w.pass(t, 2*worldTTL, one, two); len(swept) != 0 {
		t.Errorf("%d leases ended on a full server", len(swept))
	}
	must(t, one.takeBack(t.Context(), []lostTake{{id: key(held[3].ID)}, {id: key(w.id())}}))
	must(t, one.Close())
	w.pass(t, worldTTL, two)
	if got := usedBy(t, two)[2]; got != 0 {
		t.Errorf("%d are in use at the end", got)
	}
	sound(t, w.client(t), two.prefix[0])
	server.Must("CONFIG", "SET", "maxmemory", "0")
	w.take(t, two, w.first(0))
}

// TestMemoryLost wants replicas that know their accounts in different orders to mix nothing up when the memory begins anew.
func TestMemoryLost(t *testing.T) {
	onWorlds(t, func(t *testing.T, w *world) {
		one, two := w.replica(t), open(t, w.options)
		roster := worldRoster()
		roster.Accounts[0], roster.Accounts[2] = roster.Accounts[2], roster.Accounts[0]
		must(t, two.Register(t.Context(), roster))
		client := w.client(t)
		secret, err := one.Secret(t.Context())
		must(t, err)
		old := w.take(t, one, w.first(0))
		for n := range 10 {
			do(t, client, "FLUSHALL")
			first, second := one, two
			if n%2 == 0 {
				first, second = two, one
			}
			if l := w.take(t, second, w.first(1)); l.Account != "b" {
				t.Fatalf("took %q for b", l.Account)
			}
			l := w.take(t, first, w.first(0))
			if want := map[*Store]string{one: "a", two: "c"}[first]; l.Account != want {
				t.Fatalf("took %q for %q", l.Account, want)
			}
			if got := settle(t, second, core.SettleFinished, l); got != core.EventApplied {
				t.Fatalf("the release answers %d", got)
			}
			must(t, first.beat(t.Context()))
			must(t, second.beat(t.Context()))
			again, err := first.Secret(t.Context())
			must(t, err)
			if string(again) != string(secret) {
				t.Fatal("tokens are signed otherwise")
			}
			sound(t, client, one.prefix[0])
		}
		results := make([]core.Adopted, 1)
		must(t, two.Adopt(t.Context(), []core.Adoption{{Lease: old, TTL: worldTTL}}, results))
		if got := usedBy(t, one); !results[0].Taken || got != [3]int32{1, 1, 0} {
			t.Errorf("the old lease is %+v, in use are %v", results[0], got)
		}
		sound(t, client, one.prefix[0])
	})
}
