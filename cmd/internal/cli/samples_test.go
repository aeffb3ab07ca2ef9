package cli

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	usherv1 "usher.internal/gen/usher/v1"
)

func in(d time.Duration) *timestamppb.Timestamp { return timestamppb.New(now.Add(d)) }

func ptr[T any](v T) *T { return &v }

func selection(token string) *usherv1.SelectResponse {
	return &usherv1.SelectResponse{
		Result: &usherv1.SelectResponse_Selection{Selection: &usherv1.Selection{
			AccountId: "acct-07", AccountType: "oauth", Provider: "openai", UpstreamModel: "gpt-5-2026-08",
			LeaseToken: token, LeaseTtl: durationpb.New(15 * time.Minute), LeaseExpiresAt: in(15 * time.Minute),
			Alternates: []*usherv1.Alternate{{AccountId: "acct-03"}, {AccountId: "acct-01"}},
		}},
		Decision: &usherv1.Decision{
			DecisionId: "d-4f1d", Layer: usherv1.Layer_LAYER_LOAD_BALANCE, CandidateCount: 3, TopK: 3, LoadSkew: 12.42,
			SessionBinding: &usherv1.StickyVerdict{
				Fate: usherv1.BindingFate_BINDING_FATE_DROPPED, AccountId: "acct-02",
				Reason: usherv1.ExclusionReason_EXCLUSION_REASON_RATE_LIMITED, Until: in(42 * time.Second),
			},
			Latency: durationpb.New(38 * time.Microsecond), Profile: "reference",
		},
	}
}

func waitPlan() *usherv1.SelectResponse {
	return &usherv1.SelectResponse{
		Result: &usherv1.SelectResponse_WaitPlan{WaitPlan: &usherv1.WaitPlan{
			AccountId: "acct-03", MaxConcurrency: 8, Timeout: durationpb.New(45 * time.Second), MaxWaiting: 3, Waiting: 2,
		}},
		Decision: &usherv1.Decision{
			DecisionId: "d-51", Layer: usherv1.Layer_LAYER_SESSION_HASH, StickySessionHit: true,
			SessionBinding: &usherv1.StickyVerdict{Fate: usherv1.BindingFate_BINDING_FATE_FULL, AccountId: "acct-03"},
			Latency:        durationpb.New(9 * time.Microsecond), Profile: "reference",
		},
	}
}

func probing() *usherv1.SelectResponse {
	return &usherv1.SelectResponse{
		Result: &usherv1.SelectResponse_WaitPlan{WaitPlan: &usherv1.WaitPlan{
			AccountId: "acct-02", MaxConcurrency: 8, Timeout: durationpb.New(30 * time.Second), MaxWaiting: 100, Probing: true,
		}},
		Decision: &usherv1.Decision{DecisionId: "d-57", Layer: usherv1.Layer_LAYER_LOAD_BALANCE, Profile: "recommended"},
	}
}

func refusal() *usherv1.SelectResponse {
	return &usherv1.SelectResponse{
		Result: &usherv1.SelectResponse_Refusal{Refusal: &usherv1.Refusal{
			Reason: usherv1.RefusalReason_REFUSAL_REASON_NONE_ELIGIBLE,
			Exclusions: []*usherv1.ExclusionCount{
				{Reason: usherv1.ExclusionReason_EXCLUSION_REASON_RATE_LIMITED, Accounts: 4},
				{Reason: usherv1.ExclusionReason_EXCLUSION_REASON_MODEL_UNMAPPED, Accounts: 1},
			},
			NextEligibleAt: in(12 * time.Second), RetryAfter: durationpb.New(12 * time.Second),
		}},
		Decision: &usherv1.Decision{
			DecisionId: "d-52", Layer: usherv1.Layer_LAYER_LOAD_BALANCE, Latency: durationpb.New(21 * time.Microsecond), Profile: "reference",
		},
	}
}

func verdicts() []*usherv1.AccountVerdict {
	scored := func(id string, s *usherv1.Score) *usherv1.AccountVerdict {
		return &usherv1.AccountVerdict{AccountId: id, Verdict: &usherv1.AccountVerdict_Score{Score: s}}
	}
	excluded := func(id string, r usherv1.ExclusionReason, until *timestamppb.Timestamp) *usherv1.AccountVerdict {
		return &usherv1.AccountVerdict{AccountId: id, Verdict: &usherv1.AccountVerdict_Exclusion{Exclusion: &usherv1.Exclusion{Reason: r, Until: until}}}
	}
	return []*usherv1.AccountVerdict{
		scored("acct-01", &usherv1.Score{Total: 3.0625, PriorityFactor: 1, LoadFactor: 0.6, QueueFactor: 1, ErrorFactor: 0.95, TtftFactor: 0.0045, InUse: 8, MaxConcurrency: 20, ErrorRate: 0.05, TtftMs: ptr(912.0), Rank: 2, DrawPlace: 2}),
		scored("acct-03", &usherv1.Score{Total: 1.9, LoadFactor: 0.1, QueueFactor: 0, ErrorFactor: 1, TtftFactor: 0.5, InUse: 8, MaxConcurrency: 8, Waiting: 2, Rank: 3}),
		excluded("acct-02", usherv1.ExclusionReason_EXCLUSION_REASON_RATE_LIMITED, in(42*time.Second)),
		excluded("acct-04", usherv1.ExclusionReason_EXCLUSION_REASON_MODEL_UNMAPPED, nil),
		excluded("acct-05\x1b[2J", usherv1.ExclusionReason_EXCLUSION_REASON_OVERLOADED, in(-3*time.Second)),
		scored("acct-07", &usherv1.Score{Total: 3.85, PriorityFactor: 1, LoadFactor: 0.85, QueueFactor: 1, ErrorFactor: 1, TtftFactor: 1, InUse: 3, MaxConcurrency: 0, TtftMs: ptr(410.0), Rank: 1, DrawPlace: 1}),
	}
}

// coldVerdicts are of accounts whose upstream said no.
func coldVerdicts() []*usherv1.AccountVerdict {
	var all []*usherv1.AccountVerdict
	for i, r := range []usherv1.ExclusionReason{
		usherv1.ExclusionReason_EXCLUSION_REASON_RATE_LIMITED, usherv1.ExclusionReason_EXCLUSION_REASON_MODEL_LIMITED,
		usherv1.ExclusionReason_EXCLUSION_REASON_QUOTA_EXHAUSTED, usherv1.ExclusionReason_EXCLUSION_REASON_OVERLOADED,
		usherv1.ExclusionReason_EXCLUSION_REASON_AUTH_FAILED, usherv1.ExclusionReason_EXCLUSION_REASON_PROBING,
	} {
		e := &usherv1.Exclusion{Reason: r}
		if i < 4 {
			e.Until = in(time.Duration(i+1) * time.Minute)
		}
		all = append(all, &usherv1.AccountVerdict{AccountId: fmt.Sprintf("acct-1%d", i), Verdict: &usherv1.AccountVerdict_Exclusion{Exclusion: e}})
	}
	return all
}

func ownerAway() *usherv1.SelectResponse {
	owner := &usherv1.StickyVerdict{
		Fate: usherv1.BindingFate_BINDING_FATE_KEPT, AccountId: "acct-02",
		Reason: usherv1.ExclusionReason_EXCLUSION_REASON_OVERLOADED, Until: in(8 * time.Second),
	}
	return &usherv1.SelectResponse{
		Result: &usherv1.SelectResponse_Refusal{Refusal: &usherv1.Refusal{
			Reason: usherv1.RefusalReason_REFUSAL_REASON_OWNER_UNAVAILABLE, Owner: owner,
			NextEligibleAt: in(8 * time.Second), RetryAfter: durationpb.New(8 * time.Second),
		}},
		Decision: &usherv1.Decision{DecisionId: "d-53", Layer: usherv1.Layer_LAYER_PREVIOUS_RESPONSE_ID, ResponseBinding: owner, Profile: "recommended"},
	}
}

func timedOut() *usherv1.SelectResponse {
	return &usherv1.SelectResponse{
		Result: &usherv1.SelectResponse_Refusal{Refusal: &usherv1.Refusal{
			Reason: usherv1.RefusalReason_REFUSAL_REASON_WAIT_TIMEOUT, PlaceInLine: 7, EstimatedWait: durationpb.New(40 * time.Second),
			Exclusions:     []*usherv1.ExclusionCount{{Reason: usherv1.ExclusionReason_EXCLUSION_REASON_RATE_LIMITED, Accounts: 1}},
			NextEligibleAt: in(90 * time.Second), RetryAfter: durationpb.New(40 * time.Second),
		}},
		Decision: &usherv1.Decision{DecisionId: "d-54", Layer: usherv1.Layer_LAYER_LOAD_BALANCE, CandidateCount: 3, TopK: 3, Profile: "recommended"},
	}
}

func explained() *usherv1.ExplainResponse {
	d := selection("").GetDecision()
	d.Verdicts = verdicts()
	return &usherv1.ExplainResponse{
		Record: &usherv1.DecisionRecord{
			At: in(-12 * time.Second), Decision: d, Outcome: usherv1.DecisionOutcome_DECISION_OUTCOME_SELECTED,
			AccountId: "acct-07", Group: "chat", Model: "gpt-5", Tenant: "acme", HasSession: true,
		},
		Weights:  &usherv1.Weights{Priority: 1, Load: 1, Queue: 0.7, ErrorRate: 0.8, Ttft: 0.5},
		DrawSeed: 0x1f3a9c,
	}
}

func decisions() *usherv1.ListDecisionsResponse {
	sel := explained().GetRecord()
	return &usherv1.ListDecisionsResponse{Decisions: []*usherv1.DecisionRecord{
		sel,
		{
			At: in(-13 * time.Second), Decision: refusal().GetDecision(), Outcome: usherv1.DecisionOutcome_DECISION_OUTCOME_REFUSED,
			RefusalReason: usherv1.RefusalReason_REFUSAL_REASON_NONE_ELIGIBLE, Group: "chat", Model: "o9",
		},
		{
			At: in(-2 * time.Minute), Decision: waitPlan().GetDecision(), Outcome: usherv1.DecisionOutcome_DECISION_OUTCOME_WAIT_PLAN,
			AccountId: "acct-03", HasSession: true,
		},
	}}
}

func firstSnapshot() *usherv1.MetricsSnapshot {
	s := laterSnapshot()
	s.At, s.Uptime = in(-time.Second), durationpb.New(3*time.Hour+12*time.Minute-time.Second)
	s.Totals = &usherv1.SchedulerTotals{SelectTotal: 1_000_000, StickySessionHitTotal: 600_000, StickyHitRatio: 0.6, AccountSwitchTotal: 10}
	s.Selects = []*usherv1.SelectCount{
		{Outcome: usherv1.DecisionOutcome_DECISION_OUTCOME_SELECTED, Layer: usherv1.Layer_LAYER_SESSION_HASH, Total: 600_000},
		{Outcome: usherv1.DecisionOutcome_DECISION_OUTCOME_SELECTED, Layer: usherv1.Layer_LAYER_LOAD_BALANCE, Total: 399_000},
		{Outcome: usherv1.DecisionOutcome_DECISION_OUTCOME_WAIT_PLAN, Layer: usherv1.Layer_LAYER_LOAD_BALANCE, Total: 1_000},
	}
	s.LeasesLive, s.LeasesExpiredTotal = 110, 2
	return s
}

func laterSnapshot() *usherv1.MetricsSnapshot {
	active := usherv1.AccountState_ACCOUNT_STATE_ACTIVE
	return &usherv1.MetricsSnapshot{
		At: in(0), Uptime: durationpb.New(3*time.Hour + 12*time.Minute), Profile: "reference",
		Totals: &usherv1.SchedulerTotals{SelectTotal: 1_000_412, StickySessionHitTotal: 600_300, StickyHitRatio: 0.6, AccountSwitchTotal: 11},
		Selects: []*usherv1.SelectCount{
			{Outcome: usherv1.DecisionOutcome_DECISION_OUTCOME_SELECTED, Layer: usherv1.Layer_LAYER_SESSION_HASH, Total: 600_300},
			{Outcome: usherv1.DecisionOutcome_DECISION_OUTCOME_SELECTED, Layer: usherv1.Layer_LAYER_LOAD_BALANCE, Total: 399_100},
			{Outcome: usherv1.DecisionOutcome_DECISION_OUTCOME_WAIT_PLAN, Layer: usherv1.Layer_LAYER_LOAD_BALANCE, Total: 1_012},
		},
		DecisionLatency: &usherv1.LatencyQuantiles{Count: 1_000_412, P50: durationpb.New(4100), P99: durationpb.New(38_000)},
		LeasesLive:      118, LeasesExpiredTotal: 2, Waiting: 4,
		Accounts: []*usherv1.AccountSnapshot{
			{AccountId: "openai-seat-01", Provider: "openai", Groups: []string{"chat"}, State: active, Priority: 1, InUse: 6, MaxConcurrency: 20, LoadRate: 30, TtftMs: ptr(412.0)},
			{AccountId: "openai-seat-02", Provider: "openai", Groups: []string{"chat", "code"}, State: active, Priority: 1, InUse: 17, MaxConcurrency: 20, LoadRate: 85, ErrorRate: 0.034, TtftMs: ptr(1130.0)},
			{AccountId: "openai-seat-03", Provider: "openai", Groups: []string{"chat"}, State: active, Priority: 1, InUse: 8, MaxConcurrency: 8, Waiting: 4, LoadRate: 150, TtftMs: ptr(690.0)},
			{AccountId: "claude-key", Provider: "anthropic", Groups: []string{"code"}, State: active, Priority: 2, InUse: 25, MaxConcurrency: 20, LoadRate: 125, Overcommitted: true, ErrorRate: 0.2, TtftMs: ptr(380.0)},
			{AccountId: "claude-seat", Provider: "anthropic", State: active, Priority: 2, InUse: 1, MaxConcurrency: 10, BlockedReason: usherv1.ExclusionReason_EXCLUSION_REASON_RATE_LIMITED, BlockedUntil: in(102 * time.Second), ErrorRate: 0.61},
			{AccountId: "spare", Provider: "azure", State: usherv1.AccountState_ACCOUNT_STATE_PAUSED, Priority: 9, MaxConcurrency: 4, BlockedReason: usherv1.ExclusionReason_EXCLUSION_REASON_PAUSED},
			{AccountId: "local-vllm", Provider: "local", State: active, Priority: 5, InUse: 61, TtftMs: ptr(95.0), LimitedModels: []*usherv1.ModelLimit{
				{UpstreamModel: "large", Until: in(90 * time.Second)}, {UpstreamModel: "small", Until: in(41 * time.Second)},
			}},
			{AccountId: "retiring", Provider: "azure", State: usherv1.AccountState_ACCOUNT_STATE_DRAINING, Priority: 9, InUse: 2, MaxConcurrency: 4, LoadRate: 50, BlockedUntil: in(4 * time.Minute)},
		},
	}
}

func manyAccounts(n int) *usherv1.MetricsSnapshot {
	s := laterSnapshot()
	first := s.GetAccounts()
	for i := len(first); i < n; i++ {
		s.Accounts = append(s.Accounts, &usherv1.AccountSnapshot{
			AccountId: fmt.Sprintf("acct-%03d", i), State: usherv1.AccountState_ACCOUNT_STATE_ACTIVE, InUse: uint32(i % 11), MaxConcurrency: 10,
		})
	}
	return s
}
