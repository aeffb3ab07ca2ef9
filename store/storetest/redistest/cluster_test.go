package redistest_test

import (
	"strings"
	"testing"

	"usher.internal/store/storetest/redistest"
)

func clusterTest(t *testing.T) {
	c := redistest.NewCluster(t)
	if got := len(c.Addrs()); got != 6 {
		t.Fatalf("%d nodes", got)
	}
	seenTest(t, c)
	masters := map[*redistest.Server]bool{}
	for _, key := range []string{"a", "b", "c", "d", "e", "{usher}:x"} {
		m := c.MasterOf(key)
		expect(t, m, "OK", "SET", key, "1")
		masters[m] = true
	}
	if len(masters) != 3 {
		t.Errorf("%d masters serve", len(masters))
	}
	for m := range masters {
		if m != c.MasterOf("a") {
			if _, err := m.Do("GET", "a"); err == nil || !strings.HasPrefix(err.Error(), "MOVED") {
				t.Errorf("another master says %v", err)
			}
		}
	}
	c.AwaitWhole()
	was := c.MasterOf("a")
	heirs := c.Replicas(was)
	was.Kill()
	c.AwaitServing()
	now := c.MasterOf("a")
	if len(heirs) != 1 || now != heirs[0] {
		t.Errorf("%v took over from %v", now.Addr(), was.Addr())
	}
	expect(t, now, "1", "GET", "a")
	was.Start()
	c.AwaitWhole()
	if got := c.MasterOf("a"); got != now {
		t.Errorf("%v serves after the old master came back", got.Addr())
	}
}

// seenTest goes to the nodes through their proxies.
func seenTest(t *testing.T, c *redistest.Cluster) {
	p := redistest.NewProxies(t, c.Nodes()...)
	for _, key := range []string{"a", "b", "c"} {
		conn, err := p.Dial(t.Context(), "tcp", c.MasterOf(key).Addr())
		if err != nil {
			t.Fatal(err)
		}
		w := wrap(t, conn)
		w.send("SET "+key+" 1", "GET "+key)
		w.want("+OK", "$1", "1")
	}
	if got := p.Counts(); got.Commands != 6 || got.RoundTrips != 3 {
		t.Errorf("all have counted %+v", got)
	}
	if got := p.Before(c.MasterOf("a")).Counts(); got.Names["GET"] < 1 {
		t.Errorf("the first has counted %+v", got)
	}
}
