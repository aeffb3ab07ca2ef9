package redisstore

import (
	"testing"
	"time"

	"usher.internal/core"
)

// TestKeysLost takes one key after the other away, as an eviction does or somebody by hand. The next heartbeat finds out, and when the living
// have told again what they look after all agrees with what they hold.
func TestKeysLost(t *testing.T) {
	for name, keys := range map[string][]string{
		"loads": {"L"}, "places": {"A"}, "names": {"N"}, "places and names": {"A", "N"}, "accounts": {"L", "A", "N"}, "signing key": {"K"},
		"ends": {"x"}, "ends and loads": {"x", "L"}, "waiters": {"w"}, "waiting": {"wr"}, "a record": {"l:0"}, "all records": {"l:0", "l:1", "l:2"},
		"replicas": {"r"}, "registrations": {"g"},
	} {
		t.Run(name, func(t *testing.T) {
			onWorlds(t, func(t *testing.T, w *world) { loseKeys(t, w, keys) })
		})
	}
}

func loseKeys(t *testing.T, w *world, keys []string) {
	t.Helper()
	one, two := w.replica(t), w.replica(t)
	secret, err := one.Secret(t.Context())
	must(t, err)
	_, err = two.Secret(t.Context())
	must(t, err)
	w.fill(t, two)
	var held []core.Lease
	for ordinal := range int32(3) {
		take := w.first(ordinal)
		take.Grant.Tenant, take.Grant.Owner.Name = "tenant", "owner"
		held = append(held, w.take(t, one, take))
	}
	client := w.client(t)
	for _, name := range keys {
		if name[0] == 'l' {
			name = "l:" + key(held[name[2]-'0'].ID)
		}
		do(t, client, "DEL", one.prefix[0]+name)
	}
	leases, err := two.LeasesOf(t.Context(), "owner")
	must(t, err)
	adopt := func() {
		for _, all := range [][]core.Lease{held, leases} {
			adoptions := make([]core.Adoption, len(all))
			for i := range all {
				adoptions[i] = core.Adoption{Lease: all[i], TTL: worldTTL}
			}
			must(t, two.Adopt(t.Context(), adoptions, make([]core.Adopted, len(all))))
		}
	}
	for range 2 { // what is looked after is told when the memory is found to be new, and when a lease is not known
		must(t, one.beat(t.Context()))
		must(t, two.beat(t.Context()))
		adopt()
	}
	if kept, err := do(t, client, "GET", one.prefix[0]+"K").ToString(); err != nil || kept != string(secret) {
		t.Errorf("tokens are signed otherwise: %v", err)
	}
	wantWaiting(t, one, 1)
	sound(t, client, one.prefix[0])
	for _, l := range held {
		if got := settle(t, one, core.SettleFinished, l); got != core.EventApplied {
			t.Errorf("a release answers %d", got)
		}
	}
	w.advance(time.Hour)
	must(t, one.beat(t.Context()))
	sweep(t, two)
	if got := usedBy(t, two); got != [3]int32{} {
		t.Errorf("%v are in use at the end", got)
	}
	sound(t, client, one.prefix[0])
}
