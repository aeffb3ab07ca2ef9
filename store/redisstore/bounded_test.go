package redisstore

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"usher.internal/core"
	"usher.internal/store/storetest/redistest"
)

// many means: how many records a test of bounded steps has.
const many = 10_000

// TestBoundedSteps wants no call to be about more than a few records, however many are over at once; what the calls hold the
// server for is shown.
func TestBoundedSteps(t *testing.T) {
	t.Parallel()
	if !redistest.Available() {
		return
	}
	for _, one := range []struct {
		name string
		do   func(t *testing.T, w *world, held []core.Lease, one, two *Store)
	}{
		{"leases_that_expire", func(t *testing.T, w *world, _ []core.Lease, _, two *Store) {
			w.advance(2 * time.Hour)
			must(t, two.beat(t.Context()))
			wantEnded(t, sweep(t, two))
		}},
		{"leases_of_the_dead", func(t *testing.T, w *world, _ []core.Lease, one, two *Store) {
			must(t, one.Close())
			wantEnded(t, w.pass(t, time.Minute, two))
		}},
		{"waiters_of_the_dead", waitersOfTheDead},
		{"leases_of_an_owner", func(t *testing.T, _ *world, _ []core.Lease, _, two *Store) {
			leases, err := two.LeasesOf(t.Context(), "owner")
			must(t, err)
			ids := make([]core.LeaseID, len(leases))
			for i := range leases {
				ids[i] = leases[i].ID
			}
			ended, err := two.End(t.Context(), ids, core.LeaseEndReplaced)
			must(t, err)
			wantEnded(t, ended)
		}},
		{"renewals_and_adoptions", func(t *testing.T, _ *world, held []core.Lease, _, two *Store) {
			renewals, adoptions := make([]core.Renewal, len(held)), make([]core.Adoption, len(held))
			for i := range held {
				renewals[i], adoptions[i] = core.Renewal{Lease: held[i].ID}, core.Adoption{Lease: held[i], TTL: time.Hour}
			}
			must(t, two.Renew(t.Context(), renewals, make([]core.Renewed, len(held))))
			must(t, two.Adopt(t.Context(), adoptions, make([]core.Adopted, len(held))))
		}},
		{"events", func(t *testing.T, _ *world, held []core.Lease, _, two *Store) {
			events := make([]core.Settlement, len(held))
			for i := range held {
				events[i] = core.Settlement{Kind: core.SettleFinished, Lease: held[i].ID}
			}
			must(t, two.Settle(t.Context(), events, make([]core.Settled, len(held))))
		}},
		{"deadlines", func(t *testing.T, w *world, _ []core.Lease, _, two *Store) {
			for i := range many {
				_, err := two.Cool(t.Context(), core.Cooldown{Account: "a", Model: strconv.Itoa(i), Until: w.clock.Now().Add(time.Second), Reason: 1})
				must(t, err)
			}
			cooling, err := two.Cooling(t.Context())
			must(t, err)
			if len(cooling) != many {
				t.Errorf("%d deadlines stand", len(cooling))
			}
			w.advance(time.Minute)
			for range many / step {
				sweep(t, two)
			}
		}},
	} {
		t.Run(one.name, func(t *testing.T) { bounded(t, one.do) })
	}
}

// waitersOfTheDead takes a replica for dead at which many wait, which then lives after all.
func waitersOfTheDead(t *testing.T, w *world, _ []core.Lease, one, two *Store) {
	for n := range many {
		one.counted.add(&core.Waiter{ID: waiterID(n), Account: "a", Tenant: "tenant", TTL: time.Hour}, w.clock.Now())
	}
	must(t, one.beat(t.Context()))
	wantWaiting(t, two, many)
	mend := cutOff(one)
	wantEnded(t, w.pass(t, time.Minute, two))
	wantWaiting(t, two, 0)
	mend()
	must(t, one.beat(t.Context()))
	wantWaiting(t, two, many)
	must(t, two.Answered(t.Context(), make([]core.RequestKey, many), make([]bool, many)))
}

// step means: how many records one call is about at most, as STEP of the scripts, callMost and opsMost.
const step = 64

func wantEnded(t *testing.T, ended []core.Lease) {
	t.Helper()
	if len(ended) != many {
		t.Errorf("%d leases ended, want %d", len(ended), many)
	}
}

// bounded does something with many leases and looks at the longest call.
func bounded(t *testing.T, do func(t *testing.T, w *world, held []core.Lease, one, two *Store)) {
	server := redistest.Single(t)
	w := mortal(newRealWorld(single("unix://"+server.Socket()), "bounded"))
	one, two := w.replica(t), w.replica(t)
	held, adoptions := make([]core.Lease, many), make([]core.Adoption, many)
	for i := range held {
		held[i] = core.Lease{ID: w.id(), Account: "c", Owner: core.Owner{Name: "owner"}, GrantedAt: w.now()}
		adoptions[i] = core.Adoption{Lease: held[i], TTL: time.Hour}
	}
	must(t, one.Adopt(t.Context(), adoptions, make([]core.Adopted, many)))
	w.pass(t, 40*time.Second, one, two)
	server.Must("CONFIG", "SET", "slowlog-log-slower-than", "500", "slowlog-max-len", "500")
	server.Must("CONFIG", "RESETSTAT")
	server.Must("SLOWLOG", "RESET")
	do(t, w, held, one, two)
	t.Log(slowest(server))
	stats := regexp.MustCompile(`cmdstat_evalsha:calls=(\d+)\S*`).FindStringSubmatch(server.Must("INFO", "commandstats"))
	t.Log(stats)
	// A sweep goes a step through what is over, and a step through the leases of the dead.
	if calls, err := strconv.Atoi(stats[1]); err != nil || calls < many/(2*step) {
		t.Errorf("%d calls for %d records: %v", calls, many, err)
	}
	sound(t, w.client(t), two.prefix[0])
}

// slowest shows the calls that held the server for the longest.
func slowest(server *redistest.Server) string {
	got, err := server.Do("SLOWLOG", "GET", "500")
	if err != nil {
		return err.Error()
	}
	all, _ := got.([]any)
	longest, over, calls := 0, 0, 0
	words := ""
	for _, entry := range all {
		fields, _ := entry.([]any)
		if len(fields) < 4 || !strings.HasPrefix(fmt.Sprint(fields[3]), "[EVALSHA") {
			continue
		}
		calls++
		took, _ := strconv.Atoi(fmt.Sprint(fields[2]))
		if took > 2000 {
			over++
		}
		if took > longest {
			longest, words = took, fmt.Sprintf("%.60s", fmt.Sprint(fields[3]))
		}
	}
	return fmt.Sprintf("%d calls over 500 us, the longest %d us, %d over 2 ms: %s", calls, longest, over, words)
}
