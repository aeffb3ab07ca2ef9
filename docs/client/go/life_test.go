//go:build live

package gateway

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	usherv1 "usher.internal/gen/usher/v1"
)

// upstream answers with a response id, or fails on the accounts that are to fail.
type upstream struct {
	fail     map[string]error
	failNext int // the next so many calls fail, wherever they go
	called   []string
}

func (u *upstream) answer(responseID string) Upstream {
	return func(_ context.Context, account, _ string, firstToken func(string)) error {
		u.called = append(u.called, account)
		if u.failNext > 0 {
			u.failNext--
			return errors.New("502")
		}
		if err := u.fail[account]; err != nil {
			return err
		}
		firstToken(responseID)
		return nil
	}
}

func TestLife(t *testing.T) {
	g, ctx := newGateway(t), t.Context()
	response := unique("resp")
	first, err := g.Handle(ctx, Request{ID: unique("req"), Session: unique("chat")}, (&upstream{}).answer(response))
	if err != nil {
		t.Fatal(err)
	}
	// The next turn names the response; it lands on the same account, because of it.
	second, err := g.Handle(ctx, Request{ID: unique("req"), PreviousResponse: response}, (&upstream{}).answer(""))
	if err != nil || second != first {
		t.Fatalf("the follow-up landed on %q (%v), want %q", second, err, first)
	}
	s := g.peek(t, &usherv1.SelectRequest{PreviousResponseId: response})
	if s.Decision.Layer != usherv1.Layer_LAYER_PREVIOUS_RESPONSE_ID || !s.Decision.StickyPreviousHit {
		t.Errorf("the follow-up was answered by %v", s.Decision.Layer)
	}
}

func TestSessionStays(t *testing.T) {
	g, chat := newGateway(t), unique("chat")
	var u upstream
	for range 3 {
		if _, err := g.Handle(t.Context(), Request{ID: unique("req"), Session: chat}, u.answer("")); err != nil {
			t.Fatal(err)
		}
	}
	if u.called[0] != u.called[1] || u.called[1] != u.called[2] {
		t.Errorf("the conversation moved: %v", u.called)
	}
}

func TestEventsCountOnce(t *testing.T) {
	g := newGateway(t)
	lease := g.take(t, &usherv1.SelectRequest{}).LeaseToken
	end := &usherv1.Finished{Outcome: usherv1.Outcome_OUTCOME_SUCCESS, ResponseId: unique("resp")}
	first := firstTokenEvent(lease, nil, unique("resp"))
	for i, want := range []usherv1.ReportStatus{
		usherv1.ReportStatus_REPORT_STATUS_APPLIED, usherv1.ReportStatus_REPORT_STATUS_ALREADY_APPLIED,
		usherv1.ReportStatus_REPORT_STATUS_APPLIED, usherv1.ReportStatus_REPORT_STATUS_ALREADY_RELEASED,
	} {
		event := []*usherv1.ReportEvent{first, first, finishedEvent(lease, end), finishedEvent(lease, end)}[i]
		if got := g.tell(t, event); got.Status != want {
			t.Errorf("event %d: %v, want %v", i, got.Status, want)
		}
	}
}

func TestRetryElsewhere(t *testing.T) {
	g := newGateway(t)
	u := upstream{failNext: 1}
	// The session would bring it back to the account that failed.
	served, err := g.Handle(t.Context(), Request{ID: unique("req"), Session: unique("chat")}, u.answer(""))
	if err != nil || len(u.called) != 2 || u.called[0] == u.called[1] || served != u.called[1] {
		t.Fatalf("called %v, served by %q: %v", u.called, served, err)
	}
	// The failed attempt was told in the second attempt's Select, each of its events with success.
	results := g.usher.(*watched).results
	if len(results) != 2 {
		t.Fatalf("%d report results, want switched and finished", len(results))
	}
	for _, r := range results {
		if r.Status != usherv1.ReportStatus_REPORT_STATUS_APPLIED || r.AccountId != u.called[0] {
			t.Errorf("report result %v, want APPLIED for %s", r, u.called[0])
		}
	}
}

func TestNoRetryForTheCallersFault(t *testing.T) {
	g := newGateway(t)
	calls := 0
	_, err := g.Handle(t.Context(), Request{ID: unique("req")}, func(context.Context, string, string, func(string)) error {
		calls++
		return fmt.Errorf("400: %w", ErrClient)
	})
	if !errors.Is(err, ErrClient) || calls != 1 {
		t.Errorf("%d calls: %v", calls, err)
	}
}

func TestLostAnswer(t *testing.T) {
	g := newGateway(t)
	w := g.usher.(*watched)
	w.lose = 1 // usher grants a lease, and its answer is lost on the way back
	if _, err := g.Handle(t.Context(), Request{ID: unique("req"), Model: "some-model"}, (&upstream{}).answer("")); err != nil {
		t.Fatal(err)
	}
	if len(w.selected) != 2 || !w.repeated {
		t.Fatalf("selected %v, want the same twice", w.selected)
	}
	first, second := w.selected[0], w.selected[1]
	if first.LeaseToken != second.LeaseToken || first.AccountId != second.AccountId || first.UpstreamModel != second.UpstreamModel {
		t.Errorf("the second try did not find the lease of the first: %v", w.selected)
	}
}

func TestCallerLeaves(t *testing.T) {
	g := newGateway(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w := g.usher.(*watched)
	w.answered = cancel // the caller hangs up between usher's answer and the upstream call
	var u upstream
	_, err := g.Handle(ctx, Request{ID: unique("req")}, u.answer(""))
	if !errors.Is(err, context.Canceled) || len(u.called) != 0 {
		t.Fatalf("called %v: %v", u.called, err)
	}
	again := g.tell(t, releasedUnused(w.selected[0].LeaseToken))
	if again.Status != usherv1.ReportStatus_REPORT_STATUS_ALREADY_RELEASED {
		t.Errorf("the slot was not given back: %v", again.Status)
	}
}

func TestLongRequest(t *testing.T) {
	g := newGateway(t)
	s := g.take(t, &usherv1.SelectRequest{})
	r, err := g.usher.Renew(t.Context(), &usherv1.RenewRequest{LeaseTokens: []string{s.LeaseToken}})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Results[0]; got.Status != usherv1.ReportStatus_REPORT_STATUS_APPLIED || got.ExpiresAt.AsTime().Before(time.Now()) {
		t.Errorf("renewed: %v", got)
	}
	g.tell(t, releasedUnused(s.LeaseToken))
}
