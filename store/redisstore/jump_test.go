package redisstore

import (
	"testing"
	"time"

	"usher.internal/core"
)

// TestServerClockJumps wants nothing to end early or late for a jump of the server's clock, whoever comes first after it.
func TestServerClockJumps(t *testing.T) {
	for _, by := range []time.Duration{time.Hour, -time.Hour, 24 * 365 * time.Hour, -40 * time.Second, 40 * time.Second} {
		t.Run(by.String(), func(t *testing.T) {
			onWorlds(t, func(t *testing.T, w *world) { jumps(t, mortal(w), by) })
		})
	}
}

func jumps(t *testing.T, w *world, by time.Duration) {
	one, two := w.replica(t), w.replica(t)
	take := w.first(0)
	take.Grant.TTL = 90 * time.Second
	w.take(t, one, take)
	_, err := two.Join(t.Context(), &core.Waiter{ID: waiterID(1), Account: "a", TTL: 90 * time.Second})
	must(t, err)
	_, err = two.Cool(t.Context(), core.Cooldown{Account: "b", Until: w.clock.Now().Add(90 * time.Second), Reason: 1})
	must(t, err)
	w.pass(t, 40*time.Second, one, two)
	w.advance(time.Second)
	w.jump(by)
	second := w.take(t, two, w.first(1))
	if got := second.GrantedAt.Sub(w.clock.Now()); got.Abs() > time.Millisecond {
		t.Errorf("the clock went on by %v", got)
	}
	if ended := w.pass(t, 40*time.Second, one, two); len(ended) != 0 {
		t.Errorf("%d leases ended early", len(ended))
	}
	if got := usedBy(t, one); got != [3]int32{1, 1, 0} {
		t.Errorf("in use are %v", got)
	}
	cooling, err := one.Cooling(t.Context())
	must(t, err)
	if len(cooling) != 1 {
		t.Errorf("%d deadlines stand", len(cooling))
	}
	w.jump(-by)
	if ended := w.pass(t, 15*time.Second, two, one); len(ended) != 1 || ended[0].ID == second.ID {
		t.Errorf("ended are %v, want the first", ended)
	}
	w.pass(t, 10*time.Second, one, two)
	if got := usedBy(t, two); got != [3]int32{0, 0, 0} {
		t.Errorf("in use are %v at the end", got)
	}
	all := sound(t, w.client(t), one.prefix[0])
	if n := len(all["w"].pairs()); n != 0 {
		t.Errorf("%d wait at the end", n)
	}
}

// TestReplicaClockStops wants a replica whose own clock stood still, as in a machine that slept, not to hold up the others'.
func TestReplicaClockStops(t *testing.T) {
	onWorlds(t, func(t *testing.T, w *world) {
		mortal(w)
		awake := w.replica(t)
		sleeper := w.replica(t)
		w.take(t, sleeper, w.long())
		w.pass(t, time.Minute, awake, sleeper)
		last := *sleeper.reckoning.last.Load()
		w.pass(t, 10*time.Minute, awake)
		// It thinks that it is where it was when it fell asleep.
		last.at = w.clock.Now()
		sleeper.reckoning.last.Store(&last)
		lease := w.take(t, sleeper, w.long())
		if got := w.clock.Now().Sub(lease.GrantedAt); got.Abs() > time.Millisecond {
			t.Errorf("the clock went back by %v", got)
		}
	})
}

// TestLostRegistration wants a replica to notice that a failover lost its limits, or gave its place to another account.
func TestLostRegistration(t *testing.T) {
	onWorlds(t, func(t *testing.T, w *world) {
		one := w.replica(t)
		client := w.client(t)
		p := one.prefix[0]
		before := look(t, client, p)
		roster := worldRoster()
		roster.Accounts[0].Limit = 9
		roster.Accounts = append(roster.Accounts, core.RosterEntry{ID: "d", Limit: 1})
		must(t, one.Register(t.Context(), roster))
		restore := func() {
			do(t, client, "SET", p+"L", before["L"].content[0])
			do(t, client, "HDEL", p+"A", "d")
			do(t, client, "HDEL", p+"N", "3")
			do(t, client, "HSET", p+"g", one.replica, before["g"].pairs()[one.replica])
		}
		restore()
		two := open(t, w.options)
		other := worldRoster()
		other.Accounts[0].Limit = 9
		other.Accounts = append(other.Accounts, core.RosterEntry{ID: "e", Limit: 5})
		must(t, two.Register(t.Context(), other))
		lease := w.take(t, one, w.first(3))
		if lease.Account != "d" {
			t.Errorf("took %q", lease.Account)
		}
		all := sound(t, client, p)
		if place := all["A"].pairs()["d"]; place != "4" {
			t.Errorf("the account is at %s", place)
		}
		restore()
		do(t, client, "HDEL", p+"A", "e")
		do(t, client, "HDEL", p+"N", "4")
		do(t, client, "DEL", p+"l:"+key(lease.ID))
		do(t, client, "ZREM", p+"x", key(lease.ID))
		must(t, one.beat(t.Context()))
		for range 9 {
			w.take(t, two, w.first(0))
		}
		sound(t, client, p)
	})
}

// TestLostLimits wants a replica to notice that a failover lost nothing of its registration but a limit.
func TestLostLimits(t *testing.T) {
	onWorlds(t, func(t *testing.T, w *world) {
		s := w.replica(t)
		client := w.client(t)
		p := s.prefix[0]
		before := look(t, client, p)
		roster := worldRoster()
		roster.Accounts[0].Limit = 9
		must(t, s.Register(t.Context(), roster))
		do(t, client, "SET", p+"L", before["L"].content[0])
		do(t, client, "HSET", p+"g", s.replica, before["g"].pairs()[s.replica])
		must(t, s.beat(t.Context()))
		for range 9 {
			w.take(t, s, w.first(0))
		}
	})
}
