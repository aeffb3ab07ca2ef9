package outage

import (
	"context"
	"encoding/base64"
	"sync/atomic"
	"testing"
	"time"

	"usher.internal/core"
)

const keys = "usher:{default}:"

// TestEndedElsewhere: what was reported to another replica is looked after no more: it neither takes room in an outage, nor
// comes back when the memory is lost.
func TestEndedElsewhere(t *testing.T) {
	d := newDrill(t, 2, Options{}, 4)
	for range 4 {
		d.take(d.all[0], 0)
	}
	for range 4 {
		d.finishAt(d.all[1], "a")
	}
	d.until("the other knows", func() bool { return d.all[0].ledger.holds("a") == 0 })
	d.seen()
	d.lose()
	if n := d.takeAll(0); n != 4 {
		t.Errorf("%d of 4 held when each took what it might", n)
	}
	for range 4 {
		d.finish("a")
	}
	d.server.FlushAll()
	d.back()
	if n := d.inUse(d.all[0])["a"]; n != 0 {
		t.Errorf("%d in use", n)
	}
}

// TestEndsAreToldAgain: who granted does not know yet that a lease was reported to another when the memory is lost.
func TestEndsAreToldAgain(t *testing.T) {
	d := newDrill(t, 2, Options{}, 4)
	d.seen()
	for range 4 {
		d.take(d.all[0], 0)
		d.finishAt(d.all[1], "a")
	}
	if n := d.all[0].ledger.holds("a"); n != 4 {
		t.Fatalf("%d are looked after", n)
	}
	d.lose()
	d.server.FlushAll()
	d.back()
	if n := d.inUse(d.all[0])["a"]; n != 0 {
		t.Errorf("%d in use", n)
	}
}

// TestEndsOfOwnersAreToldAgain: likewise of leases that ended with their owner.
func TestEndsOfOwnersAreToldAgain(t *testing.T) {
	d := newDrill(t, 2, Options{}, 4)
	d.seen()
	d.take(d.all[0], 0)
	ended, err := d.all[1].End(t.Context(), []core.LeaseID{d.held["a"][0].ID}, core.LeaseEndForgotten)
	if err != nil || len(ended) != 1 || d.all[0].ledger.holds("a") != 1 {
		t.Fatalf("%d ended, %d are looked after: %v", len(ended), d.all[0].ledger.holds("a"), err)
	}
	d.lose()
	d.server.FlushAll()
	d.back()
	if n := d.inUse(d.all[0])["a"]; n != 0 {
		t.Errorf("%d in use", n)
	}
}

// TestGrantsThatAFailoverLost are taken up again, though nobody was without the store.
func TestGrantsThatAFailoverLost(t *testing.T) {
	d := newDrill(t, 2, Options{}, 4)
	d.take(d.all[0], 0)
	d.seen()
	before, err := d.server.Get(keys + "L")
	if err != nil {
		t.Fatal(err)
	}
	d.take(d.all[0], 0)
	lost := d.held["a"][1].ID
	id := base64.RawURLEncoding.EncodeToString(lost[:])
	if !d.server.Del(keys + "l:" + id) {
		t.Fatal("there is no record")
	}
	if _, err := d.server.ZRem(keys+"x", id); err != nil {
		t.Fatal(err)
	}
	if _, err := d.server.SRem(keys+"o:gateway", id); err != nil {
		t.Fatal(err)
	}
	if err := d.server.Set(keys+"L", before); err != nil {
		t.Fatal(err)
	}
	if n := d.inUse(d.all[1])["a"]; n != 1 {
		t.Fatalf("%d in use, one was lost", n)
	}
	d.until("it is in use again", func() bool { return d.inUse(d.all[1])["a"] == 2 })
	if d.all[0].Degraded() {
		t.Error("degraded although the store answers")
	}
	d.pass(time.Minute)
	if n := d.inUse(d.all[1])["a"]; n != 2 {
		t.Errorf("%d in use after a minute", n)
	}
}

// TestKeysAreLost: somebody deletes keys while all goes on. What is held counts again, and no more than once.
func TestKeysAreLost(t *testing.T) {
	d := newDrill(t, 2, Options{}, 4, 4)
	for ordinal := range 2 {
		d.take(d.all[0], ordinal)
		d.take(d.all[1], ordinal)
	}
	d.seen()
	for _, lost := range [][]string{{"x"}, {"A"}, {"N"}, {"A", "N"}, {"l:" + recordOf(d.held["a"][0])}} {
		for _, name := range lost {
			if !d.server.Del(keys + name) {
				t.Fatalf("there is no key %s", name)
			}
		}
		for _, s := range d.all {
			d.until("all is as it was", func() bool {
				ends, err := d.server.ZMembers(keys + "x")
				used := d.inUse(s)
				return err == nil && len(ends) == 4 && d.server.Exists(keys+lost[0]) && used["a"] == 2 && used["b"] == 2
			})
		}
	}
	d.pass(time.Minute)
	for _, account := range []string{"a", "b"} {
		for len(d.held[account]) > 0 {
			d.finish(account)
		}
	}
	if used := d.inUse(d.all[0]); used["a"] != 0 || used["b"] != 0 {
		t.Errorf("in use at the end: %v", used)
	}
	if d.all[0].Degraded() || d.all[1].Degraded() {
		t.Error("degraded although the store answers")
	}
}

func recordOf(l core.Lease) string { return base64.RawURLEncoding.EncodeToString(l.ID[:]) }

// succeeded is a primary whose master is followed by another while it takes an end down, after all else was told to that one.
type succeeded struct {
	Primary
	sessions atomic.Uint64
	// once is called after the next end was taken down.
	once  func()
	heard atomic.Int64 // ends
}

func (s *succeeded) Sessions() uint64 { return s.sessions.Load() }

func (s *succeeded) Settle(ctx context.Context, events []core.Settlement, results []core.Settled) error {
	err := s.Primary.Settle(ctx, events, results)
	s.heard.Add(int64(len(events)))
	if once := s.once; once != nil {
		s.once = nil
		once()
	}
	return err
}

// TestEndsOfTheOldMasterAreToldAgain though its answer came when all that was known to have ended had been told again.
func TestEndsOfTheOldMasterAreToldAgain(t *testing.T) {
	d := newDrill(t, 1, Options{}, 4)
	primary := &succeeded{Primary: d.all[0].primary}
	s := New(Options{Primary: primary, Clock: d.clock})
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.Register(t.Context(), &d.roster); err != nil {
		t.Fatal(err)
	}
	session := func() uint64 {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.sessions
	}
	d.until("it has looked", func() bool { return s.view.Load() != nil })
	d.take(s, 0)
	primary.once = func() {
		primary.sessions.Add(1)
		d.until("all was told to the new master", func() bool { return session() == 1 })
	}
	d.finishAt(s, "a")
	d.until("it is told of the end, too", func() bool { return primary.heard.Load() >= 2 })
}
