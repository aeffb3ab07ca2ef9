package redisstore

import (
	"context"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/core/pool"
	"usher.internal/store/storetest/redistest"
)

// TestRoundTrips counts on the wire what each call of a scheduler costs, at any number of accounts.
func TestRoundTrips(t *testing.T) {
	if !redistest.Available() {
		return
	}
	server := redistest.Single(t)
	for _, n := range []int{10, 100, 1000} {
		t.Run(strconv.Itoa(n), func(t *testing.T) { tripsOf(t, server, n) })
	}
}

// trips counts those of one replica.
type trips struct {
	*testing.T
	proxy *redistest.Proxy
	*core.Scheduler
	least map[string]int // scripts that a call needed
}

func tripsOf(t *testing.T, server *redistest.Server, n int) {
	proxy := redistest.NewProxy(t, server.Addr())
	// No heartbeat and no sweep while it counts.
	store := open(t, Options{
		Server: single(proxy.Addr()), Namespace: "trips" + strconv.Itoa(n), StoreLeaseTTL: 1000 * time.Hour, Budget: patience,
	})
	s, err := core.New(t.Context(), core.Options{Store: store, Entropy: rand.Uint64, Shared: true, SweepEvery: 1000 * time.Hour})
	must(t, err)
	t.Cleanup(func() { must(t, s.Close(context.Background())) })
	accounts := make([]pool.Account, n)
	for i := range accounts {
		accounts[i] = pool.Account{ID: "a" + strconv.Itoa(i), MaxConcurrency: 2}
	}
	must(t, s.Apply(t.Context(), accounts, decide.Recommended()))
	until(t, "the first heartbeat is heard", func() bool { return store.steady.Load() != nil })
	one := &trips{T: t, proxy: proxy, Scheduler: s, least: map[string]int{}}
	for run := range 4 { // what a replica does besides may fall among them
		one.calls(strconv.Itoa(run))
	}
	for what, want := range map[string]int{
		"load balance": 2, "load balance without a session": 2, "sticky hit": 1, "repeat of a request id": 1, "report": 1,
	} {
		if got := one.least[what]; got != want {
			t.Errorf("%s: %d scripts, want %d", what, got, want)
		}
	}
}

// costs counts what a call needs: the scripts that it runs, one after another.
func (c *trips) costs(what string, call func()) {
	c.Helper()
	before := c.proxy.Counts()
	call()
	got := c.proxy.Counts().Since(before)
	scripts := got.Names["EVALSHA"]
	c.Logf("%s: %d scripts, %d round trips, %d bytes sent, %d received", what, scripts, got.RoundTrips, got.Sent, got.Received)
	if least, ok := c.least[what]; !ok || scripts < least {
		c.least[what] = scripts
	}
}

func (c *trips) calls(run string) {
	session := core.Request{SessionHash: "session " + run, RequestID: "id " + run, Owner: core.Owner{Name: "owner"}}
	var first, hit *core.Selection
	c.costs("load balance", func() { first = taken(c, c.Scheduler, session) })
	c.costs("repeat of a request id", func() { taken(c, c.Scheduler, session) })
	c.costs("report", func() { finish(c, c.Scheduler, first.Token, core.OutcomeSuccess) })
	session.RequestID = ""
	c.costs("sticky hit", func() { hit = taken(c, c.Scheduler, session) })
	c.costs("report", func() { finish(c, c.Scheduler, hit.Token, core.OutcomeSuccess) })
	c.costs("load balance without a session", func() { hit = taken(c, c.Scheduler, core.Request{}) })
	finish(c, c.Scheduler, hit.Token, core.OutcomeSuccess)
}
