package loadgen

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// service is a target that takes a fixed time for each pair.
type service struct {
	takes time.Duration
	clock Clock
}

func (s service) Caller(int) Caller { return s }

func (s service) Drain(context.Context) (*Record, error) { return nil, nil }

func (s service) Pair(ctx context.Context, intended time.Time, r *Record) {
	_ = s.clock.SleepUntil(context.WithoutCancel(ctx), s.clock.Now().Add(s.takes))
	r.Pair.add(s.clock.Now().Sub(intended))
	r.Pairs++
}

func runService(t *testing.T, takes time.Duration, p Plan) Round {
	t.Helper()
	p.Clock = Timers{}
	r, err := Run(t.Context(), p, service{takes: takes, clock: p.Clock})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func about(t *testing.T, what string, got, want time.Duration) {
	t.Helper()
	if math.Abs(float64(got-want)) > 2*accuracy*float64(want) {
		t.Errorf("%s is %s, want about %s", what, got, want)
	}
}

func TestClosedLoopKeepsEveryCallerBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := runService(t, 10*time.Millisecond, Plan{Callers: 4, Duration: 100 * time.Millisecond})
		if r.Pairs != 40 || r.Elapsed != 100*time.Millisecond || r.Throughput() != 400 {
			t.Errorf("%d pairs in %s, %v/s", r.Pairs, r.Elapsed, r.Throughput())
		}
		about(t, "p50", r.Pair.Quantile(0.5), 10*time.Millisecond)
	})
}

// Twice as many arrivals as one caller can serve: each waits longer than the one before.
func TestOpenLoopMeasuresFromTheIntendedStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := runService(t, 10*time.Millisecond, Plan{Callers: 1, Rate: 200, Duration: 100 * time.Millisecond})
		if r.Pairs != 20 || r.Unsent != 0 {
			t.Fatalf("%d pairs, %d unsent, want 20 and 0", r.Pairs, r.Unsent)
		}
		about(t, "max", r.Pair.Max(), 105*time.Millisecond)
		about(t, "p50", r.Pair.Quantile(0.5), 55*time.Millisecond)
	})
}

func TestOpenLoopSaysHowManyFoundNoCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := runService(t, 10*time.Second, Plan{Callers: 1, Rate: 200, Duration: 100 * time.Millisecond})
		// One is served, one stands before the caller.
		if r.Pairs != 2 || r.Unsent != 18 {
			t.Errorf("%d pairs, %d unsent, want 2 and 18", r.Pairs, r.Unsent)
		}
	})
}

func TestRunEndsWithItsContext(t *testing.T) {
	for _, rate := range []float64{0, 1000} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 55*time.Millisecond)
			defer cancel()
			r, err := Run(ctx, Plan{Callers: 2, Rate: rate, Duration: time.Hour, Clock: Timers{}}, service{takes: 10 * time.Millisecond, clock: Timers{}})
			// The second caller of an open loop starts a millisecond after the first.
			if err != nil || r.Elapsed.Truncate(5*time.Millisecond) != 60*time.Millisecond || r.Pairs != 12 || r.Unsent != 0 {
				t.Errorf("rate %v: %d pairs and %d unsent in %s, %v", rate, r.Pairs, r.Unsent, r.Elapsed, err)
			}
		})
	}
}

func TestArrivals(t *testing.T) {
	fixed := newArrivals(3, false, 0)
	for range 3_000_000 {
		fixed.next()
	}
	if at := fixed.next(); at != 1_000_000*time.Second {
		t.Errorf("fixed arrivals drift: %s", at)
	}
	const n = 200_000
	a, b := newArrivals(1000, true, 7), newArrivals(1000, true, 7)
	var last, squares float64
	for range n {
		at := a.next().Seconds()
		if at != b.next().Seconds() {
			t.Fatal("the same seed gives other arrivals")
		}
		squares += (at - last) * (at - last)
		last = at
	}
	mean := last / n
	deviation := math.Sqrt(squares/n - mean*mean)
	if math.Abs(mean*1000-1) > 0.02 || math.Abs(deviation*1000-1) > 0.03 {
		t.Errorf("mean %v, deviation %v, want 0.001 both", mean, deviation)
	}
}

func TestPreciseClock(t *testing.T) {
	start := time.Now()
	if err := (Precise{}).SleepUntil(t.Context(), start.Add(3*time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if early := time.Until(start.Add(3 * time.Millisecond)); early > 0 {
		t.Errorf("it came %s early", early)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := (Precise{}).SleepUntil(ctx, start.Add(time.Hour)); err == nil {
		t.Error("it slept on after its context ended")
	}
}
