package main

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	usherv1 "usher.internal/gen/usher/v1"
)

const (
	soakWorkers     = 32
	soakConnections = 8 // every other one is cut at random
	soakOperations  = 12_800
	// The race detector makes each take several times as long.
	soakRaceOperations = 3_200
)

// soakPool is the slots of each account.
type soakPool map[string]int

// soakLimits is a pool that its clients fill.
var soakLimits = soakPool{"a": 1, "b": 2, "c": 4, "d": 8, "e": 16, "f": 24}

// eager has a client connect again at once.
var eager = grpc.WithConnectParams(grpc.ConnectParams{
	Backoff:           backoff.Config{BaseDelay: time.Millisecond, Multiplier: 1.5, Jitter: 0.2, MaxDelay: 50 * time.Millisecond},
	MinConnectTimeout: time.Second,
})

// TestSoak mixes operations of many clients, half of them over connections that are cut, and watches
// at the clients that no limit is passed and nothing stays in use. USHER_SOAK is for how long, or USHER_SOAK_OPS
// how many operations in all; without them it is a short one.
func TestSoak(t *testing.T) {
	budget := soakBudget(t)
	s := serve(t, "--config", file(t, soakLimits.config("127.0.0.1:0")))
	since := time.Now()
	workers, cutters := soakClients(t, s, since)
	watch := watchUse(t, s, soakLimits)
	var begun, done atomic.Int64
	var all sync.WaitGroup
	for _, w := range workers {
		all.Go(func() {
			for budget.left(begun.Add(1), time.Since(since)) {
				w.step(t.Context())
				done.Add(1)
			}
			for len(w.live) > 0 {
				w.forget()
			}
		})
	}
	all.Wait()
	took := time.Since(since)
	watch.awaitNothingInUse(t)
	for _, w := range workers {
		w.late(t.Context()) // by now every lease has expired
	}
	var cuts int64
	for _, c := range cutters {
		cuts += c.cuts.Load()
	}
	t.Logf("%d operations in %v, %.0f each second; %d cuts; usher under the race detector: %t",
		done.Load(), took.Round(time.Millisecond), float64(done.Load())/took.Seconds(), cuts, raceBinary())
	if cuts == 0 {
		t.Error("no connection was cut")
	}
	judge(t, workers, soakLimits, "selected", "full", "release", "duplicate", "late", "cancel", "forget", "lost", "retry")
	if text, _ := s.log.state(); strings.Contains(text, "panic") || strings.Contains(text, "DATA RACE") {
		t.Errorf("usher wrote\n%s", text)
	}
}

// soakLength is how long a soak goes on: a time, or a number of operations.
type soakLength struct {
	lasts      time.Duration
	operations int64
}

func (l soakLength) left(operation int64, passed time.Duration) bool {
	if l.lasts > 0 {
		return passed < l.lasts
	}
	return operation <= l.operations
}

func soakBudget(t *testing.T) soakLength {
	t.Helper()
	lasts, operations := os.Getenv("USHER_SOAK"), os.Getenv("USHER_SOAK_OPS")
	switch {
	case lasts != "" && operations != "":
		t.Fatal("USHER_SOAK and USHER_SOAK_OPS are both set: give one")
	case lasts != "":
		d, err := time.ParseDuration(lasts)
		if err != nil || d <= 0 {
			t.Fatalf("USHER_SOAK is %q: give a duration such as 60s", lasts)
		}
		return soakLength{lasts: d}
	case operations != "":
		n, err := strconv.ParseInt(operations, 10, 64)
		if err != nil || n <= 0 {
			t.Fatalf("USHER_SOAK_OPS is %q: give a number of operations such as 100000", operations)
		}
		return soakLength{operations: n}
	case raceBinary():
		return soakLength{operations: soakRaceOperations}
	}
	return soakLength{operations: soakOperations}
}

func (p soakPool) config(listen string) string {
	var b strings.Builder
	b.WriteString("accounts:\n")
	for _, id := range slices.Sorted(maps.Keys(p)) {
		fmt.Fprintf(&b, "  - {id: %s, max_concurrency: %d, groups: [soak]}\n", id, p[id])
	}
	fmt.Fprintf(&b, "server: {listen: ['%s'], lease_ttl: 1s, drain_timeout: 1s}\n", listen)
	return b.String()
}

func soakClients(t *testing.T, s *server, since time.Time) ([]*worker, []*cutter) {
	t.Helper()
	var cutters []*cutter
	var clients []usherv1.SchedulerServiceClient
	for i := range soakConnections {
		address := s.addresses[0]
		if i%2 == 1 {
			cut := newCutter(t, address)
			cutters = append(cutters, cut)
			address = cut.address()
		}
		conn := dial(t, address, eager, grpc.WithDefaultCallOptions(grpc.WaitForReady(true)))
		clients = append(clients, usherv1.NewSchedulerServiceClient(conn))
	}
	var workers []*worker
	for i := range soakWorkers {
		workers = append(workers, &worker{
			number: i, client: clients[i%len(clients)], since: since, counts: make(map[string]int),
			random: rand.New(rand.NewPCG(uint64(i), uint64(since.UnixNano()))),
		})
	}
	return workers, cutters
}

// judge says what was wrong; the mix must have had all that is needed.
func judge(t *testing.T, workers []*worker, limits soakPool, needed ...string) {
	t.Helper()
	counts, all := gather(t, workers)
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		t.Logf("%-45s %d", what, counts[what])
	}
	for _, what := range needed {
		if counts[what] == 0 {
			t.Errorf("the mix had no %q", what)
		}
	}
	for _, text := range checkHeld(t, all, limits) {
		t.Error(text)
	}
}

// useWatch looks at what usher itself says is in use.
type useWatch struct {
	limits  soakPool
	metrics usherv1.MetricsServiceClient
	stop    context.CancelFunc
	ended   sync.WaitGroup
	wrong   []string
	looks   int
}

func watchUse(t *testing.T, s *server, limits soakPool) *useWatch {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &useWatch{limits: limits, metrics: usherv1.NewMetricsServiceClient(s.dial(t)), stop: cancel}
	w.ended.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			if _, err := w.look(ctx); err != nil && ctx.Err() == nil {
				w.wrong = append(w.wrong, err.Error())
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	})
	t.Cleanup(w.end)
	return w
}

func (w *useWatch) end() {
	w.stop()
	w.ended.Wait()
}

// look gives how many are in use, and what usher counts as live leases if that is more.
func (w *useWatch) look(ctx context.Context) (uint64, error) {
	resp, err := w.metrics.GetMetrics(ctx, &usherv1.GetMetricsRequest{})
	if err != nil {
		return 0, err
	}
	w.looks++
	var sum uint64
	for _, a := range resp.GetSnapshot().GetAccounts() {
		// A count below zero is a huge one here.
		if limit := w.limits[a.GetAccountId()]; int64(a.GetInUse()) > int64(limit) {
			w.wrong = append(w.wrong, fmt.Sprintf("%s: %d of %d in use", a.GetAccountId(), a.GetInUse(), limit))
		}
		sum += uint64(a.GetInUse())
	}
	return max(sum, resp.GetSnapshot().GetLeasesLive()), nil
}

// awaitNothingInUse ends the watch: every lease has to end by itself now.
func (w *useWatch) awaitNothingInUse(t *testing.T) {
	t.Helper()
	w.end()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		n, err := w.look(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%d in use, long after every lease_ttl has passed", n)
		}
	}
	t.Logf("%d looks at what is in use", w.looks)
	for _, text := range w.wrong {
		t.Error(text)
	}
}
