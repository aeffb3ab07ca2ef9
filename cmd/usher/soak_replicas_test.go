package main

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	usherv1 "usher.internal/gen/usher/v1"
	"usher.internal/store/storetest/redistest"
)

const (
	replicas       = 3
	replicaClients = 64
	// holdMost is the longest that a client holds what it was granted in its turn.
	holdMost = 20 * time.Millisecond
	// redisBudget is a loaded machine's.
	redisBudget = "500ms"
	// awayAfter and awayFor are when and for how long Redis is away.
	awayAfter = 500 * time.Millisecond
	awayFor   = 3 * time.Second
	// killEvery is after how long one of the replicas is killed; a long soak does it less often.
	killEvery     = 2 * time.Second
	killEveryLong = 10 * time.Second
)

// replicaLimits is a pool that the clients of several ushers fill.
var replicaLimits = soakPool{"a": 10, "b": 10, "c": 10, "d": 10, "e": 10, "f": 10, "g": 10, "h": 10}

// sharers are several ushers on one Redis.
type sharers struct {
	redis *redistest.Server
	confs []string
	all   []*server
	// since is when the work began, lost and found when Redis went away and came back after that.
	since       time.Time
	lost, found time.Duration
}

func newSharers(t *testing.T, budget string) *sharers {
	t.Helper()
	s := &sharers{redis: redistest.Single(t)}
	dir := t.TempDir()
	for i := range replicas {
		socket := "unix://" + filepath.Join(dir, fmt.Sprintf("usher-%d.sock", i))
		s.confs = append(s.confs, file(t, replicaLimits.config(socket)+fmt.Sprintf("policy: {top_k: 8}\nredis: {store_lease_ttl: 3s, budget: %s}\n", budget)))
		s.all = append(s.all, nil)
		s.start(t, i)
	}
	return s
}

func (s *sharers) start(t *testing.T, i int) {
	t.Helper()
	s.all[i] = serve(t, "--config", s.confs[i], "--redis", "unix://"+s.redis.Socket())
}

// restart kills one replica and starts it again.
func (s *sharers) restart(t *testing.T, i int) {
	t.Helper()
	s.all[i].signal(t, syscall.SIGKILL)
	<-s.all[i].ended
	s.start(t, i)
}

// spread asks one usher after the other.
type spread struct {
	usherv1.SchedulerServiceClient
	all  []usherv1.SchedulerServiceClient
	next *atomic.Int64
}

func (s *sharers) spread(t *testing.T) spread {
	t.Helper()
	out := spread{next: new(atomic.Int64)}
	for _, usher := range s.all {
		out.all = append(out.all, usherv1.NewSchedulerServiceClient(dial(t, usher.addresses[0], eager)))
	}
	return out
}

func (s spread) any() usherv1.SchedulerServiceClient {
	return s.all[int(s.next.Add(1))%len(s.all)]
}

// Select asks any of them.
func (s spread) Select(ctx context.Context, req *usherv1.SelectRequest, opts ...grpc.CallOption) (*usherv1.SelectResponse, error) {
	return s.any().Select(ctx, req, opts...)
}

// Report tells any of them.
func (s spread) Report(ctx context.Context, req *usherv1.ReportRequest, opts ...grpc.CallOption) (*usherv1.ReportResponse, error) {
	return s.any().Report(ctx, req, opts...)
}

// TestSoakReplicas has many clients ask several ushers on one Redis in turn, and watches at the clients that no limit is passed
// and nothing stays in use. USHER_SOAK and USHER_SOAK_OPS are as for TestSoak.
func TestSoakReplicas(t *testing.T) {
	if !redistest.Available() {
		return
	}
	t.Run("alike", func(t *testing.T) {
		workers := soakReplicas(t, (*worker).turn, nil)
		judge(t, workers, replicaLimits, "selected", "release")
		checkEven(t, workers)
	})
	needed := []string{"selected", "full", "release", "duplicate", "cancel", "forget"}
	t.Run("mixed", func(t *testing.T) {
		judge(t, soakReplicas(t, (*worker).step, nil), replicaLimits, needed...)
	})
	t.Run("one after the other is killed", func(t *testing.T) {
		judge(t, soakReplicas(t, (*worker).step, (*sharers).killSome), replicaLimits, needed...)
	})
	// While Redis is away a limit can be passed, by as much as docs/operations.md says: it is shown, and must be over afterwards.
	t.Run("redis is killed and comes back empty", func(t *testing.T) {
		showHeld(t, soakReplicas(t, (*worker).turn, (*sharers).loseMemory))
	})
	t.Run("redis stands still", func(t *testing.T) {
		showHeld(t, soakReplicas(t, (*worker).turn, (*sharers).standStill))
	})
}

// turn is what every request is like: selected, held for a while, and finished.
func (w *worker) turn(ctx context.Context) {
	asked := w.now()
	resp, err := w.call(ctx, &usherv1.SelectRequest{Group: "soak", LeaseTtl: durationpb.New(soakTTL)})
	w.took = append(w.took, timing{asked, w.now() - asked})
	if err != nil {
		w.tolerate("select", err)
		return
	}
	s := resp.GetSelection()
	if s == nil {
		w.counts["full"]++
		return
	}
	w.counts["selected"]++
	w.live = append(w.live, lease{token: s.GetLeaseToken(), account: s.GetAccountId(), asked: asked, got: w.now()})
	pause(ctx, time.Duration(w.random.IntN(int(holdMost))))
	w.release(ctx)
}

// soakReplicas gives the clients after their work, in which trouble may be made until it is over.
func soakReplicas(t *testing.T, step func(*worker, context.Context), trouble func(*sharers, *testing.T, <-chan struct{}) int) []*worker {
	t.Helper()
	budget := soakBudget(t)
	s := newSharers(t, redisBudget)
	since := time.Now()
	s.since = since
	var workers []*worker
	for i := range replicaClients {
		workers = append(workers, &worker{
			number: i, client: s.spread(t), since: since, counts: make(map[string]int),
			random: rand.New(rand.NewPCG(uint64(i), uint64(since.UnixNano()))),
		})
	}
	var begun, done atomic.Int64
	var all sync.WaitGroup
	for _, w := range workers {
		all.Go(func() {
			for budget.left(begun.Add(1), time.Since(since)) {
				step(w, t.Context())
				done.Add(1)
			}
			for len(w.live) > 0 {
				w.forget()
			}
		})
	}
	over := make(chan struct{})
	go func() {
		all.Wait()
		close(over)
	}()
	troubles := 0
	if trouble != nil {
		troubles = trouble(s, t, over)
	}
	<-over
	took := time.Since(since)
	for _, usher := range s.all {
		watchUse(t, usher, replicaLimits).awaitNothingInUse(t)
	}
	if s.found > 0 {
		showTimes(t, workers, map[string]func(at time.Duration) bool{
			"before":                      func(at time.Duration) bool { return at < s.lost },
			"in the first 200 ms without": func(at time.Duration) bool { return at >= s.lost && at < s.lost+200*time.Millisecond },
			"later without":               func(at time.Duration) bool { return at >= s.lost+200*time.Millisecond && at < s.found },
			"afterwards":                  func(at time.Duration) bool { return at >= s.found },
		})
	}
	t.Logf("%d operations in %v, %.0f each second; %d times trouble", done.Load(), took.Round(time.Millisecond), float64(done.Load())/took.Seconds(), troubles)
	return workers
}

// killSome kills one replica after the other until the work is over, at least one.
func (s *sharers) killSome(t *testing.T, over <-chan struct{}) (kills int) {
	every := killEvery
	if soakBudget(t).lasts > time.Minute/2 {
		every = killEveryLong
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		s.restart(t, kills%replicas)
		kills++
		select {
		case <-over:
			return kills
		case <-tick.C:
		}
	}
}

// loseMemory kills Redis in the midst of the work, and starts it empty.
func (s *sharers) loseMemory(t *testing.T, over <-chan struct{}) int {
	t.Helper()
	return s.without(t, over, s.redis.Kill, s.redis.Start)
}

// standStill stops Redis in the midst of the work, and has it go on.
func (s *sharers) standStill(t *testing.T, over <-chan struct{}) int {
	t.Helper()
	return s.without(t, over, s.redis.Pause, s.redis.Resume)
}

// without takes Redis away once, for about as long as a failover takes, and waits until all ushers found it again.
func (s *sharers) without(t *testing.T, over <-chan struct{}, lose, find func()) int {
	t.Helper()
	wait := func(d time.Duration) {
		ctx, cancel := context.WithTimeout(t.Context(), d)
		defer cancel()
		select {
		case <-over:
		case <-ctx.Done():
		}
	}
	wait(awayAfter)
	s.lost = time.Since(s.since)
	lose()
	wait(awayFor)
	for i, usher := range s.all {
		if !metrics(t, usher).GetDegraded() {
			t.Errorf("usher %d does not say that it is degraded", i)
		}
	}
	s.found = time.Since(s.since)
	find()
	for i, usher := range s.all {
		eventually(t, fmt.Sprintf("usher %d shares again", i), func() bool { return !metrics(t, usher).GetDegraded() })
	}
	return 1
}

func metrics(t *testing.T, s *server) *usherv1.MetricsSnapshot {
	t.Helper()
	resp, err := usherv1.NewMetricsServiceClient(s.dial(t)).GetMetrics(t.Context(), &usherv1.GetMetricsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return resp.GetSnapshot()
}

// showTimes shows how long Selects took.
func showTimes(t *testing.T, workers []*worker, phases map[string]func(at time.Duration) bool) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(phases)) {
		var took []time.Duration
		for _, w := range workers {
			for _, c := range w.took {
				if phases[name](c.at) {
					took = append(took, c.took)
				}
			}
		}
		if slices.Sort(took); len(took) > 0 {
			t.Logf("Selects %s: %d, p50 %v, p99 %v, most %v", name, len(took),
				took[len(took)/2].Round(time.Microsecond), took[len(took)*99/100].Round(time.Microsecond), took[len(took)-1].Round(time.Microsecond))
		}
	}
}

// showHeld shows by how much limits were passed, and that clients were served all the time.
func showHeld(t *testing.T, workers []*worker) {
	t.Helper()
	var all []held
	counts := make(map[string]int)
	for _, w := range workers {
		all = append(all, w.held...)
		for what, n := range w.counts {
			counts[what] += n
		}
		for _, text := range w.wrong {
			t.Errorf("client %d: %s", w.number, text)
		}
	}
	for _, text := range checkHeld(t, all, replicaLimits) {
		t.Log(text)
	}
	t.Logf("%d of %d Selects were answered with an error, %d found all full", counts["lost"], counts["select"], counts["full"])
}

// checkEven says whether the accounts, which are alike, were granted alike: no conversation keeps to one of them.
func checkEven(t *testing.T, workers []*worker) {
	t.Helper()
	counts, total := make(map[string]int), 0
	for _, w := range workers {
		for _, h := range w.held {
			counts[h.account]++
			total++
		}
	}
	square, want := 0.0, float64(total)/float64(len(replicaLimits))
	for id := range replicaLimits {
		square += (float64(counts[id]) - want) * (float64(counts[id]) - want) / want
	}
	t.Logf("χ² of %d grants over %d accounts: %.1f", total, len(replicaLimits), square)
	const most = 29.9 // one in 10,000 for 7 degrees of freedom
	if square > most {
		t.Errorf("shares are not even: %v", counts)
	}
}
