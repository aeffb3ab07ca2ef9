package redisstore

import (
	"context"
	"errors"
	"testing"
	"time"

	"usher.internal/core"
	"usher.internal/store/storetest/redistest"
)

// cutOff keeps a replica from its server until it is called: for the others it is dead.
func cutOff(s *Store) (mend func()) {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	client := s.conn.client
	s.conn.client, s.conn.last = nil, errNotConnected
	return func() {
		s.conn.mu.Lock()
		defer s.conn.mu.Unlock()
		s.conn.client = client
	}
}

// mortal is a world whose replicas die after half a minute without a heartbeat.
func mortal(w *world) *world {
	w.options.StoreLeaseTTL = 30 * time.Second
	return w
}

// pass lets time pass in steps in which the living beat and sweep, and gives the leases that ended by themselves.
func (w *world) pass(t testing.TB, d time.Duration, living ...*Store) (ended []core.Lease) {
	t.Helper()
	for step := 5 * time.Second; d > 0; d -= step {
		w.advance(step)
		for _, s := range living {
			must(t, s.beat(context.Background()))
		}
		for _, s := range living {
			ended = append(ended, sweep(t, s)...)
		}
	}
	return ended
}

// sweep sweeps until there is no more.
func sweep(t testing.TB, s *Store) (ended []core.Lease) {
	t.Helper()
	for range 10_000 {
		swept, err := s.Sweep(context.Background(), 1000)
		must(t, err)
		if ended = append(ended, swept.Expired...); !swept.More {
			return ended
		}
	}
	t.Fatal("sweeping never ends")
	return nil
}

func (w *world) long() *core.FirstTake {
	take := w.first(2)
	take.Grant.TTL = time.Hour
	return take
}

func TestDeath(t *testing.T) {
	onWorlds(t, func(t *testing.T, w *world) {
		mortal(w)
		dies, lives := w.replica(t), w.replica(t)
		for range 200 {
			w.take(t, dies, w.long())
		}
		renewed, adopted := w.take(t, dies, w.long()), w.take(t, dies, w.long())
		w.take(t, lives, w.long())
		w.pass(t, time.Minute, dies, lives)
		if got := usedBy(t, lives)[2]; got != 203 {
			t.Errorf("%d are in use while all live", got)
		}
		must(t, lives.Renew(t.Context(), []core.Renewal{{Lease: renewed.ID}}, make([]core.Renewed, 1)))
		must(t, lives.Adopt(t.Context(), []core.Adoption{{Lease: adopted, TTL: time.Hour}}, make([]core.Adopted, 1)))
		must(t, dies.Close())
		if ended := w.pass(t, 25*time.Second, lives); len(ended) != 0 {
			t.Errorf("%d leases ended before their replica was dead", len(ended))
		}
		if ended := w.pass(t, 10*time.Second, lives); len(ended) != 200 {
			t.Errorf("%d leases ended with their replica, want 200", len(ended))
		}
		if got := usedBy(t, lives)[2]; got != 3 {
			t.Errorf("%d are in use after a death, want 3", got)
		}
		all := sound(t, w.client(t), lives.prefix[0])
		if got := len(all["r"].pairs()); got != 1 {
			t.Errorf("%d replicas are known", got)
		}
	})
}

// TestPaused wants a replica that was away for longer than it may to go on as a new one would.
func TestPaused(t *testing.T) {
	onWorlds(t, func(t *testing.T, w *world) {
		mortal(w)
		away, lives := w.replica(t), w.replica(t)
		w.take(t, away, w.long())
		w.pass(t, time.Minute, away, lives)
		mend := cutOff(away)
		if ended := w.pass(t, time.Minute, lives); len(ended) != 1 {
			t.Errorf("%d leases ended, want 1", len(ended))
		}
		mend()
		lease := w.take(t, away, w.long())
		if ended := w.pass(t, 2*time.Minute, away, lives); len(ended) != 0 {
			t.Errorf("%d leases of a living replica ended", len(ended))
		}
		if got := settle(t, lives, core.SettleFinished, lease); got != core.EventApplied {
			t.Errorf("the release answers %d", got)
		}
		sound(t, w.client(t), lives.prefix[0])
	})
}

// TestAllCutOff wants nobody to be buried because nobody could be heard.
func TestAllCutOff(t *testing.T) {
	onWorlds(t, func(t *testing.T, w *world) {
		mortal(w)
		one, two := w.replica(t), w.replica(t)
		w.take(t, one, w.long())
		w.take(t, two, w.long())
		w.pass(t, time.Minute, one, two)
		mends := []func(){cutOff(one), cutOff(two)}
		for _, s := range []*Store{one, two} {
			if s.beat(t.Context()) == nil {
				t.Error("a heartbeat was heard")
			}
		}
		w.advance(5 * time.Minute)
		mends[1]() // the other comes back a moment later
		must(t, two.beat(t.Context()))
		if ended := sweep(t, two); len(ended) != 0 {
			t.Errorf("%d leases ended with an outage", len(ended))
		}
		mends[0]()
		if ended := w.pass(t, 2*time.Minute, one, two); len(ended) != 0 {
			t.Errorf("%d leases ended after an outage", len(ended))
		}
	})
}

// TestNothingLeftToSpend: a take for which a Select has nothing left asks nobody, and leaves nothing to be taken back; one for which
// little is left waits no longer than that.
func TestNothingLeftToSpend(t *testing.T) {
	w := newMiniWorld(t)
	s := w.replica(t)
	take := w.first(0)
	take.Grant.NotAfter, take.Grant.Budgeted = w.clock.Now(), true
	if _, err := s.TakeFirst(t.Context(), take); !errors.Is(err, errLate) {
		t.Errorf("took with %v", err)
	}
	if due, _ := s.lost.due(w.clock.Now().Add(time.Hour), 1); len(due) > 0 {
		t.Error("it is to be taken back")
	}
	take.Grant.NotAfter = w.clock.Now().Add(time.Second)
	if left := s.take(&take.Grant).left; left != time.Second {
		t.Errorf("it may take %v", left)
	}
}

// TestBeatsSoon: what the heartbeats of others tell after an outage is not known late.
func TestBeatsSoon(t *testing.T) {
	var p pulse
	for i, c := range []struct {
		err  error
		want time.Duration
	}{
		{nil, 10 * time.Second},
		{errChanging, time.Second},
		{errChanging, time.Second},
		{nil, time.Second},
		{nil, time.Second},
		{nil, time.Second},
		{nil, time.Second},
		{nil, 10 * time.Second},
	} {
		if got := p.next(c.err, 30*time.Second); got != c.want {
			t.Errorf("heartbeat %d is followed by another after %v, want %v", i, got, c.want)
		}
	}
	p.soon = beatsSoon
	if got := p.next(nil, 600*time.Millisecond); got != 200*time.Millisecond {
		t.Errorf("the pause of short lives is %v", got)
	}
}

// TestSignalsComeBack: a connection for signals that breaks alone is made anew, each time, and no call fails for that.
func TestSignalsComeBack(t *testing.T) {
	t.Parallel()
	if !redistest.Available() {
		return
	}
	server := redistest.Single(t)
	c := newPatientCrowd(t, single(server.Addr()), "signals", patience)
	for range 3 {
		before := c.stores[0].Sessions()
		server.Must("CLIENT", "KILL", "TYPE", "pubsub")
		until(t, "signals are heard again", func() bool { return c.stores[0].Sessions() > before && c.stores[1].Sessions() > before })
	}
	if n := c.failed.Load(); n > 0 {
		t.Errorf("%d calls failed", n)
	}
	c.settled(single(server.Addr()))
}

// TestTakenBackAgain: a master that takes over may have a take that was not answered, and not that it was taken back.
func TestTakenBackAgain(t *testing.T) {
	t.Parallel()
	if !redistest.Available() {
		return
	}
	server := redistest.Single(t)
	w := &world{options: Options{Server: single(server.Addr()), Budget: patience}}
	s := w.replica(t)
	take := w.long()
	lost := lostTake{id: key(w.take(t, s, take).ID)}
	s.lost.add(lost)
	until(t, "it is taken back", func() bool { return usedBy(t, s) == [3]int32{} && s.lost.none() })
	do(t, w.client(t), "DEL", s.prefix[0]+"l:"+lost.id)
	w.take(t, s, take)
	server.Must("CLIENT", "KILL", "TYPE", "pubsub")
	until(t, "it is taken back again", func() bool { return usedBy(t, s) == [3]int32{} })
}

// TestLeavesAgain: who could not leave the line is counted no more once the server answers.
func TestLeavesAgain(t *testing.T) {
	w := newMiniWorld(t)
	s := w.replica(t)
	if _, err := s.Join(t.Context(), &core.Waiter{ID: waiterID(1), Account: "a", TTL: time.Hour}); err != nil {
		t.Fatal(err)
	}
	mend := cutOff(s)
	if s.Leave(t.Context(), waiterID(1)) == nil {
		t.Error("left a server that is cut off")
	}
	mend()
	until(t, "it waits no more", func() bool {
		w.advance(takeBackRetry)
		u, err := s.Usage(t.Context(), "")
		return err == nil && u.Waiting == 0
	})
}
