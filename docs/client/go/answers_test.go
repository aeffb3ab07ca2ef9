//go:build live

package gateway

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	usherv1 "usher.internal/gen/usher/v1"
)

func TestRefusal(t *testing.T) {
	g := newGateway(t)
	resp := g.peek(t, &usherv1.SelectRequest{Group: "no-such-group"})
	if got := resp.GetRefusal().GetReason(); got != usherv1.RefusalReason_REFUSAL_REASON_NO_ACCOUNTS {
		t.Errorf("an unknown group: %v", resp)
	}
	// Every account failed: the retry is refused, and the caller learns of both.
	all := accounts(t, every)
	resp = g.peek(t, &usherv1.SelectRequest{ExcludedAccountIds: all})
	excluded := 0
	for _, e := range resp.GetRefusal().GetExclusions() {
		excluded += int(e.Accounts)
	}
	if resp.GetRefusal().GetReason() != usherv1.RefusalReason_REFUSAL_REASON_NONE_ELIGIBLE || excluded != len(all) {
		t.Errorf("all excluded: %v", resp)
	}
}

func TestWaitPlan(t *testing.T) {
	g := newGateway(t)
	held, previous := g.fill(t)
	account := held[0].AccountId

	// Without patience the caller is told at once.
	var no *Unserved
	r := Request{ID: unique("req"), PreviousResponse: previous}
	if _, err := g.Handle(t.Context(), r, (&upstream{}).answer("")); !errors.As(err, &no) || no.RetryAfter == 0 {
		t.Fatalf("full: %v", err)
	}
	// With patience it is served by that account as soon as a slot is free. The id of the refused
	// attempt may be used again: a wait plan took nothing.
	r.Patience = patience
	w := g.usher.(*watched)
	w.planned = func(p *usherv1.WaitPlan) {
		if p.AccountId != account || p.Timeout.AsDuration() <= 0 {
			t.Errorf("wait plan %v, want one for %s", p, account)
		}
		g.tell(t, finishedEvent(held[0].LeaseToken, &usherv1.Finished{Outcome: usherv1.Outcome_OUTCOME_SUCCESS}))
	}
	served, err := g.Handle(t.Context(), r, (&upstream{}).answer(""))
	if err != nil || served != account {
		t.Errorf("after a slot was given back: %q %v", served, err)
	}
	w.planned = nil
	for _, s := range held[1:] {
		g.tell(t, releasedUnused(s.LeaseToken))
	}
}

func TestBadRequest(t *testing.T) {
	g := newGateway(t)
	_, err := g.Handle(t.Context(), Request{ID: unique("req"), Session: strings.Repeat("x", 513)}, (&upstream{}).answer(""))
	if status.Code(err) != codes.InvalidArgument {
		t.Fatalf("a session hash that is too long: %v", err)
	}
	_, err = g.usher.Select(t.Context(), &usherv1.SelectRequest{SessionHash: strings.Repeat("x", 513), Alternates: 17})
	f := FaultOf(err)
	if status.Code(err) != codes.InvalidArgument || f.Fields["session_hash"] == "" || f.Fields["alternates"] == "" {
		t.Errorf("two bad fields: %s", Explain(err))
	}
}

func TestReleasedBeforeItsSelect(t *testing.T) {
	g := newGateway(t)
	req := &usherv1.SelectRequest{RequestId: unique("req"), Owner: g.owner}
	if got := g.tell(t, releasedByRequest(req)); got.Status != usherv1.ReportStatus_REPORT_STATUS_RELEASE_RECORDED {
		t.Errorf("the release of an id that is not known: %v", got.Status)
	}
	_, err := g.usher.Select(t.Context(), req)
	if status.Code(err) != codes.FailedPrecondition || FaultOf(err).Reason != "REQUEST_RELEASED" {
		t.Errorf("the Select after its own release: %s", Explain(err))
	}
}

func TestStream(t *testing.T) {
	g := newGateway(t)
	trouble := make(chan *usherv1.EventException, 1)
	s := NewStream(g.usher, g.owner, g.held)
	s.Trouble = func(x *usherv1.EventException) { trouble <- x }
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	go s.Run(ctx)

	lease, response := g.take(t, &usherv1.SelectRequest{}), unique("resp")
	s.Send(firstTokenEvent(lease.LeaseToken, durationpb.New(80*time.Millisecond), response))
	s.Send(finishedEvent(lease.LeaseToken, &usherv1.Finished{}))
	select { // a refused event is nacked, and the stream goes on
	case x := <-trouble:
		if x.Nack.GetReason() != usherv1.NackReason_NACK_REASON_INVALID_ARGUMENT || !strings.Contains(x.Nack.Field, "outcome") {
			t.Errorf("a finish without an outcome: %v", x)
		}
	case <-ctx.Done():
		t.Fatal("no nack came")
	}
	s.Send(finishedEvent(lease.LeaseToken, &usherv1.Finished{Outcome: usherv1.Outcome_OUTCOME_SUCCESS}))
	if err := s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	follow := g.peek(t, &usherv1.SelectRequest{PreviousResponseId: response})
	if got := follow.GetSelection().GetAccountId(); got != lease.AccountId {
		t.Errorf("the follow-up would land on %q, want %q", got, lease.AccountId)
	}
	if got := g.tell(t, releasedUnused(lease.LeaseToken)); got.Status != usherv1.ReportStatus_REPORT_STATUS_ALREADY_RELEASED {
		t.Errorf("the stream's finished gave nothing back: %v", got.Status)
	}
}
