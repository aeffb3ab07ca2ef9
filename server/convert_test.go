package server

import (
	"cmp"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/core/pool"
	usherv1 "usher.internal/gen/usher/v1"
)

// distinct checks that every value of a core enum has its own name on the wire.
func distinct[C ~uint8, P ~int32](t *testing.T, from, to C, convert func(C) P) {
	t.Helper()
	seen := map[P]C{}
	for c := from; c <= to; c++ {
		p := convert(c)
		if p == 0 {
			t.Errorf("%T %d has no name on the wire", c, c)
		}
		if other, twice := seen[p]; twice {
			t.Errorf("%T %d and %d are the same on the wire", c, c, other)
		}
		seen[p] = c
	}
	if p := convert(to + 1); p != 0 {
		t.Errorf("%T %d is not known to the test: %v on the wire", to, to+1, p)
	}
}

func TestEveryValueHasAName(t *testing.T) {
	reasons := decide.Reasons()
	distinct(t, reasons[0], reasons[len(reasons)-1], reasonTo)
	distinct(t, pool.Active, pool.Disabled, stateTo)
	distinct(t, decide.LayerLoadBalance, decide.LayerSession, layerTo)
	distinct(t, core.BindingHit, core.BindingRebound, fateTo)
	distinct(t, core.OutcomeSelected, core.OutcomeFailed, outcomeTo)
	distinct(t, core.RefusedNoAccounts, core.RefusedWaitTimeout, refusalReasonTo)
	distinct(t, core.WokenByRelease, core.WokenByPoll, wakeReasonTo)
	distinct(t, core.EventApplied, core.EventReleaseRecorded, statusTo)
	if reasonTo(decide.None) != 0 || fateTo(core.BindingNone) != 0 {
		t.Error("nothing has a name on the wire")
	}
}

func TestEnumsRoundTrip(t *testing.T) {
	for v := range usherv1.Transport_name {
		if got := transportTo(transportFrom(usherv1.Transport(v))); int32(got) != v {
			t.Errorf("transport %d came back as %d", v, got)
		}
	}
	for v := range usherv1.Layer_name {
		l, told := layerFrom(usherv1.Layer(v))
		if told != (v != 0) || told && int32(layerTo(l)) != v {
			t.Errorf("layer %d came back as %d (told: %t)", v, layerTo(l), told)
		}
	}
	for v := range usherv1.DecisionOutcome_name {
		if got := outcomeTo(outcomeFrom(usherv1.DecisionOutcome(v))); int32(got) != v {
			t.Errorf("outcome %d came back as %d", v, got)
		}
	}
	for v, name := range usherv1.Outcome_name {
		o := reportedFrom(usherv1.Outcome(v))
		if want := strings.ToUpper("outcome_" + o.String()); want != name {
			t.Errorf("%s came as %s", name, want)
		}
		if got := reportedTo(o); int32(got) != v {
			t.Errorf("%s came back as %s", name, got)
		}
	}
	for _, o := range core.Outcomes() {
		if _, known := usherv1.Outcome_value[strings.ToUpper("outcome_"+o.String())]; !known {
			t.Errorf("%v cannot be reported", o)
		}
	}
	for v, name := range usherv1.LimitScope_name {
		s := scopeFrom(usherv1.LimitScope(v)).String()
		if want := "LIMIT_SCOPE_" + strings.ToUpper(cmp.Or(s, "unspecified")); want != name {
			t.Errorf("%s came as %s", name, want)
		}
	}
}

func TestEventFrom(t *testing.T) {
	ttft := durationpb.New(1500 * time.Microsecond)
	token := &usherv1.ReportEvent_LeaseToken{LeaseToken: "t"}
	for _, row := range []struct {
		name string
		msg  *usherv1.ReportEvent
		want core.Event
	}{
		{
			"first token",
			&usherv1.ReportEvent{Subject: token, Event: &usherv1.ReportEvent_FirstToken{
				FirstToken: &usherv1.FirstToken{TimeToFirstToken: ttft, ResponseId: "r"},
			}},
			core.Event{Kind: core.EventFirstToken, Token: "t", TTFT: 1500 * time.Microsecond, ResponseID: "r"},
		},
		{
			"finished",
			finished(&usherv1.Finished{Outcome: usherv1.Outcome_OUTCOME_CANCELLED, TimeToFirstToken: ttft, ResponseId: "r"}),
			core.Event{Kind: core.EventFinished, Token: "t", Outcome: core.OutcomeCancelled, TTFT: 1500 * time.Microsecond, ResponseID: "r"},
		},
		{
			"limited", finished(&usherv1.Finished{
				UpstreamStatus: proto.Int32(429), UpstreamCode: "slow_down", RetryAfter: durationpb.New(time.Minute),
				ResetAt: timestamppb.New(time.Unix(9, 1)), LimitScope: usherv1.LimitScope_LIMIT_SCOPE_MODEL,
			}),
			core.Event{
				Kind: core.EventFinished, Token: "t", UpstreamStatus: 429, UpstreamCode: "slow_down", RetryAfter: time.Minute,
				ResetAt: time.Unix(9, 1).UTC(), Scope: core.ScopeModel,
			},
		},
		{
			"released by request", released(&usherv1.RequestRef{Tenant: "a", OwnerName: "b", RequestId: "c"}),
			core.Event{Kind: core.EventUnused, Request: core.RequestRef{Tenant: "a", OwnerName: "b", RequestID: "c"}},
		},
		{
			"switched",
			&usherv1.ReportEvent{Subject: token, Event: &usherv1.ReportEvent_Switched{Switched: &usherv1.Switched{}}},
			core.Event{Kind: core.EventSwitched, Token: "t"},
		},
	} {
		if got := eventFrom(row.msg); got != row.want {
			t.Errorf("%s: got %+v, want %+v", row.name, got, row.want)
		}
	}
}

func TestResponseTo(t *testing.T) {
	account := &pool.Account{ID: "a", Type: "oauth", Provider: "p", MaxConcurrency: 3}
	until := time.Unix(100, 5)
	decision := core.Decision{
		ID: core.DecisionID{Replica: 1, Seq: 2}, Layer: decide.LayerSession, SessionHit: true, Latency: 1001 * time.Nanosecond,
		Session: core.StickyVerdict{Fate: core.BindingHit, Account: "a"},
		Verdicts: []decide.Verdict{
			{Account: account, Rank: 1, Stat: decide.Stat{TTFT: 5, HasTTFT: true}, Score: 2.5},
			{Account: account, Reason: decide.RateLimited, Until: until},
		},
	}
	got := responseTo(&core.Answer{Decision: decision, Selection: &core.Selection{
		Account: account, Upstream: "m", Token: "t", TTL: time.Minute, ExpiresAt: until,
		Alternates: []core.Alternate{{Account: account, Upstream: "n"}},
	}})
	s, d := got.GetSelection(), got.GetDecision()
	if s.GetAccountId() != "a" || s.GetLeaseToken() != "t" || s.GetLeaseTtl().AsDuration() != time.Minute ||
		!s.GetLeaseExpiresAt().AsTime().Equal(until) || s.GetAlternates()[0].GetUpstreamModel() != "n" {
		t.Errorf("selection: %v", s)
	}
	if d.GetDecisionId() != decision.ID.String() || d.GetLatency().AsDuration() != 1001 || d.GetResponseBinding() != nil ||
		d.GetSessionBinding().GetFate() != usherv1.BindingFate_BINDING_FATE_HIT {
		t.Errorf("decision: %v", d)
	}
	if v := d.GetVerdicts(); v[0].GetScore().GetTtftMs() != 5 || v[0].GetScore().GetRank() != 1 ||
		v[1].GetExclusion().GetReason() != usherv1.ExclusionReason_EXCLUSION_REASON_RATE_LIMITED || !v[1].GetExclusion().GetUntil().AsTime().Equal(until) {
		t.Errorf("verdicts: %v", v)
	}

	plan := responseTo(&core.Answer{WaitPlan: &core.WaitPlan{Account: account, Timeout: time.Second, MaxWaiting: 3, Waiting: 1}}).GetWaitPlan()
	if plan.GetAccountId() != "a" || plan.GetMaxConcurrency() != 3 || plan.GetTimeout().AsDuration() != time.Second || plan.GetMaxWaiting() != 3 || plan.GetWaiting() != 1 {
		t.Errorf("wait plan: %v", plan)
	}
	no := responseTo(&core.Answer{Refusal: &core.Refusal{
		Reason: core.RefusedNoneEligible, Exclusions: []core.ReasonCount{{Reason: decide.Paused, Accounts: 2}}, NextEligibleAt: until, RetryAfter: 3,
	}}).GetRefusal()
	if no.GetReason() != usherv1.RefusalReason_REFUSAL_REASON_NONE_ELIGIBLE || no.GetExclusions()[0].GetAccounts() != 2 ||
		!no.GetNextEligibleAt().AsTime().Equal(until) || no.GetRetryAfter().AsDuration() != 3 {
		t.Errorf("refusal: %v", no)
	}
}

func TestRefusalNamesTheOwner(t *testing.T) {
	a := core.Answer{
		Decision: core.Decision{Response: core.StickyVerdict{Fate: core.BindingKept, Account: "a", Reason: decide.QuotaExhausted, Until: time.Unix(9, 0)}},
		Refusal:  &core.Refusal{Reason: core.RefusedOwnerUnavailable},
	}
	owner := responseTo(&a).GetRefusal().GetOwner()
	if owner.GetAccountId() != "a" || owner.GetReason() != usherv1.ExclusionReason_EXCLUSION_REASON_QUOTA_EXHAUSTED || owner.GetUntil().GetSeconds() != 9 {
		t.Errorf("owner: %v", owner)
	}
	a.Refusal.Reason = core.RefusedNoneEligible
	if owner := responseTo(&a).GetRefusal().GetOwner(); owner != nil {
		t.Errorf("another refusal: %v", owner)
	}
}

func TestRecordTellsOfTheLine(t *testing.T) {
	r := recordTo(&core.DecisionRecord{Line: core.LinePlace{JoinedAt: 3, Time: time.Second, Woken: core.WokenByRelease}})
	if r.GetTimeInLine().AsDuration() != time.Second || r.GetLine().GetJoinedAt() != 3 || r.GetLine().GetWokenBy() != usherv1.WakeReason_WAKE_REASON_RELEASE {
		t.Errorf("got %v", r)
	}
	if r := recordTo(&core.DecisionRecord{}); r.GetLine() != nil || r.GetTimeInLine() != nil {
		t.Errorf("without a line: %v", r)
	}
}

func TestAccountTo(t *testing.T) {
	a := accountTo(&core.AccountSnapshot{
		Account: &pool.Account{ID: "a", MaxConcurrency: 2, State: pool.Paused, Groups: []string{"g"}},
		Load:    decide.Load{InUse: 3, Waiting: 1, Rate: 200}, Blocked: decide.Paused,
	})
	if !a.GetOvercommitted() || a.TtftMs != nil || a.GetState() != usherv1.AccountState_ACCOUNT_STATE_PAUSED || a.GetLoadRate() != 200 {
		t.Errorf("got %v", a)
	}
	a = accountTo(&core.AccountSnapshot{Account: &pool.Account{ID: "a"}, Load: decide.Load{InUse: 3}})
	if a.GetOvercommitted() || a.GetBlockedReason() != 0 || a.BlockedUntil != nil {
		t.Errorf("unlimited: got %v", a)
	}
}
