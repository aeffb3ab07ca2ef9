package memstore_test

import (
	"context"
	"math"
	"testing"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/store/memstore"
	"usher.internal/store/storetest"
)

func open(t testing.TB, opts memstore.Options) *memstore.Store {
	t.Helper()
	s, err := memstore.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestOptions(t *testing.T) {
	for name, opts := range map[string]memstore.Options{
		"mark life": {MarkTTL: -1}, "marks": {MarksMax: -1}, "secret": {Secret: make([]byte, 31)},
	} {
		if _, err := memstore.New(opts); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	secret := make([]byte, 32)
	secret[0] = 7
	got, err := open(t, memstore.Options{Secret: secret}).Secret(context.Background())
	if err != nil || string(got) != string(secret) {
		t.Errorf("secret is %x, %v", got, err)
	}
}

func register(t testing.TB, s *memstore.Store, entries ...core.RosterEntry) error {
	t.Helper()
	return s.Register(context.Background(), &core.Roster{Accounts: entries})
}

func TestRosterThatCannotBe(t *testing.T) {
	s := open(t, memstore.Options{})
	a, b := core.RosterEntry{ID: "a", Limit: 1}, core.RosterEntry{ID: "b", Limit: 1}
	if err := register(t, s, a, core.RosterEntry{}, b); err != nil {
		t.Fatal(err)
	}
	for name, entries := range map[string][]core.RosterEntry{
		"changed id": {b}, "blanked id": {{}}, "id twice": {a, a}, "id elsewhere": {a, b},
	} {
		if err := register(t, s, entries...); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := register(t, s, a); err != nil { // a shorter roster takes nothing away
		t.Fatal(err)
	}
	take := &core.FirstTake{Grant: benchGrant(1), Order: []core.Choice{{Ordinal: 1}, {Ordinal: 2}}}
	if out, err := s.TakeFirst(context.Background(), take); err != nil || out.Lease.Account != "b" {
		t.Errorf("took %+v, %v", out, err)
	}
}

// TestMarksAreBounded shows that the oldest mark goes first.
func TestMarksAreBounded(t *testing.T) {
	clock := storetest.NewClock()
	s := open(t, memstore.Options{Clock: clock, MarksMax: 3})
	settle := func(n byte) core.EventStatus {
		results := make([]core.Settled, 1)
		events := []core.Settlement{{Kind: core.SettleUnused, Request: core.RequestKey{n}}}
		if err := s.Settle(context.Background(), events, results); err != nil {
			t.Fatal(err)
		}
		return results[0].Status
	}
	for n := range byte(4) {
		if got := settle(n + 1); got != core.EventReleaseRecorded {
			t.Errorf("release %d: status %d", n+1, got)
		}
	}
	for n, want := range map[byte]core.EventStatus{2: core.EventAlreadyReleased, 4: core.EventAlreadyReleased} {
		if got := settle(n); got != want {
			t.Errorf("release %d again: status %d, want %d", n, got, want)
		}
	}
	if got := settle(1); got != core.EventReleaseRecorded {
		t.Errorf("the oldest mark is still there: status %d", got)
	}
	if marks, _, _ := s.Sizes(); marks != 3 {
		t.Errorf("%d marks, want 3", marks)
	}
}

// TestOrderOfBindingsIsBounded drops and binds one session again and again.
func TestOrderOfBindingsIsBounded(t *testing.T) {
	clock := storetest.NewClock()
	s := open(t, memstore.Options{Clock: clock, MarksMax: 16})
	if err := register(t, s, core.RosterEntry{ID: "a"}); err != nil {
		t.Fatal(err)
	}
	session := core.BindingKey{1}
	for n := range uint64(20_000) {
		clock.Advance(time.Millisecond)
		first := &core.FirstTake{Grant: benchGrant(n), Order: []core.Choice{{}}, Session: session, SessionTTL: time.Hour}
		out, err := s.TakeFirst(context.Background(), first)
		if err != nil || out.Status != core.FirstTook {
			t.Fatal(out, err)
		}
		bound := &core.BoundTake{Grant: benchGrant(n | 1<<50), Session: session, Judge: dropper{}}
		if out, err := s.TakeBound(context.Background(), bound); err != nil || out.Session.Fate != decide.Drop {
			t.Fatal(out, err)
		}
		events := []core.Settlement{{Kind: core.SettleFinished, Lease: first.Grant.ID}}
		if err := s.Settle(context.Background(), events, make([]core.Settled, 1)); err != nil {
			t.Fatal(err)
		}
	}
	if _, order, pages := s.Sizes(); order > 3000 || pages != 1 {
		t.Errorf("%d entries for one binding, %d pages for one lease", order, pages)
	}
}

type dropper struct{}

func (dropper) Judge(decide.Layer, string) decide.Fate { return decide.Drop }

// Fates is not asked for by a store that asks Judge.
func (dropper) Fates([]string, []core.Fates) {}

// Standing is not asked for either.
func (dropper) Standing() (core.Standing, bool) { return core.Standing{}, false }

// TestEndlessLives takes lives that no clock can count.
func TestEndlessLives(t *testing.T) {
	clock := storetest.NewClock()
	s := open(t, memstore.Options{Clock: clock})
	if err := register(t, s, core.RosterEntry{ID: "a", Limit: 1}); err != nil {
		t.Fatal(err)
	}
	clock.Advance(time.Hour)
	take := &core.FirstTake{Grant: benchGrant(1), Order: []core.Choice{{}}, Session: core.BindingKey{1}, SessionTTL: math.MaxInt64}
	take.Grant.TTL = math.MaxInt64
	if _, err := s.TakeFirst(context.Background(), take); err != nil {
		t.Fatal(err)
	}
	clock.Advance(1000 * time.Hour)
	if u, err := s.Usage(context.Background(), "tenant"); err != nil || u.Leases != 1 || u.Bindings != 1 {
		t.Errorf("usage is %+v, %v", u, err)
	}
}

// TestAllocations holds the takes and settlements to no allocation of their own.
func TestAllocations(t *testing.T) {
	s := benchStore(t, 10, 10)
	take := &core.FirstTake{Order: []core.Choice{{Ordinal: 3}}, SessionTTL: time.Hour}
	events, results := make([]core.Settlement, 1), make([]core.Settled, 1)
	n := uint64(0)
	once := func() {
		n++
		take.Grant = benchGrant(n)
		take.Grant.Request = core.RequestKey(key16('q', n))
		take.Session = core.BindingKey(key16('s', n%100))
		if _, err := s.TakeFirst(context.Background(), take); err != nil {
			t.Fatal(err)
		}
		events[0] = core.Settlement{Kind: core.SettleFinished, Lease: take.Grant.ID}
		if err := s.Settle(context.Background(), events, results); err != nil {
			t.Fatal(err)
		}
	}
	for range 5000 {
		once()
	}
	if got := testing.AllocsPerRun(2000, once); got >= 1 {
		t.Errorf("%v allocations for a take and its end", got)
	}
}
