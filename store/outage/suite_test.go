package outage

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"go.uber.org/goleak"

	"usher.internal/core"
	"usher.internal/store/redisstore"
	"usher.internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// suite gives stores on a server in this process, which is lost at once if lost says so.
func suite(lost bool) storetest.Harness {
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
			if s.Degraded() != lost {
				tb.Errorf("degraded is %v", s.Degraded())
			}
		})
		if lost {
			server.SetError("LOADING Redis is loading the dataset in memory")
			s.fail(errors.New("it was lost"))
		}
		return s
	}
	return storetest.Harness{
		New: func(tb storetest.TB) core.Store {
			server = miniredis.NewMiniRedis()
			if err := server.Start(); err != nil {
				tb.Fatalf("%v", err)
			}
			tb.Cleanup(server.Close)
			server.SetTime(clock.Now())
			return begin(tb)
		},
		Peer: begin, Handover: true,
		Advance: func(d time.Duration) {
			clock.Advance(d)
			server.SetTime(clock.Now())
			server.FastForward(d)
		},
	}
}

// TestSuite: while the primary answers, all its promises hold through the wrapper.
func TestSuite(t *testing.T) { storetest.Run(t, suite(false)) }

// TestSuiteInAnOutage: what is promised to those who wait holds without the primary, too.
func TestSuiteInAnOutage(t *testing.T) {
	h := suite(true)
	for _, check := range storetest.Checks() {
		if strings.HasPrefix(check.Name, "line/") || strings.HasPrefix(check.Name, "handover/") {
			t.Run(check.Name, func(t *testing.T) { check.Run(t, &h) })
		}
	}
}
