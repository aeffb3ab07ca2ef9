package redisstore

import (
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"go.uber.org/goleak"

	"usher.internal/core"
	"usher.internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// suiteOptions are such that no replica of the suite dies while the harness moves its clock.
func suiteOptions(address string) Options {
	return Options{
		Server: Server{Addresses: []string{address}}, StoreLeaseTTL: 1000 * time.Hour, Budget: 10 * time.Second,
	}
}

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

func TestSuite(t *testing.T) {
	var server *miniredis.Miniredis
	var options Options
	clock := storetest.NewClock()
	storetest.Run(t, storetest.Harness{
		New: func(tb storetest.TB) core.Store {
			server = miniredis.NewMiniRedis()
			if err := server.Start(); err != nil {
				tb.Fatalf("%v", err)
			}
			tb.Cleanup(server.Close)
			server.SetTime(clock.Now())
			options = suiteOptions(server.Addr())
			options.Clock = clock
			return open(tb, options)
		},
		Peer: func(tb storetest.TB) core.Store { return open(tb, options) },
		Advance: func(d time.Duration) {
			clock.Advance(d)
			server.SetTime(clock.Now())
			server.FastForward(d)
		},
	})
}
