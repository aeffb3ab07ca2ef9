package server

import (
	"cmp"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/core/pool"
	usherv1 "usher.internal/gen/usher/v1"
)

// stoodClock goes on only when it is told to; what waits for time waits for the system's.
type stoodClock struct {
	core.SystemClock

	mu  sync.Mutex // guards now
	now time.Time
}

func (c *stoodClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *stoodClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// newStoodWorld is a world whose time stands still.
func newStoodWorld(t *testing.T, accounts []pool.Account, policy decide.Policy) (*world, *stoodClock) {
	t.Helper()
	clock := &stoodClock{now: time.Unix(1_900_000_000, 0)}
	scheduler := newCoreAt(t, accounts, core.Options{Clock: clock}, policy)
	return &world{edge: newEdge(t, Options{Scheduler: scheduler, Metrics: scheduler}), core: scheduler}, clock
}

func (e *edge) ask(t *testing.T, r *usherv1.SelectRequest) *usherv1.SelectResponse {
	t.Helper()
	resp, err := e.scheduler.Select(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// end reports how a selection ended.
func (e *edge) end(t *testing.T, r *usherv1.SelectResponse, f *usherv1.Finished) {
	t.Helper()
	resp, err := e.scheduler.Report(t.Context(), report(about(r.GetSelection().GetLeaseToken(), finished(f))))
	if err != nil || resp.GetResults()[0].GetStatus() != usherv1.ReportStatus_REPORT_STATUS_APPLIED {
		t.Fatalf("%v, %v", resp, err)
	}
}

// verdictsOf gives what a decision thought of each account, by id.
func (e *edge) verdictsOf(t *testing.T, d *usherv1.Decision) map[string]*usherv1.AccountVerdict {
	t.Helper()
	x, err := e.metrics.Explain(t.Context(), &usherv1.ExplainRequest{DecisionId: d.GetDecisionId()})
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]*usherv1.AccountVerdict)
	for _, v := range x.GetRecord().GetDecision().GetVerdicts() {
		out[v.GetAccountId()] = v
	}
	return out
}

const limited = usherv1.ExclusionReason_EXCLUSION_REASON_MODEL_LIMITED

// wantLimited checks that Explain tells of a limit on a1.
func (e *edge) wantLimited(t *testing.T, r *usherv1.SelectResponse, until time.Time) {
	t.Helper()
	v := e.verdictsOf(t, r.GetDecision())["a1"].GetExclusion()
	if v.GetReason() != limited || !v.GetUntil().AsTime().Equal(until) {
		t.Errorf("Explain says %v of a1, want %v until %v", v, limited, until)
	}
}

// TestClientErrorStormThroughTheServer: 10,000 requests that failed by nobody's fault but the client's move no score.
func TestClientErrorStormThroughTheServer(t *testing.T) {
	w, _ := newStoodWorld(t, accounts(3, 0), decide.Recommended())
	for i := range 30 {
		outcome := usherv1.Outcome_OUTCOME_SUCCESS
		if i%7 == 0 {
			outcome = usherv1.Outcome_OUTCOME_ACCOUNT_ERROR
		}
		w.end(t, w.ask(t, &usherv1.SelectRequest{}), &usherv1.Finished{
			Outcome: outcome, TimeToFirstToken: durationpb.New(time.Duration(100+i) * time.Millisecond),
		})
	}
	scores := func() []*usherv1.AccountVerdict {
		all := w.ask(t, &usherv1.SelectRequest{DryRun: true, Explain: true}).GetDecision().GetVerdicts()
		for _, v := range all {
			v.GetScore().DrawPlace = 0 // chance
		}
		slices.SortFunc(all, func(a, b *usherv1.AccountVerdict) int { return cmp.Compare(a.GetAccountId(), b.GetAccountId()) })
		return all
	}
	storm := []*usherv1.Finished{
		{Outcome: usherv1.Outcome_OUTCOME_CLIENT_ERROR},
		{Outcome: usherv1.Outcome_OUTCOME_CANCELLED},
		{Outcome: usherv1.Outcome_OUTCOME_CALLER_TIMEOUT},
		{UpstreamStatus: proto.Int32(400), UpstreamCode: "invalid_request_error"},
		{Outcome: usherv1.Outcome_OUTCOME_CANCELLED, UpstreamStatus: proto.Int32(500), RetryAfter: durationpb.New(time.Hour)},
	}
	before := scores()
	var last []*usherv1.ReportEvent
	for i := range 10_000 {
		r := w.ask(t, &usherv1.SelectRequest{Reports: last})
		last = report(about(r.GetSelection().GetLeaseToken(), finished(storm[i%len(storm)]))).GetEvents()
	}
	if _, err := w.scheduler.Report(t.Context(), report(last...)); err != nil {
		t.Fatal(err)
	}
	after := scores()
	if len(before) != 3 || len(after) != 3 {
		t.Fatalf("%d and %d verdicts", len(before), len(after))
	}
	for i := range before {
		if before[i].GetScore() == nil || !proto.Equal(before[i], after[i]) {
			t.Errorf("before %v\nafter  %v", before[i], after[i])
		}
	}
}

// TestModelLimitThroughTheServer: a 429 for one model keeps the account from that model alone, for as long as the
// upstream said; its sessions do what the policy says, and Explain shows each step.
func TestModelLimitThroughTheServer(t *testing.T) {
	for name, c := range map[string]struct {
		policy decide.Policy
		during usherv1.BindingFate
		// home says that the session comes back to the account.
		home bool
	}{
		"recommended": {decide.Recommended(), usherv1.BindingFate_BINDING_FATE_ESCAPED, true},
		"reference":   {decide.Reference(), usherv1.BindingFate_BINDING_FATE_DROPPED, false},
	} {
		t.Run(name, func(t *testing.T) {
			pair := accounts(2, 0)
			pair[0].Provider = "openai"
			w, clock := newStoodWorld(t, pair, c.policy)
			only := func(model, session string) *usherv1.SelectRequest {
				return &usherv1.SelectRequest{Model: model, SessionHash: session, ExcludedAccountIds: []string{"a2"}}
			}
			success := &usherv1.Finished{Outcome: usherv1.Outcome_OUTCOME_SUCCESS}
			w.end(t, w.ask(t, only("m", "s")), success)
			w.end(t, w.ask(t, only("m", "")), &usherv1.Finished{UpstreamStatus: proto.Int32(429), RetryAfter: durationpb.New(time.Minute)})
			until := clock.Now().Add(time.Minute)

			for range 20 {
				r := w.ask(t, &usherv1.SelectRequest{Model: "m"})
				if id := r.GetSelection().GetAccountId(); id != "a2" {
					t.Fatalf("served by %s", id)
				}
				w.end(t, r, success)
				w.wantLimited(t, r, until)
			}
			no := w.ask(t, only("m", ""))
			if f := no.GetRefusal(); f.GetReason() != usherv1.RefusalReason_REFUSAL_REASON_NONE_ELIGIBLE || !f.GetNextEligibleAt().AsTime().Equal(until) {
				t.Errorf("with a1 alone: %v", no)
			}
			w.wantLimited(t, no, until)
			elsewhere := w.ask(t, only("n", ""))
			if elsewhere.GetSelection().GetAccountId() != "a1" || w.verdictsOf(t, elsewhere.GetDecision())["a1"].GetScore() == nil {
				t.Errorf("another model: %v", elsewhere)
			}
			w.end(t, elsewhere, success)

			moved := w.ask(t, &usherv1.SelectRequest{Model: "m", SessionHash: "s"})
			if b := moved.GetDecision().GetSessionBinding(); moved.GetSelection().GetAccountId() != "a2" || b.GetFate() != c.during ||
				b.GetReason() != limited || !b.GetUntil().AsTime().Equal(until) {
				t.Errorf("its session: %v", moved)
			}
			w.wantLimited(t, moved, until)
			w.end(t, moved, success)

			clock.advance(time.Minute)
			back := w.ask(t, only("m", ""))
			if back.GetSelection().GetAccountId() != "a1" || w.verdictsOf(t, back.GetDecision())["a1"].GetScore() == nil {
				t.Errorf("afterwards: %v", back)
			}
			w.end(t, back, success)
			r := w.ask(t, &usherv1.SelectRequest{Model: "m", SessionHash: "s"})
			want := map[bool]string{true: "a1", false: "a2"}[c.home]
			if id := r.GetSelection().GetAccountId(); id != want || !r.GetDecision().GetStickySessionHit() {
				t.Errorf("its session afterwards: %v, want %s", r, want)
			}
			w.end(t, r, success)
		})
	}
}
