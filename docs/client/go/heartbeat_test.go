//go:build live

package gateway

import (
	"context"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	usherv1 "usher.internal/gen/usher/v1"
)

// start is one start of a gateway process with a stream that stands, and a lease that it holds.
func start(t *testing.T, name, incarnation string) (*Gateway, *usherv1.Selection) {
	t.Helper()
	g := newGateway(t)
	g.owner = &usherv1.Owner{Name: name, Incarnation: incarnation}
	s := NewStream(g.usher, g.owner, g.held)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); s.Run(ctx) }()
	t.Cleanup(func() { stop(); <-ended })
	held := g.take(t, &usherv1.SelectRequest{Owner: g.owner})
	g.held.Add(held.LeaseToken)
	s.Send(firstTokenEvent(held.LeaseToken, nil, ""))
	opens, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := s.Flush(opens); err != nil {
		t.Fatal(err)
	}
	return g, held
}

// until polls for what comes within a few heartbeats.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for !done() {
		select {
		case <-poll.C:
		case <-ctx.Done():
			t.Fatalf("%s: never", what)
		}
	}
}

func (g *Gateway) lost(t *testing.T, lease string) func() bool {
	return func() bool {
		t.Helper()
		r, err := g.usher.Renew(t.Context(), &usherv1.RenewRequest{LeaseTokens: []string{lease}})
		if err != nil {
			t.Fatal(err)
		}
		return r.Results[0].Status == usherv1.ReportStatus_REPORT_STATUS_LEASE_EXPIRED
	}
}

func TestForgottenLeaseEnds(t *testing.T) {
	g, held := start(t, unique("example-go"), "1")
	forgotten := g.take(t, &usherv1.SelectRequest{Owner: g.owner})
	until(t, "the lease that no heartbeat names ends", g.lost(t, forgotten.LeaseToken))
	if got := g.tell(t, releasedUnused(held.LeaseToken)); got.Status != usherv1.ReportStatus_REPORT_STATUS_APPLIED {
		t.Errorf("the lease that heartbeats named: %v", got.Status)
	}
}

func TestNewStartReplacesTheOld(t *testing.T) {
	name := unique("example-go")
	old, lost := start(t, name, "1")
	next, held := start(t, name, "2")
	until(t, "the old start is told that its lease is lost", func() bool { return !old.held.Has(lost.LeaseToken) })
	if !next.lost(t, lost.LeaseToken)() {
		t.Error("the old start's lease still stands")
	}
	if got := next.tell(t, releasedUnused(held.LeaseToken)); got.Status != usherv1.ReportStatus_REPORT_STATUS_APPLIED {
		t.Errorf("the new start's own lease: %v", got.Status)
	}
}

// A new stream is told of the accounts of its leases that are blocked.
func TestBlockedAccountIsTold(t *testing.T) {
	g, response := newGateway(t), unique("resp")
	g.owner = &usherv1.Owner{Name: unique("example-go"), Incarnation: "1"}
	stays := g.take(t, &usherv1.SelectRequest{Owner: g.owner})
	g.held.Add(stays.LeaseToken)
	g.tell(t, firstTokenEvent(stays.LeaseToken, nil, response))
	const lasts = 2 * time.Second
	var since time.Time
	limit := func() {
		limited := g.take(t, &usherv1.SelectRequest{PreviousResponseId: response})
		g.tell(t, finishedEvent(limited.LeaseToken, &usherv1.Finished{
			Outcome: usherv1.Outcome_OUTCOME_RATE_LIMITED, RetryAfter: durationpb.New(lasts), LimitScope: usherv1.LimitScope_LIMIT_SCOPE_ACCOUNT,
		}))
		since = time.Now()
	}
	limit()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); NewStream(g.usher, g.owner, g.held).Run(ctx) }()
	t.Cleanup(func() { stop(); <-ended })
	until(t, "the account is to be avoided", func() bool {
		if g.held.Avoid(stays.AccountId) {
			return true
		}
		if time.Since(since) > lasts { // it was over before the stream stood
			limit()
		}
		return false
	})
	until(t, "it may be used again", func() bool { return !g.held.Avoid(stays.AccountId) })
	g.tell(t, releasedUnused(stays.LeaseToken))
}
