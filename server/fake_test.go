package server

import (
	"context"
	"testing"
	"time"

	"usher.internal/core"
)

// fakeScheduler does what its functions say; without one it gives nothing.
type fakeScheduler struct {
	onSelect   func(context.Context, *core.Request) (*core.Answer, error)
	onReport   func(context.Context, []core.Event) ([]core.EventResult, error)
	onWithdraw func(context.Context, string) error
}

func (f *fakeScheduler) Select(ctx context.Context, r *core.Request) (*core.Answer, error) {
	if f.onSelect == nil {
		return &core.Answer{}, nil
	}
	return f.onSelect(ctx, r)
}

func (f *fakeScheduler) Report(ctx context.Context, events []core.Event) ([]core.EventResult, error) {
	if f.onReport != nil {
		return f.onReport(ctx, events)
	}
	out := make([]core.EventResult, len(events))
	for i := range out {
		out[i].Status = core.EventApplied
	}
	return out, nil
}

func (f *fakeScheduler) EndWaits() {}

func (f *fakeScheduler) Withdraw(ctx context.Context, token string) error {
	if f.onWithdraw == nil {
		return nil
	}
	return f.onWithdraw(ctx, token)
}

func (f *fakeScheduler) Renew(context.Context, []string, time.Duration) ([]core.RenewResult, error) {
	return nil, nil
}

// noMetrics has no leases and no subscriptions.
type noMetrics struct{}

func (noMetrics) Snapshot(context.Context) (*core.Snapshot, error) { return &core.Snapshot{}, nil }
func (noMetrics) Subscribe(time.Duration) *core.Subscription       { return nil }
func (noMetrics) Decisions(core.DecisionFilter) []core.DecisionRecord {
	return nil
}

func (noMetrics) Explain(core.DecisionID) (*core.Explanation, error) {
	return nil, &core.Error{Kind: core.KindDecisionUnknown}
}

// bareServer is a server over fakes that serves nothing.
func bareServer(tb testing.TB) *Server {
	tb.Helper()
	s, err := New(Options{Scheduler: &fakeScheduler{}, Metrics: noMetrics{}})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Drain(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	return s
}
