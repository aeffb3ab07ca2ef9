package memstore_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/store/memstore"
	"usher.internal/store/storetest"
)

// TestStateIsWhole plays the same operations on a store and on one that took up its state: they answer alike.
func TestStateIsWhole(t *testing.T) {
	for seed := range uint64(12) {
		before, after := noise(seed, 1500), noise(seed+100, 1500)
		w := newWorld(t)
		w.waiterless = true
		w.play(before)
		twin := newWorld(t)
		twin.waiterless, twin.clock, twin.limits = true, w.clock, append([]int(nil), w.limits...)
		twin.store = open(t, memstore.Options{Clock: w.clock, MarkTTL: markTTL, MarksMax: marksMax})
		section, err := twin.store.Import(w.store.Export(nil, []byte("mine")), nil)
		if err != nil || string(section) != "mine" {
			t.Fatal(section, err)
		}
		twin.register()
		for len(after) >= 2 {
			if got, want := twin.tell(), w.tell(); !reflect.DeepEqual(got, want) {
				t.Fatalf("seed %d, %d left: %+v, want %+v", seed, len(after), got, want)
			}
			// The clock is one.
			if op := after[0] % 13; op == 9 {
				w.step(op, after[1])
			} else {
				w.play(after[:2])
				twin.play(after[:2])
			}
			after = after[2:]
		}
	}
}

// told is what a world says of itself.
type told struct {
	loads    []decide.Load
	usage    core.Usage
	cooling  []core.Cooldown
	held     map[core.LeaseID]core.Lease
	bindings []string
	fates    []core.Settled
}

func (w *world) tell() (out told) {
	ctx := context.Background()
	out.loads = append(out.loads, w.look()...)
	out.held = make(map[core.LeaseID]core.Lease)
	var err error
	out.usage, err = w.store.Usage(ctx, "t")
	w.must(err)
	out.cooling, err = w.store.Cooling(ctx)
	w.must(err)
	for i := range out.cooling {
		out.cooling[i].Until = out.cooling[i].Until.Round(0)
	}
	for _, name := range []string{"n", "o", "p", "q"} {
		held, err := w.store.LeasesOf(ctx, name)
		w.must(err)
		for _, l := range held {
			out.held[l.ID] = l
		}
	}
	for n := range byte(5) {
		found, err := w.store.TakeBound(ctx, &core.BoundTake{
			Grant: core.Grant{ID: core.LeaseID{9}, TTL: time.Second}, Session: core.BindingKey{3, n}, Judge: keeper{}, DryRun: true,
		})
		w.must(err)
		out.bindings = append(out.bindings, found.Session.Account+"/"+found.Session.Substitute)
	}
	// Each of these is counted already or refused, so that asking changes nothing new.
	events := make([]core.Settlement, 0, 24)
	for n := range byte(24) {
		events = append(events, core.Settlement{Kind: core.SettleSwitched, Lease: core.LeaseID{1, n}})
	}
	out.fates = make([]core.Settled, len(events))
	w.must(w.store.Settle(ctx, events, out.fates))
	return out
}

type keeper struct{}

func (keeper) Judge(decide.Layer, string) decide.Fate { return decide.Keep }

// Fates is not asked for by a store that asks Judge.
func (keeper) Fates([]string, []core.Fates) {}

// Standing is not asked for either.
func (keeper) Standing() (core.Standing, bool) { return core.Standing{}, false }

func noise(seed uint64, n int) []byte {
	data := make([]byte, n)
	x := seed*2 + 1
	for i := range data {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		data[i] = byte(x >> 32)
	}
	return data
}

// filled gives a store with one of each thing, and the lease that lives.
func filled(t testing.TB, clock core.Clock) (*memstore.Store, core.Lease) {
	t.Helper()
	s := open(t, memstore.Options{Clock: clock})
	if err := register(t, s, core.RosterEntry{ID: "a", Limit: 3}, core.RosterEntry{ID: "b"}); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	take := func(n uint64, substitute bool) core.Lease {
		grant := benchGrant(n)
		grant.TTL, grant.Request = time.Minute, core.RequestKey(key16('q', n))
		out, err := s.TakeFirst(ctx, &core.FirstTake{
			Grant: grant, Order: []core.Choice{{Ordinal: int32(n-1) * 7, Probe: n == 1}, {Ordinal: 1}},
			Session: core.BindingKey{byte(n)}, SessionTTL: time.Hour, Substitute: substitute,
		})
		if err != nil || out.Status != core.FirstTook {
			t.Fatal(out, err)
		}
		return out.Lease
	}
	lives := take(1, false)
	take(2, true)
	ended := take(3, false)
	events := []core.Settlement{
		{Kind: core.SettleFinished, Lease: ended.ID},
		{Kind: core.SettleUnused, Request: core.RequestKey{77}},
	}
	if err := s.Settle(ctx, events, make([]core.Settled, 2)); err != nil {
		t.Fatal(err)
	}
	bound := &core.BoundTake{Grant: benchGrant(4), Session: core.BindingKey{1}, Judge: fit{}, SessionTTL: time.Hour}
	bound.Grant.Owner.Name, bound.Grant.TTL = "gateway-2", time.Minute
	if out, err := s.TakeBound(ctx, bound); err != nil || out.Status != core.BoundTook {
		t.Fatal(out, err)
	}
	if _, err := s.End(ctx, []core.LeaseID{take(5, false).ID}, core.LeaseEndForgotten); err != nil {
		t.Fatal(err)
	}
	limited := core.Cooldown{Account: "a", Until: clock.Now().Add(time.Hour), Keep: time.Hour, Reason: decide.RateLimited}
	ofModel := limited
	ofModel.Model = "m"
	unkept := []core.Cooldown{{Account: "paused"}, {Account: "probed", Until: clock.Now().Add(-1), Keep: time.Hour}}
	for _, c := range append(unkept, limited, ofModel) {
		if _, err := s.Cool(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Secret(ctx); err != nil {
		t.Fatal(err)
	}
	return s, lives
}

// TestTimeAway: what is left of a life shrinks by the time between, and does not grow or end when the clock went back.
func TestTimeAway(t *testing.T) {
	for _, row := range []struct {
		away  time.Duration
		lives bool
		left  time.Duration
	}{{0, true, time.Minute}, {59 * time.Second, true, time.Second}, {time.Minute, false, 0}, {-time.Hour, true, time.Minute}, {1000 * time.Hour, false, 0}} {
		clock := storetest.NewClock()
		old, lease := filled(t, clock)
		state := old.Export(nil, nil)
		clock.Advance(row.away)
		s := open(t, memstore.Options{Clock: clock})
		if _, err := s.Import(state, nil); err != nil {
			t.Fatal(err)
		}
		held, err := s.LeasesOf(context.Background(), lease.Owner.Name)
		if err != nil || (len(held) == 2) != row.lives {
			t.Fatalf("after %v: %d leases, %v", row.away, len(held), err)
		}
		swept, err := s.Sweep(context.Background(), 100)
		if err != nil || (len(swept.Expired) == 3) == row.lives {
			t.Errorf("after %v: swept %d leases, %v", row.away, len(swept.Expired), err)
		}
		for _, l := range held {
			if left := l.ExpiresAt.Sub(clock.Now()); left != row.left {
				t.Errorf("after %v: %v left, want %v", row.away, left, row.left)
			}
			if l.GrantedAt.UnixNano() != lease.GrantedAt.UnixNano() {
				t.Errorf("after %v: granted at %v, want %v", row.away, l.GrantedAt, lease.GrantedAt)
			}
		}
	}
}

// TestRestartKeepsWhatCounted: nothing that was counted counts again, and what was not does.
func TestRestartKeepsWhatCounted(t *testing.T) {
	clock := storetest.NewClock()
	old, lease := filled(t, clock)
	secret, err := old.Secret(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, memstore.Options{Clock: clock})
	if _, err := s.Import(old.Export(nil, nil), nil); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Secret(context.Background()); err != nil || string(got) != string(secret) {
		t.Errorf("another secret, %v", err)
	}
	events := []core.Settlement{
		{Kind: core.SettleFinished, Lease: core.LeaseID(key16('l', 3)), Account: "a", GrantedAt: lease.GrantedAt},
		{Kind: core.SettleUnused, Request: core.RequestKey{77}},
		{Kind: core.SettleFinished, Lease: lease.ID},
	}
	want := []core.EventStatus{core.EventAlreadyReleased, core.EventAlreadyReleased, core.EventApplied}
	results := make([]core.Settled, len(events))
	if err := s.Settle(context.Background(), events, results); err != nil {
		t.Fatal(err)
	}
	for i := range want {
		if results[i].Status != want[i] {
			t.Errorf("event %d: status %d, want %d", i, results[i].Status, want[i])
		}
	}
	live := benchGrant(1)
	take := &core.FirstTake{Grant: live}
	if out, err := s.TakeFirst(context.Background(), take); err != nil || out.Status != core.FirstReleased {
		t.Errorf("took %+v, %v", out, err)
	}
	take.Grant = benchGrant(2)
	if out, err := s.TakeFirst(context.Background(), take); err != nil || out.Status != core.FirstTook || out.Index != 1 {
		t.Errorf("took %+v, %v", out, err)
	}
	bound := &core.BoundTake{Grant: benchGrant(4)}
	if out, err := s.TakeBound(context.Background(), bound); err != nil || out.Status != core.BoundTook || out.Layer != decide.LayerSession {
		t.Errorf("took %+v, %v", out, err)
	}
	renewed := make([]core.Renewed, 1)
	if err := s.Renew(context.Background(), []core.Renewal{{Lease: core.LeaseID(key16('l', 5))}}, renewed); err != nil || renewed[0].End != core.LeaseEndForgotten {
		t.Errorf("renewed as %+v, %v", renewed, err)
	}
	cooling, err := s.Cooling(context.Background())
	if err != nil || len(cooling) != 2 || cooling[0].Reason != decide.RateLimited || !cooling[0].Until.Equal(clock.Now().Add(time.Hour)) {
		t.Errorf("cooling %+v, %v", cooling, err)
	}
	given := open(t, memstore.Options{Clock: clock, Secret: make([]byte, 32)})
	if _, err := given.Import(old.Export(nil, nil), nil); err != nil {
		t.Fatal(err)
	}
	if got, _ := given.Secret(context.Background()); string(got) != string(make([]byte, 32)) {
		t.Error("the given secret was replaced")
	}
}

// TestMarkBeatsLease: a lease that ended while the state was written is told as living and by its mark.
func TestMarkBeatsLease(t *testing.T) {
	clock := storetest.NewClock()
	s, lease := filled(t, clock)
	before := s.Export(nil, nil)
	if err := s.Settle(context.Background(), []core.Settlement{{Kind: core.SettleFinished, Lease: lease.ID}}, make([]core.Settled, 1)); err != nil {
		t.Fatal(err)
	}
	both := open(t, memstore.Options{Clock: clock})
	both.TakeLeasesAndMarks(before, s.Export(nil, nil))
	if faults := both.Inspect(); faults != nil {
		t.Errorf("%q", faults)
	}
	if held, err := both.LeasesOf(context.Background(), lease.Owner.Name); err != nil || len(held) != 1 || held[0].ID == lease.ID {
		t.Errorf("holds %+v, %v", held, err)
	}
}

// TestDamagedStates: no changed or cut state is taken up, in no part.
func TestDamagedStates(t *testing.T) {
	clock := storetest.NewClock()
	old, _ := filled(t, clock)
	state := old.Export(nil, []byte("section"))
	refuse := func(what string, data []byte, want error) {
		t.Helper()
		s := open(t, memstore.Options{Clock: clock})
		if _, err := s.Import(data, nil); !errors.Is(err, want) {
			t.Fatalf("%s: %v, want %v", what, err, want)
		}
		if _, err := s.Import(state, nil); err != nil { // nobody has used it
			t.Fatalf("%s left something: %v", what, err)
		}
	}
	for n := range state {
		refuse(fmt.Sprint("cut at ", n), state[:n], memstore.ErrDamaged)
		changed := append([]byte(nil), state...)
		changed[n] ^= 0x80
		want := memstore.ErrDamaged
		if version := n - len("usher state\n"); version == 0 || version == 1 {
			want = memstore.ErrNewer
		}
		refuse(fmt.Sprint("changed at ", n), changed, want)
	}
	refuse("longer", append(append([]byte(nil), state...), 0), memstore.ErrDamaged)
	s := open(t, memstore.Options{Clock: clock})
	refused := errors.New("refused")
	if _, err := s.Import(state, func([]byte) error { return refused }); !errors.Is(err, refused) || !errors.Is(err, memstore.ErrDamaged) {
		t.Errorf("a section that its owner refuses: %v", err)
	}
	if _, err := old.Import(state, nil); core.KindOf(err) != core.KindInternal || errors.Is(err, memstore.ErrDamaged) {
		t.Errorf("into a store in use: %v", err)
	}
}
