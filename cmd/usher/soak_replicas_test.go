package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	usherv1 "usher.internal/gen/usher/v1"
	"usher.internal/store/storetest/redistest"
)

const (
	replicaClients = 64
	// holdMost is the longest that a client holds what it was granted in its turn.
	holdMost = 20 * time.Millisecond
	// awayAfter and awayFor are when and for how long Redis is away.
	awayAfter = 500 * time.Millisecond
	awayFor   = 3 * time.Second
	// killEvery is after how long one of the replicas is killed; a long soak does it less often.
	killEvery     = 2 * time.Second
	killEveryLong = 10 * time.Second
)

// drill is what clients of several ushers do, and what happens meanwhile.
type drill struct {
	name string
	on   func(*testing.T) *shared // nil is onSingle
	step func(*worker, context.Context)
	// limits are those of the accounts; nil is replicaLimits.
	limits soakPool
	// trouble is made in the midst of the work, which goes on until that is over and it is spent; nil is none. It gives how often.
	trouble func(s *sharers, t *testing.T, spent <-chan struct{}) int
	// ttl is the life of leases; 0 is soakTTL.
	ttl time.Duration
	// loyal says that most clients ask one usher always.
	loyal bool
	// away says that Redis is away for a while; where it is not, usher waits for it as long as a busy machine may take.
	away bool
}

// lasting is longer than any soak: what nobody gave back would stay in use.
const lasting = time.Hour

// TestSoakReplicas has many clients ask several ushers on one Redis in turn, and watches at the clients that no limit is passed
// and nothing stays in use. USHER_SOAK and USHER_SOAK_OPS are as for TestSoak.
func TestSoakReplicas(t *testing.T) {
	if !redistest.Available() {
		return
	}
	t.Run("alike", func(t *testing.T) {
		_, workers := drill{step: (*worker).turn, ttl: lasting}.run(t)
		judge(t, workers, replicaLimits, "selected", "release")
		checkEven(t, workers)
	})
	needed := []string{"selected", "full", "release", "duplicate", "cancel", "forget"}
	t.Run("mixed", func(t *testing.T) {
		_, workers := drill{step: (*worker).step, limits: tightLimits}.run(t)
		judge(t, workers, tightLimits, needed...)
	})
	t.Run("one after the other is killed", func(t *testing.T) {
		_, workers := drill{step: (*worker).step, limits: tightLimits, trouble: (*sharers).killSome}.run(t)
		judge(t, workers, tightLimits, needed...)
	})
	// While Redis is away a limit can be passed, by as much as docs/operations.md says: it is shown, and must be over when all share again.
	for _, d := range []drill{
		{name: "redis is killed and comes back empty", trouble: (*sharers).loseMemory},
		{name: "redis stands still", trouble: (*sharers).standStill},
		{name: "a master behind Sentinel is killed", trouble: (*sharers).killKeeper, on: onSentinel},
		{name: "a failover is ordered", trouble: (*sharers).depose, on: onSentinel},
		{name: "a master of a Cluster is killed", trouble: (*sharers).killKeeper, on: onCluster},
	} {
		t.Run(d.name, func(t *testing.T) {
			d.step, d.ttl, d.loyal, d.away = (*worker).turn, lasting, true, true
			s, workers := d.run(t)
			judgeOutage(t, s, workers)
		})
	}
}

// turn is what every request is like: selected, held for a while, and finished.
func (w *worker) turn(ctx context.Context) {
	asked := w.now()
	resp, err := w.call(ctx, &usherv1.SelectRequest{Group: "soak", LeaseTtl: durationpb.New(w.life())})
	w.took = append(w.took, timing{asked, w.now() - asked})
	if err != nil {
		w.counts["failed"]++
		w.counts[err.Error()]++
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

// run gives the ushers and the clients after their work.
func (d drill) run(t *testing.T) (*sharers, []*worker) {
	t.Helper()
	budget := soakBudget(t)
	if d.on == nil {
		d.on = onSingle
	}
	if d.limits == nil {
		d.limits = replicaLimits
	}
	wait := patientBudget
	if d.away {
		wait = redisBudget
	}
	s := newSharers(t, d.on(t), d.limits, wait)
	s.since = time.Now()
	workers := s.clients(t, d.ttl, d.loyal)
	var begun, done atomic.Int64
	var calm atomic.Bool
	var all sync.WaitGroup
	spent := make(chan struct{})
	spend := sync.OnceFunc(func() { close(spent) })
	for _, w := range workers {
		all.Go(func() {
			for budget.left(begun.Add(1), time.Since(s.since)) || !calm.Load() {
				d.step(w, t.Context())
				if n := done.Add(1); !budget.left(n, time.Since(s.since)) {
					spend()
				}
			}
			for len(w.live) > 0 {
				w.forget()
			}
		})
	}
	troubles := 0
	if d.trouble != nil {
		troubles = d.trouble(s, t, spent)
	}
	calm.Store(true)
	all.Wait()
	took := time.Since(s.since)
	t.Logf("%d operations in %v, %.0f each second; %d times trouble", done.Load(), took.Round(time.Millisecond), float64(done.Load())/took.Seconds(), troubles)
	s.awaitNothingLeft(t)
	return s, workers
}

// clients ask all ushers in turn, or, most of them if they are loyal, one and the same.
func (s *sharers) clients(t *testing.T, ttl time.Duration, loyal bool) (workers []*worker) {
	t.Helper()
	for i := range replicaClients {
		client := s.spread(t)
		if loyal && i%4 > 0 {
			client.all = client.all[i%replicas:][:1]
		}
		workers = append(workers, &worker{
			number: i, client: client, since: s.since, counts: make(map[string]int), ttl: ttl,
			random: rand.New(rand.NewPCG(uint64(i), uint64(s.since.UnixNano()))),
		})
	}
	return workers
}

// killSome kills one replica after the other until the work is over, at least one.
func (s *sharers) killSome(t *testing.T, spent <-chan struct{}) (kills int) {
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
		case <-spent:
			return kills
		case <-tick.C:
		}
	}
}

// loseMemory kills Redis in the midst of the work, and starts it empty.
func (s *sharers) loseMemory(t *testing.T, _ <-chan struct{}) int {
	t.Helper()
	return s.without(t, s.redis.single.Kill, func() {
		s.stayAway(t)
		s.redis.single.Start()
	})
}

// standStill stops Redis in the midst of the work, and has it go on.
func (s *sharers) standStill(t *testing.T, _ <-chan struct{}) int {
	t.Helper()
	return s.without(t, s.redis.single.Pause, func() {
		s.stayAway(t)
		s.redis.single.Resume()
	})
}

// stayAway is about as long as a failover takes; all ushers have to say that they are on their own.
func (s *sharers) stayAway(t *testing.T) {
	t.Helper()
	pause(t.Context(), awayFor)
	for i := range s.all {
		eventually(t, fmt.Sprintf("usher %d says that it is degraded", i), func() bool { return s.metrics(t, i).GetDegraded() })
	}
}

// killKeeper kills the server that has the namespace, of which there are copies.
func (s *sharers) killKeeper(t *testing.T, _ <-chan struct{}) int {
	t.Helper()
	was := s.redis.keeper()
	return s.without(t, was.Kill, func() {
		eventually(t, "another has the namespace", func() bool { return s.redis.keeper() != was })
	})
}

// depose makes a copy the master in order.
func (s *sharers) depose(t *testing.T, _ <-chan struct{}) int {
	t.Helper()
	return s.without(t, func() {}, s.redis.sentinel.Failover)
}

// without takes Redis away once, until all ushers have found it again.
func (s *sharers) without(t *testing.T, lose, find func()) int {
	t.Helper()
	pause(t.Context(), awayAfter)
	s.lost = time.Since(s.since)
	lose()
	find()
	s.found = time.Since(s.since)
	s.awaitShared(t)
	pause(t.Context(), awayAfter)
	return 1
}
