package main

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	usherv1 "usher.internal/gen/usher/v1"
	"usher.internal/store/storetest/redistest"
)

const (
	// acrossTrials and acrossTrialsShort are of a soak, and of a short one.
	acrossTrials      = 300
	acrossTrialsShort = 20
	// askedMost is how many Selects in turn a signal may be behind; an usher that looks from time to time is asked many more.
	askedMost = 50
)

// TestSoakAcross: what is told to one usher takes effect at another at once; a soak measures how soon.
func TestSoakAcross(t *testing.T) {
	if !redistest.Available() {
		return
	}
	trials := acrossTrialsShort
	if os.Getenv("USHER_SOAK") != "" {
		trials = acrossTrials
	}
	t.Run("a release wakes a waiter", func(t *testing.T) {
		took, woken := wakeAcross(t, trials)
		show(t, "from the release's answer or before it to the waiter's", took)
		if n := woken[usherv1.WakeReason_WAKE_REASON_RELEASE]; n <= trials/2 {
			t.Errorf("of %d waiters %d were served by the release's signal: woken were %v", trials, n, woken)
		}
	})
	t.Run("a cooldown is seen", func(t *testing.T) {
		took, asked := coolAcross(t, trials)
		show(t, "from the report's answer until the other leaves the account out", took)
		if asked > askedMost {
			t.Errorf("a cooldown was not seen by %d Selects in turn after its report", asked-1)
		}
	})
	t.Run("a session is a hit, and a report to both at once counts once", func(t *testing.T) { countAcross(t, trials) })
}

// show shows times, and sorts them.
func show(t *testing.T, what string, took []time.Duration) {
	t.Helper()
	slices.Sort(took)
	t.Logf("%s, %d times: p50 %v, p99 %v, most %v", what, len(took), took[len(took)/2].Round(time.Microsecond),
		took[len(took)*99/100].Round(time.Microsecond), took[len(took)-1].Round(time.Microsecond))
}

// wakeAcross has somebody wait at one usher for what is released at the other.
func wakeAcross(t *testing.T, trials int) (took []time.Duration, woken map[usherv1.WakeReason]int) {
	t.Helper()
	woken = make(map[usherv1.WakeReason]int)
	p := newPair(t, "[{id: a, max_concurrency: 1}]")
	a, b := p.a.scheduler(t), p.b.scheduler(t)
	watch := usherv1.NewMetricsServiceClient(p.b.dial(t))
	for range trials {
		token := choose(t, a, &usherv1.SelectRequest{}).GetSelection().GetLeaseToken()
		var served time.Time
		var next string
		var waiter sync.WaitGroup
		waiter.Go(func() {
			resp, err := b.Select(t.Context(), &usherv1.SelectRequest{Wait: durationpb.New(patience)})
			served = time.Now()
			if err != nil || resp.GetSelection() == nil {
				t.Errorf("the waiter got %v, %v", resp, err)
				return
			}
			next = resp.GetSelection().GetLeaseToken()
			woken[resp.GetSelection().GetLine().GetWokenBy()]++
		})
		eventually(t, "somebody waits", func() bool {
			resp, err := watch.GetMetrics(t.Context(), &usherv1.GetMetricsRequest{})
			return err == nil && resp.GetSnapshot().GetWaiting() == 1
		})
		released := time.Now()
		reported(t, a, token, success)
		waiter.Wait()
		took = append(took, served.Sub(released))
		reported(t, b, next, success)
	}
	return took, woken
}

// coolAcross has an account cool down by a report to one usher, and asks the other until it knows: most is how often, at most.
func coolAcross(t *testing.T, trials int) (took []time.Duration, most int) {
	t.Helper()
	accounts := "["
	for n := range trials {
		accounts += fmt.Sprintf("{id: a%d, groups: [g%d]}, ", n, n)
	}
	p := newPair(t, accounts+"{id: b}]")
	a, b := p.a.scheduler(t), p.b.scheduler(t)
	for n := range trials {
		ask := &usherv1.SelectRequest{Group: fmt.Sprintf("g%d", n)}
		token := choose(t, b, ask).GetSelection().GetLeaseToken()
		since := time.Now()
		_, err := a.Report(t.Context(), &usherv1.ReportRequest{Events: []*usherv1.ReportEvent{{
			Subject: &usherv1.ReportEvent_LeaseToken{LeaseToken: token},
			Event: &usherv1.ReportEvent_Finished{Finished: &usherv1.Finished{
				Outcome: usherv1.Outcome_OUTCOME_RATE_LIMITED, RetryAfter: durationpb.New(time.Hour),
			}},
		}}})
		if err != nil {
			t.Fatal(err)
		}
		asked := 0
		for known := false; !known && time.Since(since) < patience; asked++ {
			resp, err := b.Select(t.Context(), ask)
			if err != nil {
				t.Fatal(err)
			}
			known = resp.GetRefusal() != nil
		}
		took, most = append(took, time.Since(since)), max(most, asked)
	}
	t.Logf("it left the account out after %d Selects at most", most)
	return took, most
}

// countAcross binds sessions at one usher, hits them at the other, and reports each lease to both at the same time.
func countAcross(t *testing.T, trials int) {
	t.Helper()
	p := newPair(t, "[{id: a}, {id: b}, {id: c}, {id: d}, {id: e}]")
	clients := []usherv1.SchedulerServiceClient{p.a.scheduler(t), p.b.scheduler(t)}
	for n := range trials {
		ask := &usherv1.SelectRequest{SessionHash: fmt.Sprintf("session %d", n)}
		first, second := choose(t, clients[0], ask), choose(t, clients[1], ask)
		if !second.GetDecision().GetStickySessionHit() || first.GetSelection().GetAccountId() != second.GetSelection().GetAccountId() {
			t.Errorf("session %d: %s, then %s", n, first.GetSelection().GetAccountId(), second.GetSelection().GetAccountId())
		}
		reported(t, clients[0], second.GetSelection().GetLeaseToken(), success)
		var both sync.WaitGroup
		var statuses [2]usherv1.ReportStatus
		for i, client := range clients {
			both.Go(func() {
				resp, err := client.Report(t.Context(), &usherv1.ReportRequest{Events: []*usherv1.ReportEvent{finished(lease{token: first.GetSelection().GetLeaseToken()})}})
				if err != nil {
					t.Error(err)
					return
				}
				statuses[i] = resp.GetResults()[0].GetStatus()
			})
		}
		both.Wait()
		slices.Sort(statuses[:])
		want := [2]usherv1.ReportStatus{usherv1.ReportStatus_REPORT_STATUS_APPLIED, usherv1.ReportStatus_REPORT_STATUS_ALREADY_RELEASED}
		slices.Sort(want[:])
		if statuses != want {
			t.Errorf("a lease that was reported to both: %v", statuses)
		}
	}
	wantInUse(t, "at the end", 0, p.a, p.b)
}
