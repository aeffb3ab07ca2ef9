package redistest_test

import (
	"strings"
	"testing"

	"usher.internal/store/storetest/redistest"
)

func sentinelTest(t *testing.T) {
	s := redistest.NewSentinel(t, redistest.MutualTLS(), redistest.Users("user default off"), redistest.Sentinels(redistest.Password("watchword")))
	first := s.Master()
	if first != s.Servers()[0] || len(s.Addrs()) != 3 {
		t.Errorf("master %s, Sentinels %v", first.Addr(), s.Addrs())
	}
	expect(t, first, "OK", "SET", "k", "1")
	s.AwaitWhole()
	s.Failover()
	second := s.Master()
	expect(t, second, "1", "GET", "k")
	if _, err := first.Do("SET", "k", "2"); err == nil || !strings.HasPrefix(err.Error(), "READONLY") {
		t.Errorf("the old master says %v", err)
	}

	second.Kill()
	third := s.Master()
	if third == second {
		t.Error("who is dead is the master")
	}
	expect(t, third, "OK", "SET", "k", "3")
	second.Start()
	s.AwaitWhole()
	expect(t, second, "3", "GET", "k")
}
