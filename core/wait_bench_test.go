package core_test

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/core/pool"
)

// overlapping gives accounts that each map a band of models, so that a model's
// class is a band of accounts that overlaps its neighbours'.
func overlapping(accounts, classes, band int) []pool.Account {
	out := manyAccounts(accounts, 1)
	for i := range out {
		mapping := map[string]string{}
		for m := range classes {
			center := m * accounts / classes
			if d := (i - center + accounts) % accounts; d < band {
				mapping["m"+strconv.Itoa(m)] = "m"
			}
		}
		out[i].Models = pool.NewModels(mapping)
	}
	return out
}

// newLine gives a full pool of 100 accounts whose line takes everybody.
func newLine(b *testing.B, classes int) (*core.Scheduler, []core.Event) {
	policy := decide.Reference()
	policy.FallbackWait = decide.Wait{Timeout: time.Hour, MaxWaiting: 1 << 20}
	s := newScheduler(b, overlapping(100, classes, 10), policy)
	var held []core.Event
	for {
		answer, err := s.Select(context.Background(), &core.Request{Group: "main"})
		if err != nil {
			b.Fatal(err)
		}
		if answer.Selection == nil {
			return s, held
		}
		held = append(held, core.Event{Kind: core.EventUnused, Token: answer.Selection.Token})
	}
}

func inLine(i, classes int) *core.Request {
	return &core.Request{Group: "main", Model: "m" + strconv.Itoa(i%classes), Tenant: strconv.Itoa(i), Wait: time.Hour}
}

// BenchmarkGrants is a release and the grant that it gives to one of many in line: each waiter
// is of a tenant of its own, and gives its slot to the next as soon as it has it.
func BenchmarkGrants(b *testing.B) {
	for _, waiters := range []int{100, 1000, 5000} {
		for _, classes := range []int{1, 50} {
			b.Run(fmt.Sprintf("waiters=%d/classes=%d", waiters, classes), func(b *testing.B) {
				s, held := newLine(b, classes)
				for granted := 0; granted < b.N; granted += waiters {
					b.StopTimer()
					done := standInLine(b, s, waiters, classes)
					b.StartTimer()
					// Each slot of the pool passes from hand to hand until nobody is left.
					if _, err := s.Report(context.Background(), held); err != nil {
						b.Fatal(err)
					}
					done()
					b.StopTimer()
					s, held = newLine(b, classes)
					b.StartTimer()
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "grants/s")
			})
		}
	}
}

// standInLine starts Selects that wait, and returns when all do; done waits until each was served.
func standInLine(b *testing.B, s *core.Scheduler, waiters, classes int) (done func()) {
	var wg sync.WaitGroup
	for i := range waiters {
		wg.Go(func() { pair(b, s, inLine(i, classes), make([]core.Event, 1)) })
	}
	for {
		snap, err := s.Snapshot(context.Background())
		if err != nil {
			b.Fatal(err)
		}
		if snap.Usage.Waiting == waiters {
			return wg.Wait
		}
		runtime.Gosched()
	}
}

// BenchmarkWaitingLives is the whole life of those in line, joining included.
func BenchmarkWaitingLives(b *testing.B) {
	const waiters, classes = 5000, 50
	s, held := newLine(b, classes)
	if _, err := s.Report(context.Background(), held); err != nil {
		b.Fatal(err)
	}
	var left atomic.Int64
	left.Store(int64(b.N) + waiters)
	var wg sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for i := range waiters {
		wg.Go(func() {
			req, events := inLine(i, classes), make([]core.Event, 1)
			for left.Add(-1) >= 0 {
				pair(b, s, req, events)
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lives/s")
}

// BenchmarkPairBesideLine is a Select that finds a free slot while others wait for what it does not want, and without.
func BenchmarkPairBesideLine(b *testing.B) {
	for _, waiters := range []int{0, 1000} {
		b.Run(fmt.Sprintf("waiters=%d", waiters), func(b *testing.B) {
			policy := decide.Reference()
			policy.FallbackWait = decide.Wait{Timeout: time.Hour, MaxWaiting: 1 << 20}
			accounts := append(manyAccounts(100, 64), pool.Account{ID: "full", MaxConcurrency: 1, Groups: []string{"full"}})
			s := newScheduler(b, accounts, policy)
			if _, err := s.Select(context.Background(), &core.Request{Group: "full"}); err != nil {
				b.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			var wg sync.WaitGroup
			for range waiters {
				wg.Go(func() { _, _ = s.Select(ctx, &core.Request{Group: "full", Wait: time.Hour}) })
			}
			req, events := request("balance", 0), make([]core.Event, 1)
			b.ReportAllocs()
			for b.Loop() {
				pair(b, s, req, events)
			}
			cancel()
			wg.Wait()
		})
	}
}
