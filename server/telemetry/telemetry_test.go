package telemetry_test

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"

	"usher.internal/core"
	"usher.internal/server/telemetry"
)

func newTelemetry(tb testing.TB) *telemetry.Telemetry {
	tb.Helper()
	t, err := telemetry.New()
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

func TestLatencyQuantilesAreWithinOnePercent(t *testing.T) {
	tel := newTelemetry(t)
	r := rand.New(rand.NewPCG(1, 2))
	const n = 50_000
	samples := make([]time.Duration, n)
	for i := range samples {
		samples[i] = time.Duration(float64(time.Microsecond) * (1 + 5000*r.Float64()*r.Float64()))
	}
	var wg sync.WaitGroup
	for part := range slices.Chunk(samples, n/8) {
		wg.Go(func() {
			for _, d := range part {
				tel.Selected(core.SelectObservation{Latency: d})
			}
		})
	}
	wg.Wait()
	slices.Sort(samples)
	got := tel.Latency()
	if got.Count != n {
		t.Errorf("count %d, want %d", got.Count, n)
	}
	if got.Max != samples[n-1] {
		t.Errorf("max %v, want %v exactly", got.Max, samples[n-1])
	}
	for _, q := range []struct {
		at  float64
		got time.Duration
	}{{0.5, got.P50}, {0.9, got.P90}, {0.99, got.P99}, {0.999, got.P999}} {
		want := samples[int(q.at*float64(n-1))]
		if diff := float64(q.got-want) / float64(want); diff > 0.0101 || diff < -0.0101 {
			t.Errorf("p%v is %v, want %v within 1 %%", q.at*100, q.got, want)
		}
	}
}

func TestLatencyOfOddSamples(t *testing.T) {
	tel := newTelemetry(t)
	if got := tel.Latency(); got != (telemetry.Quantiles{}) {
		t.Errorf("without samples: %+v", got)
	}
	for _, d := range []time.Duration{-time.Second, 0, 1, 1<<63 - 1} {
		tel.Selected(core.SelectObservation{Latency: d})
	}
	got := tel.Latency()
	if got.Count != 4 || got.P50 != 0 || got.Max != 1<<63-1 {
		t.Errorf("got %+v", got)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	tel := newTelemetry(t)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i := range 1_000_000 {
		tel.Selected(core.SelectObservation{Latency: time.Duration(i) * time.Duration(i)})
		tel.Called("/usher.v1.SchedulerService/Select", codes.Code(i%40), time.Duration(i))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 2<<20 {
		t.Errorf("heap grew by %d bytes", grown)
	}
	runtime.KeepAlive(tel)
}

func TestCounts(t *testing.T) {
	tel := newTelemetry(t)
	tel.Reported(core.EventFinished, core.OutcomeSuccess, core.EventApplied)
	tel.Reported(core.EventFinished, core.OutcomeSuccess, core.EventApplied)
	tel.Reported(core.EventSwitched, 0, core.EventUnknown)
	tel.Reported(200, 200, 200)
	wantEvents := []telemetry.EventCount{
		{Total: 1},
		{Kind: core.EventFinished, Outcome: core.OutcomeSuccess, Status: core.EventApplied, Total: 2},
		{Kind: core.EventSwitched, Status: core.EventUnknown, Total: 1},
	}
	if diff := cmp.Diff(wantEvents, tel.Events()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	tel.Called("/b", codes.OK, time.Second)
	tel.Called("/a", codes.Internal, 2)
	tel.Called("/b", codes.OK, time.Second)
	tel.Called("/b", 999, 1)
	wantCalls := []telemetry.CallCount{
		{Method: "/a", Code: codes.Internal, Total: 1, Took: 2},
		{Method: "/b", Code: codes.OK, Total: 2, Took: 2 * time.Second},
		{Method: "/b", Code: codes.Unknown, Total: 1, Took: 1},
	}
	if diff := cmp.Diff(wantCalls, tel.Calls()); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

func BenchmarkSelected(b *testing.B) {
	tel := newTelemetry(b)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		d := time.Microsecond
		for pb.Next() {
			tel.Selected(core.SelectObservation{Latency: d})
			d = (d * 33) % (50 * time.Millisecond)
		}
	})
}

func BenchmarkCalled(b *testing.B) {
	tel := newTelemetry(b)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			tel.Called("/usher.v1.SchedulerService/Select", codes.OK, time.Microsecond)
		}
	})
}

func BenchmarkLatency(b *testing.B) {
	tel := newTelemetry(b)
	for i := range 100_000 {
		tel.Selected(core.SelectObservation{Latency: time.Duration(i) * time.Microsecond})
	}
	b.ReportAllocs()
	for b.Loop() {
		tel.Latency()
	}
}
