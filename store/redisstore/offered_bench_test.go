package redisstore

import (
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"usher.internal/core"
	"usher.internal/store/storetest/redistest"
)

// offeredRate is how many Selects a second come, however long they take.
const offeredRate = 2000

// BenchmarkOffered is how long a Select takes at an offered rate over 100 accounts, beside the floor's acquire; each is given back
// when it has been served.
func BenchmarkOffered(b *testing.B) {
	const n = 100
	overBoth(b, func(b *testing.B, _ *redistest.Server, address string) {
		b.Run("floor", func(b *testing.B) {
			acquire, release := floorPair(b, address, n)
			offered(b, func(i int) (func() error, error) {
				id := strconv.Itoa(i)
				return func() error { return release(i, id) }, acquire(i, id)
			})
		})
		for _, layer := range []string{"session", "balance", "cached"} {
			b.Run(layer, func(b *testing.B) {
				s, request := layered(b, address, layer, n)
				offered(b, func(i int) (func() error, error) {
					token, err := selected(s, request(i%callers))
					return func() error { return finished(s, token) }, err
				})
			})
		}
	})
}

// offered lets calls come at the rate, and reports how long they took. What they took is given back.
func offered(b *testing.B, call func(i int) (giveBack func() error, err error)) {
	var clock core.SystemClock
	took := make([]time.Duration, b.N)
	var all sync.WaitGroup
	ticks := time.NewTicker(time.Second / offeredRate)
	defer ticks.Stop()
	b.ResetTimer()
	begun := clock.Now()
	for next := 0; next < b.N; <-ticks.C {
		due := min(int(clock.Now().Sub(begun)*offeredRate/time.Second)+1, b.N)
		for i := next; i < due; i++ {
			all.Go(func() {
				began := clock.Now()
				giveBack, err := call(i)
				if took[i] = clock.Now().Sub(began); err == nil {
					err = giveBack()
				}
				if err != nil {
					b.Error(err)
				}
			})
		}
		next = due
	}
	all.Wait()
	b.StopTimer()
	slices.Sort(took)
	for percent, name := range map[int]string{50: "p50-µs", 99: "p99-µs"} { // order-free: each has a name of its own
		b.ReportMetric(float64(took[len(took)*percent/100].Microseconds()), name)
	}
}
