package memstore_test

import (
	"context"
	"testing"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/store/memstore"
	"usher.internal/store/storetest"
)

// FuzzOperations reads operations from bytes and holds after each that counts follow
// from records and that nothing was granted above a limit.
func FuzzOperations(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11})
	f.Add([]byte{0, 0, 0, 0, 0, 16, 32, 3, 19, 9, 200, 0, 1, 10, 0, 2, 2, 2, 11, 9, 255, 9, 255, 9, 255, 5, 6, 7})
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 4000 {
			return
		}
		newWorld(t).play(data)
	})
}

// TestOperations plays many operations from a fixed sequence.
func TestOperations(t *testing.T) {
	for seed := range uint64(20) {
		newWorld(t).play(noise(seed, 3000))
	}
}

// world is a store in which few ids are used again and again.
type world struct {
	*testing.T
	store  *memstore.Store
	clock  *storetest.Clock
	limits []int
	loads  []decide.Load
	// waiterless leaves out what is not part of a state.
	waiterless bool
}

const (
	markTTL  = 20 * time.Second
	marksMax = 16
)

func newWorld(t *testing.T) *world {
	clock := storetest.NewClock()
	s, err := memstore.New(memstore.Options{Clock: clock, MarkTTL: markTTL, MarksMax: marksMax})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, store: s, clock: clock, limits: []int{1, 2, 3, 0}}
	w.register()
	return w
}

func (w *world) register() {
	roster := &core.Roster{}
	for i, limit := range w.limits {
		roster.Accounts = append(roster.Accounts, core.RosterEntry{ID: string(rune('a' + i)), Limit: limit})
	}
	w.must(w.store.Register(context.Background(), roster))
	w.loads = make([]decide.Load, len(w.limits))
	w.look()
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) look() []decide.Load {
	w.must(w.store.Loads(context.Background(), []int32{0, 1, 2, 3}, w.loads))
	return w.loads
}

func (w *world) play(data []byte) {
	w.Helper()
	for len(data) >= 2 {
		op, arg := data[0], data[1]
		data = data[2:]
		before := append([]decide.Load(nil), w.look()...)
		w.step(op, arg)
		for i, load := range w.look() {
			if load.InUse < 0 || load.Waiting < 0 {
				w.Fatalf("operation %d %d: account %d has %+v", op, arg, i, load)
			}
			if limit := int32(w.limits[i]); op%13 != 12 && limit > 0 && load.InUse > limit && load.InUse > before[i].InUse {
				w.Fatalf("operation %d %d: account %d went from %+v to %+v over %d", op, arg, i, before[i], load, limit)
			}
		}
		if faults := w.store.Inspect(); faults != nil {
			w.Fatalf("operation %d %d: %q", op, arg, faults)
		}
	}
}

func (w *world) grant(arg byte) core.Grant {
	g := core.Grant{
		ID: core.LeaseID{1, arg % 24}, Tenant: string(rune('t' + arg%3)), TTL: time.Duration(1+arg%30) * time.Second,
		TenantCap: int(arg % 7), Owner: core.Owner{Name: string(rune('n' + arg%4)), Incarnation: string(rune('0' + arg%2))},
	}
	if arg%2 == 0 {
		g.Request = core.RequestKey{2, arg % 8}
	}
	return g
}

// Judge drops, keeps or takes by account, so that every fate comes up.
func (w *world) Judge(layer decide.Layer, account string) decide.Fate {
	switch {
	case account == "a" && layer == decide.LayerSession:
		return decide.Keep
	case account == "b" && layer == decide.LayerResponse:
		return decide.Drop
	}
	return decide.Take
}

// Fates is not asked for by a store that asks Judge.
func (w *world) Fates([]string, []core.Fates) {}

// Standing is not asked for either.
func (w *world) Standing() (core.Standing, bool) { return core.Standing{}, false }

func (w *world) step(op, arg byte) {
	ctx := context.Background()
	key := core.BindingKey{3, arg % 5}
	switch op % 13 {
	case 0, 1, 2:
		_, err := w.store.TakeFirst(ctx, &core.FirstTake{
			Grant: w.grant(arg), Session: key, SessionTTL: time.Duration(1+arg%40) * time.Second,
			Order:      []core.Choice{{Ordinal: int32(arg % 5), Probe: arg%3 == 0}, {Ordinal: int32(op % 4)}},
			Substitute: arg%4 == 0,
		})
		w.must(err)
	case 3:
		_, err := w.store.TakeBound(ctx, &core.BoundTake{
			Grant: w.grant(arg), Response: core.BindingKey{3, arg % 3}, Session: key, Judge: w,
			ResponseTTL: 30 * time.Second, SessionTTL: 20 * time.Second, DryRun: arg%9 == 0, SpillSession: arg%5 == 0,
		})
		w.must(err)
	case 4, 5, 6:
		e := core.Settlement{
			Kind: core.SettleKind(arg % 5), Lease: core.LeaseID{1, arg % 24}, Account: string(rune('a' + arg%6)),
			GrantedAt: w.clock.Now(), Sample: true, Bind: key, BindTTL: time.Duration(arg%9) * time.Second,
			Cool: core.Cooldown{Account: "a", Until: w.clock.Now().Add(time.Duration(arg) * time.Second)},
		}
		if op%13 == 6 {
			e.Lease, e.Request = core.LeaseID{}, core.RequestKey{2, arg % 8}
		}
		w.must(w.store.Settle(ctx, []core.Settlement{e}, make([]core.Settled, 1)))
	case 7:
		renewal := core.Renewal{Lease: core.LeaseID{1, arg % 24}, TTL: time.Duration(arg%50) * time.Second}
		w.must(w.store.Renew(ctx, []core.Renewal{renewal}, make([]core.Renewed, 1)))
	case 12:
		w.owners(arg)
	default:
		w.line(op, arg)
	}
}

func (w *world) line(op, arg byte) {
	ctx := context.Background()
	id := core.WaiterID{4, arg % 6}
	switch op % 13 {
	case 8:
		if w.waiterless {
			return
		}
		_, err := w.store.Join(ctx, &core.Waiter{
			ID: id, Account: string(rune('a' + arg%5)), Tenant: string(rune('t' + arg%3)),
			TTL: time.Duration(1+arg%20) * time.Second, AccountCap: int(arg % 4), TenantCap: int(arg % 5),
		})
		w.must(err)
	case 9:
		w.clock.Advance(time.Duration(arg) * 100 * time.Millisecond)
	case 10:
		w.must(w.store.Leave(ctx, id))
		w.must(w.store.Move(ctx, core.WaiterID{4, arg % 5}, string(rune('a'+arg%6))))
		_, err := w.store.Sweep(ctx, int(arg%8))
		w.must(err)
	case 11:
		w.limits[arg%4] = int(arg/4) % 5
		w.register()
	}
}

// owners plays what concerns owners.
func (w *world) owners(arg byte) {
	ctx := context.Background()
	id, name := core.LeaseID{1, arg % 24}, string(rune('o'+arg%3))
	switch arg % 4 {
	case 0:
		held, err := w.store.LeasesOf(ctx, name)
		w.must(err)
		for _, l := range held {
			if l.Owner.Name != name {
				w.Fatalf("%q holds %+v", name, l)
			}
		}
	case 1:
		_, err := w.store.End(ctx, []core.LeaseID{id, {1, arg % 7}}, core.LeaseEnd(arg%7))
		w.must(err)
	default:
		l := core.Lease{
			ID: id, Account: string(rune('a' + arg%6)), Tenant: string(rune('t' + arg%3)),
			Owner: core.Owner{Name: name}, GrantedAt: w.clock.Now().Add(-time.Duration(arg) * time.Second),
		}
		asked := core.Adoption{Lease: l, TTL: time.Duration(arg%40) * time.Second, Left: time.Duration(arg%3) * time.Second}
		w.must(w.store.Adopt(ctx, []core.Adoption{asked}, make([]core.Adopted, 1)))
	}
}
