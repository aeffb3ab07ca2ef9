package memstore_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/store/memstore"
)

// fit lets every binding take.
type fit struct{}

func (fit) Judge(decide.Layer, string) decide.Fate { return decide.Take }

// Fates is not asked for by a store that asks Judge.
func (fit) Fates([]string, []core.Fates) {}

// Standing is not asked for either.
func (fit) Standing() (core.Standing, bool) { return core.Standing{}, false }

func benchStore(tb testing.TB, accounts, limit int) *memstore.Store {
	tb.Helper()
	s, err := memstore.New(memstore.Options{Clock: core.SystemClock{}})
	if err != nil {
		tb.Fatal(err)
	}
	roster := &core.Roster{}
	for i := range accounts {
		roster.Accounts = append(roster.Accounts, core.RosterEntry{ID: fmt.Sprint("account-", i), Limit: limit})
	}
	if err := s.Register(context.Background(), roster); err != nil {
		tb.Fatal(err)
	}
	return s
}

func key16(kind byte, n uint64) (k [16]byte) {
	k[0] = kind
	binary.BigEndian.PutUint64(k[8:], n*0x9e3779b97f4a7c15)
	return k
}

func benchGrant(n uint64) core.Grant {
	return core.Grant{
		ID: core.LeaseID(key16('l', n)), Owner: core.Owner{Name: "gateway-1", Incarnation: "1"},
		Tenant: "tenant", Group: "default", Model: "model-large", TTL: 15 * time.Minute,
	}
}

// held fills the store with leases that stay.
func held(b *testing.B, s *memstore.Store, n int) {
	for i := range n {
		take := core.FirstTake{Grant: benchGrant(uint64(i) | 1<<40), Order: []core.Choice{{Ordinal: int32(i % 100)}}}
		if out, err := s.TakeFirst(context.Background(), &take); err != nil || out.Status != core.FirstTook {
			b.Fatal(out, err)
		}
	}
}

func BenchmarkTakeFirst7Settle(b *testing.B) {
	for _, leases := range []int{0, 10000} {
		for _, request := range []bool{false, true} {
			b.Run(fmt.Sprintf("held=%d/request=%v", leases, request), func(b *testing.B) {
				s := benchStore(b, 100, 1000)
				held(b, s, leases)
				benchFirst(b, s, 1, request, func() bool { return b.Loop() })
			})
		}
	}
}

func benchFirst(b *testing.B, s *memstore.Store, seed uint64, request bool, loop func() bool) {
	take := &core.FirstTake{SessionTTL: time.Hour}
	for i := range 7 {
		take.Order = append(take.Order, core.Choice{Ordinal: int32(i * 13)})
	}
	events, results := make([]core.Settlement, 1), make([]core.Settled, 1)
	b.ReportAllocs()
	for n := seed << 44; loop(); n++ {
		take.Grant = benchGrant(n)
		if request {
			take.Grant.Request = core.RequestKey(key16('q', n))
		}
		take.Session = core.BindingKey(key16('s', n%50000))
		out, err := s.TakeFirst(context.Background(), take)
		if err != nil || out.Status != core.FirstTook {
			b.Fatal(out, err)
		}
		events[0] = core.Settlement{Kind: core.SettleFinished, Lease: take.Grant.ID, GrantedAt: out.Lease.GrantedAt, Account: out.Lease.Account}
		if err := s.Settle(context.Background(), events, results); err != nil || results[0].Status != core.EventApplied {
			b.Fatal(results, err)
		}
	}
}

func BenchmarkTakeBoundSettle(b *testing.B) {
	for _, sessions := range []int{100, 50000} {
		b.Run(fmt.Sprintf("sessions=%d", sessions), func(b *testing.B) {
			s := benchStore(b, 100, 1000)
			held(b, s, 1000)
			bindSessions(b, s, sessions)
			benchBound(b, s, 1, sessions, func() bool { return b.Loop() })
		})
	}
}

func bindSessions(b *testing.B, s *memstore.Store, sessions int) {
	for i := range sessions {
		grant := benchGrant(uint64(i) | 1<<41)
		take := core.FirstTake{
			Grant: grant, Order: []core.Choice{{Ordinal: int32(i % 100)}},
			Session: core.BindingKey(key16('s', uint64(i))), SessionTTL: time.Hour,
		}
		if _, err := s.TakeFirst(context.Background(), &take); err != nil {
			b.Fatal(err)
		}
		events := []core.Settlement{{Kind: core.SettleFinished, Lease: grant.ID}}
		if err := s.Settle(context.Background(), events, make([]core.Settled, 1)); err != nil {
			b.Fatal(err)
		}
	}
}

func benchBound(b *testing.B, s *memstore.Store, seed uint64, sessions int, loop func() bool) {
	take := &core.BoundTake{SessionTTL: time.Hour, Judge: fit{}}
	events, results := make([]core.Settlement, 1), make([]core.Settled, 1)
	b.ReportAllocs()
	for n := seed << 44; loop(); n++ {
		take.Grant = benchGrant(n)
		take.Session = core.BindingKey(key16('s', n%uint64(sessions)))
		out, err := s.TakeBound(context.Background(), take)
		if err != nil || out.Status != core.BoundTook {
			b.Fatal(out, err)
		}
		events[0] = core.Settlement{Kind: core.SettleFinished, Lease: take.Grant.ID, GrantedAt: out.Lease.GrantedAt, Account: out.Lease.Account}
		if err := s.Settle(context.Background(), events, results); err != nil || results[0].Status != core.EventApplied {
			b.Fatal(results, err)
		}
	}
}

func BenchmarkLoads(b *testing.B) {
	for _, n := range []int{100, 10000} {
		b.Run(fmt.Sprintf("accounts=%d", n), func(b *testing.B) {
			s := benchStore(b, n, 10)
			ordinals, loads := make([]int32, n), make([]decide.Load, n)
			for i := range ordinals {
				ordinals[i] = int32(i)
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Loads(context.Background(), ordinals, loads); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParallel(b *testing.B) {
	b.Run("bound", func(b *testing.B) {
		s := benchStore(b, 100, 1000)
		bindSessions(b, s, 50000)
		seeds := make(chan uint64, 64)
		for i := range uint64(64) {
			seeds <- i + 1
		}
		b.RunParallel(func(p *testing.PB) { benchBound(b, s, <-seeds, 50000, p.Next) })
	})
}

func BenchmarkSignalled(b *testing.B) {
	s := benchStore(b, 100, 1000)
	defer func() { _ = s.Close() }()
	signals, err := s.Signals(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	go func() {
		for range signals {
		}
	}()
	benchFirst(b, s, 1, false, func() bool { return b.Loop() })
}

// BenchmarkMemory says how many bytes each thing costs that is kept.
func BenchmarkMemory(b *testing.B) {
	const n = 200_000
	for name, fill := range map[string]func(s *memstore.Store, i uint64){
		"lease": func(s *memstore.Store, i uint64) {
			takeFor(b, s, core.FirstTake{Grant: benchGrant(i)}, false)
		},
		"lease+request": func(s *memstore.Store, i uint64) {
			take := core.FirstTake{Grant: benchGrant(i)}
			take.Grant.Request = core.RequestKey(key16('q', i))
			takeFor(b, s, take, false)
		},
		"mark": func(s *memstore.Store, i uint64) {
			takeFor(b, s, core.FirstTake{Grant: benchGrant(i)}, true)
		},
		"binding": func(s *memstore.Store, i uint64) {
			session := core.BindingKey(key16('s', i))
			takeFor(b, s, core.FirstTake{Grant: benchGrant(i), Session: session, SessionTTL: time.Hour}, true)
		},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				marks := 64 // so few that only what is measured grows
				if name == "mark" {
					marks = 0
				}
				s, err := memstore.New(memstore.Options{Clock: core.SystemClock{}, MarksMax: marks})
				if err != nil {
					b.Fatal(err)
				}
				if err := s.Register(context.Background(), &core.Roster{Accounts: []core.RosterEntry{{ID: "a"}}}); err != nil {
					b.Fatal(err)
				}
				before := heap()
				for i := range uint64(n) {
					fill(s, i)
				}
				b.ReportMetric(float64(heap()-before)/n, "B/"+name)
				runtime.KeepAlive(s)
			}
		})
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func takeFor(b *testing.B, s *memstore.Store, take core.FirstTake, end bool) {
	take.Order = []core.Choice{{}}
	if out, err := s.TakeFirst(context.Background(), &take); err != nil || out.Status != core.FirstTook {
		b.Fatal(out, err)
	}
	if end {
		events := []core.Settlement{{Kind: core.SettleFinished, Lease: take.Grant.ID}}
		if err := s.Settle(context.Background(), events, make([]core.Settled, 1)); err != nil {
			b.Fatal(err)
		}
	}
}
