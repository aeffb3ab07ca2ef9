package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	usherv1 "usher.internal/gen/usher/v1"
	"usher.internal/store/storetest/redistest"
)

const (
	// cutOffSettle is later than the others count what the usher that is cut off holds as gone.
	cutOffSettle = 4 * sharersLife
	// lookedAt is longer than ushers take to hear of each other, by a heartbeat, and to look at what is in use.
	lookedAt = sharersLife/3 + 2*time.Second + 500*time.Millisecond
)

var cutOffLimits = soakPool{"two": 2, "ten": 10, "sixty": 60}

// cutOff is several ushers, of which the first can lose its way to Redis alone, and what is held of each account.
type cutOff struct {
	*testing.T
	*sharers
	ways    []*redistest.Proxy
	clients []usherv1.SchedulerServiceClient
	held    map[string][]string // tokens, by account
	by      map[string]int      // usher, by token
	wrong   []string
	// late is the longest time, in nanoseconds, in which some usher did not answer or was not asked.
	late atomic.Int64
}

// lateMost is for how long an usher may be late without that others count what it holds as gone, as they should.
const lateMost = sharersLife / 3

func (c *cutOff) say(format string, args ...any) {
	c.wrong = append(c.wrong, fmt.Sprintf(format, args...))
}

// watchLate looks at how late one usher is, from now on.
func (c *cutOff) watchLate(usher int) {
	last := time.Now()
	repeat(c.T, 20*time.Millisecond, func(ctx context.Context) {
		_, err := c.tell[usher].GetMetrics(ctx, &usherv1.GetMetricsRequest{})
		now := time.Now()
		if took := int64(now.Sub(last)); err == nil && took > c.late.Load() {
			c.late.Store(took)
		}
		last = now
	})
}

func newCutOff(t *testing.T) *cutOff {
	t.Helper()
	c := &cutOff{T: t, sharers: &sharers{redis: onSingle(t), since: time.Now()}, held: make(map[string][]string), by: make(map[string]int)}
	for i := range replicas {
		way := redistest.NewProxy(t, c.redis.single.Addr())
		c.ways = append(c.ways, way)
		var conf strings.Builder
		conf.WriteString("accounts:\n")
		for id, limit := range cutOffLimits {
			fmt.Fprintf(&conf, "  - {id: %s, max_concurrency: %d, groups: [%s]}\n", id, limit, id)
		}
		fmt.Fprintf(&conf, "server: {listen: ['unix://%s'], drain_timeout: 1s}\n", socketPath(t))
		c.add(t, conf.String(), fmt.Sprintf("%s, budget: %s, local_settle: %v", urls([]string{way.Addr()}), patientBudget, cutOffSettle))
		c.clients = append(c.clients, usherv1.NewSchedulerServiceClient(dial(t, c.all[i].addresses[0], eager)))
	}
	for i := range replicas {
		c.watchLate(i)
	}
	return c
}

// take takes a slot of an account at an usher, if that has one.
func (c *cutOff) take(usher int, account string) bool {
	c.Helper()
	resp, err := c.clients[usher].Select(c.Context(), &usherv1.SelectRequest{Group: account, LeaseTtl: durationpb.New(lasting)})
	if err != nil {
		c.Fatal(err)
	}
	token := resp.GetSelection().GetLeaseToken()
	if token == "" {
		return false
	}
	c.held[account], c.by[token] = append(c.held[account], token), usher
	return true
}

// takeAll has all take as much as they may, in turn, and shows by how much that passes each limit.
func (c *cutOff) takeAll(when string) map[string]int {
	c.Helper()
	above := make(map[string]int)
	for _, account := range slices.Sorted(maps.Keys(cutOffLimits)) {
		for more := true; more; {
			more = false
			for i := range c.clients {
				more = c.take(i, account) || more
			}
		}
		above[account] = max(len(c.held[account])-cutOffLimits[account], 0)
	}
	c.Logf("%s: above the limits of 2, 10, 60 by %d, %d, %d; the one cut off holds %d, %d, %d", when,
		above["two"], above["ten"], above["sixty"], c.of(0, "two"), c.of(0, "ten"), c.of(0, "sixty"))
	return above
}

// of counts what an usher granted and is held.
func (c *cutOff) of(usher int, account string) (n int) {
	for _, token := range c.held[account] {
		if c.by[token] == usher {
			n++
		}
	}
	return n
}

// finishAll gives all back, where it was taken.
func (c *cutOff) finishAll() {
	c.Helper()
	for account, tokens := range c.held {
		for _, token := range tokens {
			if status := reported(c.T, c.clients[c.by[token]], token, success); status == usherv1.ReportStatus_REPORT_STATUS_LEASE_UNKNOWN {
				c.say("a lease of %s is not known where it was taken", account)
			}
		}
	}
	clear(c.held)
	clear(c.by)
}

// TestSoakCutOff: one of several ushers loses Redis alone. By how much limits are passed is as docs/operations.md says, and none is
// when it shares again.
func TestSoakCutOff(t *testing.T) {
	if !redistest.Available() {
		return
	}
	for _, use := range []struct {
		name   string
		ushers []int // who has taken half of all slots, in turn
	}{{"even", []int{0, 1, 2}}, {"all at the one that is cut off", []int{0}}, {"none at the one that is cut off", []int{1, 2}}} {
		t.Run(use.name, func(t *testing.T) {
			t.Parallel() // they wait most of the time
			for {
				c := newCutOff(t)
				c.drill(t, use.ushers)
				late := time.Duration(c.late.Load())
				if len(c.wrong) > 0 && late > lateMost {
					t.Logf("nothing can be judged, since an usher was %v late: %s", late.Round(time.Millisecond), strings.Join(c.wrong, "; "))
					continue
				}
				for _, text := range c.wrong {
					t.Error(text)
				}
				return
			}
		})
	}
}

// pass lets time go by for the ushers: what is late, since the machine was busy, does not count.
func (c *cutOff) pass(d time.Duration) {
	c.Helper()
	for last := time.Now(); d > 0; {
		pause(c.Context(), pollEvery)
		for i := range c.all {
			c.metrics(c.T, i)
		}
		now := time.Now()
		d, last = d-min(now.Sub(last), lookMost), now
	}
}

// drill has ushers take half of all slots, and goes on from there.
func (c *cutOff) drill(t *testing.T, ushers []int) {
	t.Helper()
	for account, limit := range cutOffLimits {
		for n := range limit / 2 {
			if !c.take(ushers[n%len(ushers)], account) {
				t.Fatalf("%d slots of %s, and no more", n, account)
			}
		}
	}
	c.pass(lookedAt)
	c.ways[0].Cut()
	eventually(t, "it is on its own", func() bool { return c.metrics(t, 0).GetDegraded() })
	for account, above := range c.takeAll("at once") {
		if most := (cutOffLimits[account] + 1) / 2; above > most {
			c.say("%s: %d above, want at most what was free", account, above)
		}
	}
	c.pass(sharersLife + lookedAt)
	for account, above := range c.takeAll("when the others count what it holds no more") {
		if above > c.of(0, account) {
			c.say("%s: %d above, want at most what the one cut off holds", account, above)
		}
	}
	c.pass(cutOffSettle - sharersLife)
	c.finishAll()
	for account, above := range c.takeAll("after the settle time") {
		if most := (cutOffLimits[account] + replicas - 1) / replicas; above > most || above > c.of(0, account) {
			c.say("%s: %d above, want at most an exact part", account, above)
		}
	}
	c.ways[0].Mend()
	since := time.Now()
	c.awaitShared(t)
	t.Logf("shared again %v after its way was whole", time.Since(since).Round(time.Millisecond))
	for account, tokens := range c.held {
		if n := find(t, c.all[1], account).GetInUse(); int(n) != len(tokens) {
			c.say("%s: %d in use when it is shared again, %d are held", account, n, len(tokens))
		}
	}
	c.finishAll()
	for account, above := range c.takeAll("shared again") {
		if above > 0 || len(c.held[account]) < cutOffLimits[account] {
			c.say("%s: %d of %d held", account, len(c.held[account]), cutOffLimits[account])
		}
	}
	c.finishAll()
	c.awaitNothingLeft(t)
}
