package server

import (
	"context"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"usher.internal/core/pool"
	usherv1 "usher.internal/gen/usher/v1"
	"usher.internal/server/telemetry"
)

func TestMetricsShowWhatHappened(t *testing.T) {
	tel, err := telemetry.New()
	if err != nil {
		t.Fatal(err)
	}
	scheduler := newCore(t, append(accounts(2, 1), pool.Account{ID: "z", Groups: []string{"other"}}), tel)
	w := newEdge(t, Options{Scheduler: scheduler, Metrics: scheduler, Telemetry: tel})
	r, err := w.scheduler.Select(t.Context(), &usherv1.SelectRequest{Group: "g", Model: "m", SessionHash: "s"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.scheduler.Select(t.Context(), &usherv1.SelectRequest{Group: "none"}); err != nil {
		t.Fatal(err)
	}

	got, err := w.metrics.GetMetrics(t.Context(), &usherv1.GetMetricsRequest{Group: "g"})
	if err != nil {
		t.Fatal(err)
	}
	snap := got.GetSnapshot()
	inUse := uint32(0)
	for _, a := range snap.GetAccounts() {
		inUse += a.GetInUse()
	}
	if snap.GetTotals().GetSelectTotal() != 2 || snap.GetDecisionLatency().GetCount() != 2 || len(snap.GetAccounts()) != 2 ||
		inUse != 1 || snap.GetLeasesLive() != 1 || len(snap.GetSelects()) != 2 || snap.GetDecisionLatency().GetMax().AsDuration() <= 0 {
		t.Errorf("got %v", snap)
	}
	stream, err := w.metrics.StreamMetrics(t.Context(), &usherv1.StreamMetricsRequest{OmitAccounts: true})
	if err != nil {
		t.Fatal(err)
	}
	if m, err := stream.Recv(); err != nil || len(m.GetSnapshot().GetAccounts()) != 0 || m.GetSnapshot().GetTotals().GetSelectTotal() != 2 {
		t.Errorf("stream: %v, %v", m, err)
	}

	list, err := w.metrics.ListDecisions(t.Context(), &usherv1.ListDecisionsRequest{})
	if err != nil || len(list.GetDecisions()) != 2 || list.GetDecisions()[0].GetOutcome() != usherv1.DecisionOutcome_DECISION_OUTCOME_REFUSED {
		t.Fatalf("decisions: %v, %v", list, err)
	}
	list, err = w.metrics.ListDecisions(t.Context(), &usherv1.ListDecisionsRequest{
		Group: "g", AccountId: r.GetSelection().GetAccountId(), Layer: usherv1.Layer_LAYER_LOAD_BALANCE, Outcome: usherv1.DecisionOutcome_DECISION_OUTCOME_SELECTED,
	})
	if err != nil || len(list.GetDecisions()) != 1 || !list.GetDecisions()[0].GetHasSession() {
		t.Errorf("filtered: %v, %v", list, err)
	}
	why, err := w.metrics.Explain(t.Context(), &usherv1.ExplainRequest{DecisionId: r.GetDecision().GetDecisionId()})
	if err != nil || len(why.GetRecord().GetDecision().GetVerdicts()) != 2 || why.GetWeights().GetPriority() != 1 || why.GetDrawSeed() == 0 {
		t.Errorf("explained: %v, %v", why, err)
	}
	if _, err := w.metrics.Explain(t.Context(), &usherv1.ExplainRequest{DecisionId: "ffffffff-ff"}); status.Code(err) != codes.NotFound {
		t.Errorf("unknown: %v", err)
	}
}

func TestSubscribersAreBounded(t *testing.T) {
	w := newWorld(t, accounts(1, 1), Options{MaxSubscribers: 2})
	subscribe := func() (context.CancelFunc, error) {
		ctx, cancel := context.WithCancel(t.Context())
		stream, err := w.metrics.StreamMetrics(ctx, &usherv1.StreamMetricsRequest{})
		if err == nil {
			_, err = stream.Recv()
		}
		return cancel, err
	}
	leave, err := subscribe()
	if err != nil {
		t.Fatal(err)
	}
	stay, err := subscribe()
	if err != nil {
		t.Fatal(err)
	}
	defer stay()
	over, err := subscribe()
	defer over()
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("one too many: %v", err)
	}
	leave()
	for ctx := within(t); ; {
		again, err := subscribe()
		t.Cleanup(again)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("the place was not given free: %v", err)
		}
	}
}
