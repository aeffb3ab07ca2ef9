package memstore_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"usher.internal/core"
	"usher.internal/store/memstore"
)

// fullStore has 100,000 bindings, 100,000 marks and 10,000 leases.
func fullStore(b *testing.B) *memstore.Store {
	b.Helper()
	s := benchStore(b, 100, 0)
	bindSessions(b, s, 100_000)
	held(b, s, 10_000)
	return s
}

func BenchmarkExport(b *testing.B) {
	s := fullStore(b)
	var state []byte
	b.ReportAllocs()
	for b.Loop() {
		state = s.Export(state[:0], nil)
	}
	b.ReportMetric(float64(len(state))/1e6, "MB")
}

// BenchmarkExportHolds says how long a step holds the lock: the longest of each export, the median over exports.
func BenchmarkExportHolds(b *testing.B) {
	s := fullStore(b)
	var longest []time.Duration
	for b.Loop() {
		longest = append(longest, s.LongestHold())
	}
	slices.Sort(longest)
	b.ReportMetric(float64(longest[len(longest)/2].Nanoseconds())/1000, "µs-longest")
}

// BenchmarkBesideExports takes and releases while the state is exported without a pause, and says how long the slowest calls took.
func BenchmarkBesideExports(b *testing.B) {
	for _, exporting := range []bool{false, true} {
		b.Run(fmt.Sprintf("exporting=%v", exporting), func(b *testing.B) {
			s := fullStore(b)
			stop, ended := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(ended)
				var state []byte
				for exporting {
					select {
					case <-stop:
						return
					default:
						state = s.Export(state[:0], nil)
					}
				}
			}()
			took := make([]time.Duration, 0, b.N)
			take := &core.FirstTake{Order: []core.Choice{{Ordinal: 3}}}
			events, results := make([]core.Settlement, 1), make([]core.Settled, 1)
			n := uint64(1) << 50
			for b.Loop() {
				n++
				begun := time.Now()
				take.Grant = benchGrant(n)
				if _, err := s.TakeFirst(context.Background(), take); err != nil {
					b.Fatal(err)
				}
				events[0] = core.Settlement{Kind: core.SettleFinished, Lease: take.Grant.ID}
				if err := s.Settle(context.Background(), events, results); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(begun))
			}
			close(stop)
			<-ended
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*999/1000].Nanoseconds())/1000, "µs-p999")
			b.ReportMetric(float64(took[len(took)*9999/10000].Nanoseconds())/1000, "µs-p9999")
		})
	}
}

func BenchmarkImport(b *testing.B) {
	state := fullStore(b).Export(nil, nil)
	b.SetBytes(int64(len(state)))
	for b.Loop() {
		s := open(b, memstore.Options{})
		if _, err := s.Import(state, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWrite writes the file, to wherever TMPDIR is.
func BenchmarkWrite(b *testing.B) {
	s := fullStore(b)
	path := filepath.Join(b.TempDir(), "state")
	var state []byte
	for b.Loop() {
		state = s.Export(state[:0], nil)
		if err := memstore.ReplaceFile(path, state); err != nil {
			b.Fatal(err)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Size() != int64(len(state)) {
		b.Fatal(info, err)
	}
}

func BenchmarkLeasesOf(b *testing.B) {
	for _, owned := range []int{10, 1000, 10_000} {
		b.Run(fmt.Sprintf("owned=%d", owned), func(b *testing.B) {
			s := benchStore(b, 100, 0)
			held(b, s, owned)
			for n := range uint64(10_000) { // another's
				grant := benchGrant(n | 1<<42)
				grant.Owner.Name = "gateway-2"
				take := core.FirstTake{Grant: grant, Order: []core.Choice{{Ordinal: 1}}}
				if _, err := s.TakeFirst(context.Background(), &take); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				if list, err := s.LeasesOf(context.Background(), "gateway-1"); err != nil || len(list) != owned {
					b.Fatal(len(list), err)
				}
			}
		})
	}
}
