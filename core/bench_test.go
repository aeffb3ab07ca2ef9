package core_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"testing"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/core/pool"
	"usher.internal/store/memstore"
)

// newScheduler gives the real scheduler on the memory store, with accounts of the given limit.
func newScheduler(tb testing.TB, accounts []pool.Account, policy decide.Policy) *core.Scheduler {
	tb.Helper()
	store, err := memstore.New(memstore.Options{Clock: core.SystemClock{}})
	if err != nil {
		tb.Fatal(err)
	}
	s, err := core.New(context.Background(), core.Options{Store: store, Entropy: rand.Uint64})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			tb.Error(err)
		}
		if err := store.Close(); err != nil {
			tb.Error(err)
		}
	})
	if err := s.Apply(context.Background(), accounts, policy); err != nil {
		tb.Fatal(err)
	}
	return s
}

func manyAccounts(n, limit int) []pool.Account {
	out := make([]pool.Account, n)
	for i := range out {
		out[i] = pool.Account{
			ID: strconv.Itoa(i + 1), Priority: i % 5, MaxConcurrency: limit,
			Groups: []string{"main"}, Provider: "openai",
		}
	}
	return out
}

// pair is what a gateway does for a request: select, then report that it finished.
func pair(tb testing.TB, s *core.Scheduler, req *core.Request, events []core.Event) {
	answer, err := s.Select(context.Background(), req)
	if err != nil || answer.Selection == nil {
		tb.Fatalf("selected %+v, error %v", answer, err)
	}
	events[0] = core.Event{Kind: core.EventFinished, Token: answer.Selection.Token, Outcome: core.OutcomeSuccess}
	if _, err := s.Report(context.Background(), events); err != nil {
		tb.Fatal(err)
	}
}

// BenchmarkPair is a full Select and its release.
func BenchmarkPair(b *testing.B) {
	for _, layer := range []string{"balance", "session"} {
		for _, n := range []int{10, 16, 100, 256, 1000, 10000} {
			s := newScheduler(b, manyAccounts(n, 64), decide.Reference())
			b.Run(fmt.Sprintf("layer=%s/accounts=%d/serial", layer, n), func(b *testing.B) {
				req, events := request(layer, 0), make([]core.Event, 1)
				b.ReportAllocs()
				for b.Loop() {
					pair(b, s, req, events)
				}
			})
			b.Run(fmt.Sprintf("layer=%s/accounts=%d/parallel", layer, n), func(b *testing.B) {
				var workers atomic.Int64
				b.ReportAllocs()
				b.RunParallel(func(pb *testing.PB) {
					req, events := request(layer, workers.Add(1)), make([]core.Event, 1)
					for pb.Next() {
						pair(b, s, req, events)
					}
				})
			})
		}
	}
}

// BenchmarkSelect is the Select of a pair alone; slots are given back while the clock stands still.
func BenchmarkSelect(b *testing.B) {
	const batch = 512
	for _, layer := range []string{"balance", "session"} {
		for _, n := range []int{16, 100, 256, 1000, 10000} {
			b.Run(fmt.Sprintf("layer=%s/accounts=%d", layer, n), func(b *testing.B) {
				s := newScheduler(b, manyAccounts(n, batch), decide.Reference())
				req, events := request(layer, 0), make([]core.Event, 0, batch)
				b.ReportAllocs()
				for range b.N {
					answer, err := s.Select(context.Background(), req)
					if err != nil || answer.Selection == nil {
						b.Fatalf("selected %+v, error %v", answer, err)
					}
					events = append(events, core.Event{Kind: core.EventUnused, Token: answer.Selection.Token})
					if len(events) < batch {
						continue
					}
					b.StopTimer()
					if _, err := s.Report(context.Background(), events); err != nil {
						b.Fatal(err)
					}
					events = events[:0]
					b.StartTimer()
				}
			})
		}
	}
}

func request(layer string, worker int64) *core.Request {
	req := &core.Request{Group: "main", Model: "gpt-5", Provider: "openai"}
	if layer == "session" {
		req.SessionHash = "conversation " + strconv.FormatInt(worker, 10)
	}
	return req
}

// BenchmarkHeartbeat renews what an owner holds, and compares it with what it lists.
func BenchmarkHeartbeat(b *testing.B) {
	for _, held := range []int{10, 1000} {
		b.Run(fmt.Sprintf("held=%d", held), func(b *testing.B) {
			h := newHouse(b, plain(10, 0))
			tokens := h.takes(ofOwner("gateway", "1"), held)
			a := h.attach("gateway", "1", false)
			b.ReportAllocs()
			for b.Loop() {
				h.beat(a, tokens...)
			}
		})
	}
}
