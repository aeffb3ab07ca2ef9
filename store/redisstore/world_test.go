package redisstore

import (
	"context"
	"encoding/binary"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/rueidis"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/store/storetest"
)

// world is a server on which tests run replicas.
type world struct {
	options Options
	// mini is nil on a real server.
	mini  *miniredis.Miniredis
	clock *storetest.Clock
	// jumped is how far the server's clock is ahead of what it was.
	jumped atomic.Int64
	made   uint64 // ids
}

const (
	worldTTL     = 60 * time.Second // of leases
	worldMarkTTL = 5 * time.Minute
)

// newMiniWorld begins on a server in this process.
func newMiniWorld(t testing.TB) *world {
	t.Helper()
	w := &world{mini: miniredis.NewMiniRedis(), clock: storetest.NewClock()}
	if err := w.mini.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.mini.Close)
	w.mini.SetTime(w.clock.Now())
	w.options = suiteOptions(single(w.mini.Addr()), w.clock)
	w.options.fakeNow = w.now // its own clock is moved a moment after w's, which who calls by himself may see
	return w
}

// newRealWorld begins in a namespace of a server whose clock stands still for the scripts, too.
func newRealWorld(server Server, namespace string) *world {
	w := &world{clock: storetest.NewClock()}
	w.options = suiteOptions(server, w.clock)
	w.options.fakeNow, w.options.Namespace = w.now, namespace
	return w
}

// now gives what the server's clock shows.
func (w *world) now() time.Time { return w.clock.Now().Add(time.Duration(w.jumped.Load())) }

// jump moves the server's clock alone.
func (w *world) jump(d time.Duration) {
	w.jumped.Add(int64(d))
	if w.mini != nil {
		w.mini.SetTime(w.now())
	}
}

// advance moves the clock that decides.
func (w *world) advance(d time.Duration) {
	w.clock.Advance(d)
	if w.mini != nil {
		w.mini.SetTime(w.now())
		w.mini.FastForward(d)
	}
}

// replica starts one that knows accounts a with 3 slots, b with 2 and c without a limit.
func (w *world) replica(t testing.TB) *Store {
	t.Helper()
	s := open(t, w.options)
	must(t, s.Register(context.Background(), worldRoster()))
	return s
}

func worldRoster() *core.Roster {
	return &core.Roster{Accounts: []core.RosterEntry{{ID: "a", Limit: 3}, {ID: "b", Limit: 2}, {ID: "c"}}}
}

// client gives one beside the stores.
func (w *world) client(t storetest.TB) rueidis.Client { return beside(t, &w.options.Server) }

func beside(t storetest.TB, server *Server) rueidis.Client {
	t.Helper()
	client, err := dial(context.Background(), server, patience, newDoors(slog.New(slog.DiscardHandler), server))
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(client.Close)
	return client
}

// id gives one that no other call gave.
func (w *world) id() (id [16]byte) {
	w.made++
	id[0] = 2
	binary.BigEndian.PutUint64(id[8:], w.made)
	return id
}

func waiterID(n int) core.WaiterID { return core.WaiterID(numbered(n)) }

func numbered(n int) (id [16]byte) {
	id[0] = 3
	binary.BigEndian.PutUint64(id[8:], uint64(n))
	return id
}

// first asks for the accounts of some ordinals, in order.
func (w *world) first(order ...int32) *core.FirstTake {
	take := &core.FirstTake{Grant: core.Grant{ID: w.id(), TTL: worldTTL}}
	for _, ordinal := range order {
		take.Order = append(take.Order, core.Choice{Ordinal: ordinal})
	}
	return take
}

// take takes what must have room.
func (w *world) take(t testing.TB, s *Store, take *core.FirstTake) core.Lease {
	t.Helper()
	out, err := s.TakeFirst(context.Background(), take)
	must(t, err)
	if out.Status != core.FirstTook {
		t.Fatalf("the take ended with %d", out.Status)
	}
	return out.Lease
}

func settle(t testing.TB, s *Store, kind core.SettleKind, l core.Lease) core.EventStatus {
	t.Helper()
	events := []core.Settlement{{Kind: kind, Lease: l.ID, Account: l.Account, GrantedAt: l.GrantedAt}}
	results := make([]core.Settled, 1)
	must(t, s.Settle(context.Background(), events, results))
	return results[0].Status
}

// usedBy gives how many leases the accounts have by their ordinals.
func usedBy(t testing.TB, s *Store) [3]int32 {
	t.Helper()
	var loads [3]decide.Load
	must(t, s.Loads(context.Background(), []int32{0, 1, 2}, loads[:]))
	return [3]int32{loads[0].InUse, loads[1].InUse, loads[2].InUse}
}

// fill makes a namespace with something of each kind.
func (w *world) fill(t testing.TB, s *Store) {
	t.Helper()
	ctx := context.Background()
	take := w.first(0)
	take.Grant.Request, take.Grant.Tenant = w.id(), "tenant"
	take.Grant.Owner = core.Owner{Name: "owner", Incarnation: "one"}
	take.Session, take.SessionTTL = w.id(), time.Hour
	w.take(t, s, take)
	stand := w.first(1)
	stand.Session, stand.SessionTTL, stand.Substitute = take.Session, time.Hour, true
	stand.Grant.Request = w.id()
	settle(t, s, core.SettleFinished, w.take(t, s, stand))
	_, err := s.Join(ctx, &core.Waiter{ID: waiterID(1), Account: "a", Tenant: "tenant", TTL: time.Minute})
	must(t, err)
	_, err = s.Cool(ctx, core.Cooldown{Account: "b", Model: "m", Until: w.clock.Now().Add(time.Hour), Reason: 1})
	must(t, err)
	_, err = s.PutState(ctx, core.StateOverride{Account: "c"})
	must(t, err)
	_, err = s.ShareStats(ctx, []byte{0, '\n'}, time.Minute)
	must(t, err)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// do sends one command.
func do(t testing.TB, client rueidis.Client, words ...string) rueidis.RedisResult {
	t.Helper()
	got := client.Do(context.Background(), client.B().Arbitrary(words...).Build())
	if err := got.Error(); err != nil && !rueidis.IsRedisNil(err) {
		t.Fatalf("%.80q: %v", words, err)
	}
	return got
}
