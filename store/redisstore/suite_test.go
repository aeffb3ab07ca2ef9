package redisstore

import (
	"strconv"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"go.uber.org/goleak"

	"usher.internal/core"
	"usher.internal/store/storetest"
	"usher.internal/store/storetest/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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
			return open(t, options)
		},
		Peer: func(t storetest.TB) core.Store { return open(t, options) },
		Advance: func(d time.Duration) {
			clock.Advance(d)
			server.SetTime(clock.Now())
			server.FastForward(d)
		},
	}
}

// realHarness runs on servers whose clock cannot be moved: the time comes with every call. Each check has a namespace of its own.
func realHarness(server Server, pause func() (resume func())) storetest.Harness {
	clock := storetest.NewClock()
	options := suiteOptions(server, clock)
	options.fakeNow = clock.Now
	made := 0
	return storetest.Harness{
		New: func(t storetest.TB) core.Store {
			made++
			options.Namespace = strconv.Itoa(made)
			return open(t, options)
		},
		Peer:    func(t storetest.TB) core.Store { return open(t, options) },
		Advance: clock.Advance,
		Pause:   pause,
	}
}

func TestSuite(t *testing.T) {
	t.Run("miniredis", func(t *testing.T) { storetest.Run(t, miniHarness()) })
	if !redistest.Available() {
		return
	}
	t.Run("single", func(t *testing.T) {
		server := redistest.Single(t)
		storetest.Run(t, realHarness(single("unix://"+server.Socket()), func() func() {
			server.Pause()
			return server.Resume
		}))
	})
}

// TestMutants shows that the suite finds on this store what it was made to find.
func TestMutants(t *testing.T) {
	harness := miniHarness()
	harness.Patience = time.Second // one of them is found by waiting for what never comes
	for _, mutant := range storetest.Mutants() {
		t.Run(mutant.Name, func(t *testing.T) {
			if mutant.Found(harness) == nil {
				t.Errorf("%q did not find it", mutant.Meant)
			}
		})
	}
}
