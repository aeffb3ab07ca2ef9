package outage

import (
	"context"
	"encoding/binary"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/store/redisstore"
	"usher.internal/store/storetest"
)

const (
	leaseTTL = time.Hour
	patience = time.Minute
)

// drill is several replicas on one server that can be taken away.
type drill struct {
	*testing.T
	server *miniredis.Miniredis
	clock  *storetest.Clock
	roster core.Roster
	all    []*Store
	made   uint64
	held   map[string][]core.Lease // by account
	by     map[core.LeaseID]*Store
}

func newDrill(t *testing.T, replicas int, opts Options, limits ...int) *drill {
	t.Helper()
	d := &drill{
		T: t, server: miniredis.RunT(t), clock: storetest.NewClock(), held: make(map[string][]core.Lease), by: make(map[core.LeaseID]*Store),
	}
	d.server.SetTime(d.clock.Now())
	for i, limit := range limits {
		d.roster.Accounts = append(d.roster.Accounts, core.RosterEntry{ID: string(rune('a' + i)), Limit: limit})
	}
	for range replicas {
		d.all = append(d.all, d.begin(opts))
	}
	return d
}

func (d *drill) begin(opts Options) *Store {
	d.Helper()
	primary, err := redisstore.New(redisstore.Options{
		Server: redisstore.Server{Addresses: []string{d.server.Addr()}}, Clock: d.clock, Budget: patience, StoreLeaseTTL: 30 * time.Second,
		MarkTTL: opts.MarkTTL,
	})
	if err != nil {
		d.Fatal(err)
	}
	if opts.Recovered == nil {
		<-primary.Reached() // who wants to hear of a recovery starts without the server
	}
	opts.Primary, opts.Clock = primary, d.clock
	s := New(opts)
	d.Cleanup(func() {
		if err := s.Close(); err != nil {
			d.Error(err)
		}
	})
	roster := d.roster
	if err := s.Register(d.Context(), &roster); err != nil {
		d.Fatal(err)
	}
	return s
}

// pass lets time go by, in steps that timers can follow.
func (d *drill) pass(t time.Duration) {
	const step = 50 * time.Millisecond
	for ; t > 0; t -= step {
		d.clock.Advance(min(step, t))
		d.server.SetTime(d.clock.Now())
	}
}

// until lets time go by until it is so.
func (d *drill) until(what string, is func() bool) {
	d.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	poll := time.NewTicker(2 * time.Millisecond)
	defer poll.Stop()
	for !is() {
		d.pass(50 * time.Millisecond)
		select {
		case <-poll.C:
		case <-ctx.Done():
			d.Fatalf("it did not come to be that %s", what)
		}
	}
}

// seen lets every replica look at the loads, and hear of the others.
func (d *drill) seen() {
	d.Helper()
	for _, s := range d.all {
		before := s.view.Load()
		d.until("all have looked", func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.view.Load() != before && len(s.members) == len(d.all)
		})
	}
}

// lose takes the server away, and has every replica find out.
func (d *drill) lose() {
	d.Helper()
	d.server.SetError("LOADING Redis is loading the dataset in memory")
	for _, s := range d.all {
		d.until("all are on their own", s.Degraded)
	}
}

// take takes a slot of an account on a replica; false when it has none.
func (d *drill) take(s *Store, ordinal int) bool {
	d.Helper()
	d.made++
	var id core.LeaseID
	id[0] = 1
	binary.BigEndian.PutUint64(id[8:], d.made)
	out, err := s.TakeFirst(d.Context(), &core.FirstTake{
		Grant: core.Grant{ID: id, TTL: leaseTTL, Owner: core.Owner{Name: "gateway", Incarnation: "1"}}, Order: []core.Choice{{Ordinal: int32(ordinal)}},
	})
	if err != nil {
		d.Fatal(err)
	}
	if out.Status != core.FirstTook {
		return false
	}
	d.held[out.Lease.Account] = append(d.held[out.Lease.Account], out.Lease)
	d.by[out.Lease.ID] = s
	return true
}

// takeAll has each replica take as much as it may, in turn, and gives how many are held then.
func (d *drill) takeAll(ordinal int) int {
	d.Helper()
	for more := true; more; {
		more = false
		for _, s := range d.all {
			more = d.take(s, ordinal) || more
		}
	}
	return len(d.held[d.roster.Accounts[ordinal].ID])
}

// finish gives the oldest slot of an account back, where it was taken.
func (d *drill) finish(account string) {
	d.Helper()
	d.finishAt(d.by[d.held[account][0].ID], account)
}

// finishAt gives the oldest slot of an account back to a replica.
func (d *drill) finishAt(s *Store, account string) {
	d.Helper()
	l := d.held[account][0]
	d.held[account] = d.held[account][1:]
	events := []core.Settlement{{Kind: core.SettleFinished, Lease: l.ID, Account: l.Account, GrantedAt: l.GrantedAt}}
	results := make([]core.Settled, 1)
	if err := s.Settle(d.Context(), events, results); err != nil {
		d.Fatal(err)
	}
	if results[0].Status != core.EventApplied {
		d.Errorf("finished with status %v", results[0].Status)
	}
}

// back gives the server back, and waits until it is shared again.
func (d *drill) back() {
	d.Helper()
	d.server.SetError("")
	for _, s := range d.all {
		d.until("it is shared again", func() bool { return !s.Degraded() })
	}
}

func (d *drill) inUse(s *Store) map[string]int {
	d.Helper()
	ordinals := make([]int32, len(d.roster.Accounts))
	for i := range ordinals {
		ordinals[i] = int32(i)
	}
	loads := make([]decide.Load, len(ordinals))
	if err := s.Loads(d.Context(), ordinals, loads); err != nil {
		d.Fatal(err)
	}
	out := make(map[string]int)
	for i := range loads {
		out[d.roster.Accounts[i].ID] = int(loads[i].InUse)
	}
	return out
}

// TestDrill: all replicas lose the store together, with even and with skewed use before.
func TestDrill(t *testing.T) {
	for name, skewed := range map[string]bool{"even": false, "skewed": true} {
		t.Run(name, func(t *testing.T) {
			d := newDrill(t, 3, Options{Settle: time.Minute}, 2, 10, 60)
			for ordinal, limit := range []int{2, 10, 60} {
				for n := range limit / 2 {
					s := d.all[n%3]
					if skewed {
						s = d.all[0]
					}
					d.take(s, ordinal)
				}
			}
			d.seen()
			d.lose()
			for ordinal, entry := range d.roster.Accounts {
				if n := d.takeAll(ordinal); n != entry.Limit {
					t.Errorf("%d of %d held when each took what it might", n, entry.Limit)
				}
			}
			// What comes free now is whose share it is: never more than the limit, for as long as the outage lasts.
			d.pass(time.Minute)
			for _, s := range d.all {
				d.until("each has its exact part", func() bool {
					i := s.phase.Load().island
					i.mu.RLock()
					defer i.mu.RUnlock()
					return i.exact
				})
			}
			for ordinal, entry := range d.roster.Accounts {
				for len(d.held[entry.ID]) > 0 {
					d.finish(entry.ID)
				}
				if n := d.takeAll(ordinal); n != entry.Limit {
					t.Errorf("%d of %d held when each had its exact part", n, entry.Limit)
				}
			}
			d.back()
			for _, s := range d.all {
				for id, n := range d.inUse(s) {
					if n != len(d.held[id]) {
						t.Errorf("%s: %d in use after it was shared again, %d held", id, n, len(d.held[id]))
					}
				}
			}
			for _, entry := range d.roster.Accounts {
				d.finish(entry.ID)
			}
			if n := d.takeAll(1); n != 10 {
				t.Errorf("%d of 10 held when shared again", n)
			}
		})
	}
}

// TestReportsOfAnOutageCountOnce: what was finished meanwhile is finished for all afterwards, and no second time.
func TestReportsOfAnOutageCountOnce(t *testing.T) {
	d := newDrill(t, 2, Options{}, 4)
	d.take(d.all[0], 0)
	l := d.held["a"][0]
	d.seen()
	d.lose()
	d.finish("a")
	d.back()
	if n := d.inUse(d.all[1])["a"]; n != 0 {
		t.Errorf("%d in use", n)
	}
	results := make([]core.Settled, 1)
	again := []core.Settlement{{Kind: core.SettleFinished, Lease: l.ID, Account: l.Account, GrantedAt: l.GrantedAt}}
	if err := d.all[1].Settle(t.Context(), again, results); err != nil || results[0].Status != core.EventAlreadyReleased {
		t.Errorf("finished again with %+v, %v", results[0], err)
	}
}

// TestMemoryIsLost: a server that comes back empty hears again what each replica holds.
func TestMemoryIsLost(t *testing.T) {
	d := newDrill(t, 2, Options{}, 4)
	d.take(d.all[0], 0)
	d.take(d.all[1], 0)
	d.seen()
	d.lose()
	d.server.FlushAll()
	d.back()
	if n := d.inUse(d.all[0])["a"]; n != 2 {
		t.Errorf("%d in use, 2 are held", n)
	}
	d.server.FlushAll() // and nobody noticed
	d.until("all is in use again", func() bool { return d.inUse(d.all[0])["a"] == 2 })
	if d.all[0].Degraded() {
		t.Error("degraded although the store answers")
	}
}

func TestFailClosed(t *testing.T) {
	d := newDrill(t, 1, Options{Mode: FailClosed}, 4)
	d.take(d.all[0], 0)
	d.seen()
	d.lose()
	_, err := d.all[0].TakeFirst(t.Context(), &core.FirstTake{Grant: core.Grant{ID: core.LeaseID{9}, TTL: leaseTTL}, Order: []core.Choice{{}}})
	if core.KindOf(err) != core.KindStoreUnavailable || err == nil {
		t.Errorf("took with %v", err)
	}
	d.back()
	if n := d.inUse(d.all[0])["a"]; n != 1 {
		t.Errorf("%d in use", n)
	}
}

// TestConversationsStay: during an outage a session stays where this replica saw it.
func TestConversationsStay(t *testing.T) {
	d := newDrill(t, 1, Options{}, 9, 9)
	session := core.BindingKey{1}
	_, err := d.all[0].TakeFirst(t.Context(), &core.FirstTake{
		Grant: core.Grant{ID: core.LeaseID{7}, TTL: leaseTTL}, Order: []core.Choice{{Ordinal: 1}}, Session: session, SessionTTL: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	d.seen()
	d.lose()
	out, err := d.all[0].TakeBound(t.Context(), &core.BoundTake{
		Grant: core.Grant{ID: core.LeaseID{8}, TTL: leaseTTL}, Session: session, SessionTTL: time.Hour, Judge: anyFate{},
	})
	if err != nil || out.Status != core.BoundTook || out.Lease.Account != "b" {
		t.Errorf("took %+v, %v", out, err)
	}
}

type anyFate struct{}

func (anyFate) Judge(decide.Layer, string) decide.Fate { return decide.Take }

func (anyFate) Fates(_ []string, fates []core.Fates) {
	for i := range fates {
		fates[i] = core.Fates{Response: decide.Take, Session: decide.Take, Substitute: decide.Take}
	}
}

func (anyFate) Standing() (core.Standing, bool) { return core.Standing{}, false }

// TestStartWithoutTheStore: there is a key, and slots by the number of replicas that the options name; the store's own key is told.
func TestStartWithoutTheStore(t *testing.T) {
	keys := make(chan []byte, 8)
	d := newDrill(t, 1, Options{}, 6)
	shared, err := d.all[0].Secret(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d.server.SetError("LOADING")
	late := d.begin(Options{Replicas: 3, Recovered: func(key []byte) { keys <- key }})
	own, err := late.Secret(t.Context())
	if err != nil || len(own) != 32 || string(own) == string(shared) {
		t.Fatalf("a key of %d bytes, %v", len(own), err)
	}
	n := 0
	for d.take(late, 0) {
		n++
	}
	if n != 2 {
		t.Errorf("%d of 6 slots taken by one of three", n)
	}
	d.server.SetError("")
	d.until("the store's key is told", func() bool { return len(keys) > 0 })
	if key := <-keys; string(key) != string(shared) {
		t.Error("another key was told")
	}
	if n := d.inUse(d.all[0])["a"]; n != 2 {
		t.Errorf("%d in use for all, 2 are held", n)
	}
}
