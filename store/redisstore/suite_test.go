package redisstore

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/rueidis"
	"go.uber.org/goleak"

	"usher.internal/core"
	"usher.internal/store/storetest"
	"usher.internal/store/storetest/redistest"
)

// The client of a Cluster closes connections that it needs no more 5 s after it learned of that, and looks for nodes anew up to
// 1 s after it lost one, even when it is closed itself.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(
		m, goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*clusterClient)._refresh.func2"),
		goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*call).DelayDo.func1"),
	)
}

// suiteOptions are such that no replica of the suite dies while the harness moves its clock.
func suiteOptions(server Server, clock core.Clock) Options {
	return Options{Server: server, Clock: clock, StoreLeaseTTL: 1000 * time.Hour, Budget: 20 * time.Second}
}

func single(address string) Server { return Server{Addresses: []string{address}} }

func open(t storetest.TB, opts Options) *Store {
	t.Helper()
	s, err := New(opts)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	<-s.listening
	// Its first heartbeat is behind it, so that none comes in between what a test does.
	until(t, "the replica is heard of", func() bool { return s.steady.Load() != nil })
	return s
}

// miniHarness runs on a server in this process, whose clock it moves.
func miniHarness() storetest.Harness {
	var server *miniredis.Miniredis
	var options Options
	clock := storetest.NewClock()
	return storetest.Harness{
		New: func(t storetest.TB) core.Store {
			server = miniredis.NewMiniRedis()
			if err := server.Start(); err != nil {
				t.Fatalf("%v", err)
			}
			t.Cleanup(server.Close)
			server.SetTime(clock.Now())
			options = suiteOptions(single(server.Addr()), clock)
			return inspected(t, open(t, options), beside(t, &options.Server))
		},
		Peer: func(t storetest.TB) core.Store { return open(t, options) }, Handover: true,
		Advance: func(d time.Duration) {
			clock.Advance(d)
			server.SetTime(clock.Now())
			server.FastForward(d)
		},
	}
}

// realHarness runs on servers whose clock cannot be moved: the time comes with every call. Each check has a namespace of its own.
func realHarness(t *testing.T, server Server, pause func() (resume func())) storetest.Harness {
	clock := storetest.NewClock()
	options := suiteOptions(server, clock)
	options.fakeNow = clock.Now
	client := beside(t, &server)
	made := 0
	return storetest.Harness{
		New: func(t storetest.TB) core.Store {
			made++
			options.Namespace = strconv.Itoa(made)
			return inspected(t, open(t, options), client)
		},
		Peer:     func(t storetest.TB) core.Store { return open(t, options) },
		Handover: true,
		Advance:  clock.Advance,
		Pause:    pause,
	}
}

// inspected is a store whose namespace has to agree with itself at the check's end.
func inspected(t storetest.TB, s *Store, client rueidis.Client) *Store {
	t.Cleanup(func() { sound(t, client, s.prefix[0]) })
	return s
}

func TestSuite(t *testing.T) {
	t.Parallel()
	t.Run("miniredis", func(t *testing.T) {
		t.Parallel()
		storetest.Run(t, miniHarness())
	})
	if !redistest.Available() {
		return
	}
	t.Run("single", func(t *testing.T) {
		t.Parallel()
		server := redistest.Single(t)
		storetest.Run(t, realHarness(t, single("unix://"+server.Socket()), func() func() {
			server.Pause()
			return server.Resume
		}))
	})
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		cluster := redistest.NewCluster(t)
		server := Server{Addresses: cluster.Addrs(), Cluster: true}
		storetest.Run(t, realHarness(t, server, nil))
		t.Run("master_killed", func(t *testing.T) {
			failsOver(t, server, unheardMost, func() {
				master := cluster.MasterOf("usher:{failover}:")
				master.KillHeard(cluster.Replicas(master)...)
			}, cluster.AwaitServing)
		})
	})
	t.Run("sentinel", func(t *testing.T) {
		t.Parallel()
		sentinel := redistest.NewSentinel(t)
		server := Server{Addresses: sentinel.Addrs(), Master: redistest.MasterName}
		storetest.Run(t, realHarness(t, server, nil))
		t.Run("failover", func(t *testing.T) { failsOver(t, server, unboundedly, sentinel.Failover, func() {}) })
		t.Run("master_killed", func(t *testing.T) {
			failsOver(t, server, unheardMost, func() {
				master := sentinel.Master()
				master.KillHeard(sentinel.Replicas(master)...)
			}, func() { sentinel.Master() })
		})
	})
}

// TestMutants shows that the suite finds on this store what it was made to find.
func TestMutants(t *testing.T) {
	t.Parallel()
	harness := miniHarness()
	harness.Patience = time.Second // one of them is found by waiting for what never comes
	for _, mutant := range slices.Concat(storetest.Mutants(), storetest.PeerMutants(), storetest.HandoverMutants()) {
		t.Run(mutant.Name, func(t *testing.T) {
			if mutant.Found(harness) == nil {
				t.Errorf("%q did not find it", mutant.Meant)
			}
		})
	}
}
