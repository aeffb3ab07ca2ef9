package outage

import (
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"go.uber.org/goleak"

	"usher.internal/core"
	"usher.internal/store/redisstore"
	"usher.internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestSuite: while the primary answers, all its promises hold through the wrapper.
func TestSuite(t *testing.T) {
	var server *miniredis.Miniredis
	clock := storetest.NewClock()
	begin := func(tb storetest.TB) core.Store {
		primary, err := redisstore.New(redisstore.Options{
			Server: redisstore.Server{Addresses: []string{server.Addr()}}, Clock: clock, StoreLeaseTTL: 1000 * time.Hour, Budget: 20 * time.Second,
		})
		if err != nil {
			tb.Fatalf("%v", err)
		}
		<-primary.Reached()
		s := New(Options{Primary: primary, Clock: clock})
		tb.Cleanup(func() {
			if err := s.Close(); err != nil {
				tb.Errorf("close: %v", err)
			}
			if s.Degraded() {
				tb.Errorf("degraded although nothing was out of reach")
			}
		})
		return s
	}
	storetest.Run(t, storetest.Harness{
		New: func(tb storetest.TB) core.Store {
			server = miniredis.NewMiniRedis()
			if err := server.Start(); err != nil {
				tb.Fatalf("%v", err)
			}
			tb.Cleanup(server.Close)
			server.SetTime(clock.Now())
			return begin(tb)
		},
		Peer: begin,
		Advance: func(d time.Duration) {
			clock.Advance(d)
			server.SetTime(clock.Now())
			server.FastForward(d)
		},
	})
}
