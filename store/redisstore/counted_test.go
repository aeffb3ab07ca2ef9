package redisstore

import (
	"context"
	"testing"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
)

// joins lets so many wait for account a through a replica, numbered from first on, and one more without an account.
func joins(t *testing.T, s *Store, first, count int) {
	t.Helper()
	for n := range count + 1 {
		w := core.Waiter{ID: waiterID(first + n), Account: "a", Tenant: "tenant", TTL: time.Hour}
		if n == count {
			w.Account = ""
		}
		_, err := s.Join(context.Background(), &w)
		must(t, err)
	}
}

// wantWaiting wants so many to wait.
func wantWaiting(t testing.TB, s *Store, want int) {
	t.Helper()
	u, err := s.Usage(context.Background(), "tenant")
	must(t, err)
	if u.Waiting != want || u.TenantWaiting != want {
		t.Errorf("%d wait, %d of the tenant, want %d", u.Waiting, u.TenantWaiting, want)
	}
}

// wantTurns wants a and the turns to know of those who wait through some replicas, all but one on account a.
func wantTurns(t *testing.T, w *world, s *Store, onA int32, waiting ...*Store) {
	t.Helper()
	var loads [1]decide.Load
	must(t, s.Loads(context.Background(), []int32{0}, loads[:]))
	if loads[0].Waiting != onA {
		t.Errorf("%d wait for a, want %d", loads[0].Waiting, onA)
	}
	client := w.client(t)
	turns, err := do(t, client, "ZRANGE", s.prefix[0]+"T", "0", "-1").AsStrSlice()
	must(t, err)
	if len(turns) != len(waiting) {
		t.Errorf("turns are %v, want %d", turns, len(waiting))
	}
	for _, one := range waiting {
		if err := do(t, client, "ZSCORE", s.prefix[0]+"T", one.replica).Error(); err != nil {
			t.Errorf("%s has no turn: %v", one.replica, err)
		}
	}
	sound(t, client, s.prefix[0])
}

// TestDeathOfWaiters: who waits through a replica that died is not counted, and no slot is its turn.
func TestDeathOfWaiters(t *testing.T) {
	onWorlds(t, func(t *testing.T, w *world) {
		mortal(w)
		dies, lives := w.replica(t), w.replica(t)
		joins(t, dies, 1, 200)
		joins(t, lives, 301, 1)
		w.pass(t, time.Minute, dies, lives)
		wantWaiting(t, lives, 203)
		must(t, dies.Close())
		w.pass(t, 25*time.Second, lives)
		wantWaiting(t, lives, 203)
		w.pass(t, 10*time.Second, lives)
		wantWaiting(t, lives, 2)
		wantTurns(t, w, lives, 1, lives)
		if got := len(look(t, w.client(t), lives.prefix[0])["r"].pairs()); got != 1 {
			t.Errorf("%d replicas are known", got)
		}
	})
}

// TestPausedWaiters: those of a replica that was only taken for dead are counted again when it is heard of, but for who left meanwhile.
func TestPausedWaiters(t *testing.T) {
	onWorlds(t, func(t *testing.T, w *world) {
		mortal(w)
		away, lives := w.replica(t), w.replica(t)
		joins(t, away, 1, 100)
		w.pass(t, time.Minute, away, lives)
		mend := cutOff(away)
		w.pass(t, time.Minute, lives)
		wantWaiting(t, lives, 0)
		wantTurns(t, w, lives, 0)
		if away.Leave(t.Context(), waiterID(7)) == nil {
			t.Error("a leave was heard")
		}
		mend()
		for range 2 {
			must(t, away.beat(t.Context()))
			wantWaiting(t, lives, 100)
			wantTurns(t, w, lives, 99, away)
		}
		must(t, away.Leave(t.Context(), waiterID(1)))
		must(t, away.Move(t.Context(), waiterID(2), "b"))
		must(t, away.beat(t.Context()))
		wantWaiting(t, lives, 99)
		wantTurns(t, w, lives, 97, away)
	})
}

// TestMemoryLostWithWaiters: those who wait are counted again in a new memory.
func TestMemoryLostWithWaiters(t *testing.T) {
	onWorlds(t, func(t *testing.T, w *world) {
		one, two := w.replica(t), w.replica(t)
		joins(t, one, 1, 3)
		joins(t, two, 11, 3)
		client := w.client(t)
		for name := range look(t, client, one.prefix[0]) {
			do(t, client, "DEL", one.prefix[0]+name)
		}
		must(t, one.beat(t.Context()))
		must(t, two.beat(t.Context()))
		wantWaiting(t, one, 8)
		wantTurns(t, w, one, 6, one, two)
	})
}

// TestLacking: joins, and those who leave while a heartbeat is on its way, do not look like a loss.
func TestLacking(t *testing.T) {
	c := counted{all: make(map[core.WaiterID]counts)}
	now := time.Now()
	for n := range 3 {
		c.add(&core.Waiter{ID: waiterID(n), TTL: time.Minute}, now)
	}
	before := c.now()
	c.drop(waiterID(0))
	c.drop(waiterID(0))
	c.add(&core.Waiter{ID: waiterID(3), TTL: time.Hour}, now)
	for n, want := range []bool{true, true, false, false, false} {
		if got := c.lacking(before, int64(n)); got != want {
			t.Errorf("%d are counted: lacking is %v", n, got)
		}
	}
	if got := c.those(now.Add(time.Minute)); len(got) != 1 || got[0].TTL != time.Hour-time.Minute {
		t.Errorf("%+v count after a minute", got)
	}
}

// TestReleaseIsTold: the release of a request id that no lease has is told to all, if somebody waits.
func TestReleaseIsTold(t *testing.T) {
	onWorlds(t, func(t *testing.T, w *world) {
		one, two := w.replica(t), w.replica(t)
		until(t, "signals are heard", func() bool { return one.Sessions() > 0 })
		signals, err := one.Signals(t.Context())
		must(t, err)
		release := func() core.RequestKey {
			id := w.id()
			must(t, two.Settle(t.Context(), []core.Settlement{{Kind: core.SettleUnused, Request: id}}, make([]core.Settled, 1)))
			return id
		}
		release() // nobody waits
		joins(t, one, 1, 1)
		if want, got := release(), <-signals; got != (core.Signal{Kind: core.SignalReleased, Request: want}) {
			t.Errorf("heard %+v, want the release of %x", got, want)
		}
	})
}
