package server

import (
	"google.golang.org/protobuf/types/known/durationpb"

	"usher.internal/core"
	"usher.internal/core/decide"
	usherv1 "usher.internal/gen/usher/v1"
)

func fateTo(f core.BindingFate) usherv1.BindingFate {
	switch f {
	case core.BindingNone:
		return usherv1.BindingFate_BINDING_FATE_UNSPECIFIED
	case core.BindingHit:
		return usherv1.BindingFate_BINDING_FATE_HIT
	case core.BindingFull:
		return usherv1.BindingFate_BINDING_FATE_FULL
	case core.BindingKept:
		return usherv1.BindingFate_BINDING_FATE_KEPT
	case core.BindingEscaped:
		return usherv1.BindingFate_BINDING_FATE_ESCAPED
	case core.BindingRebound:
		return usherv1.BindingFate_BINDING_FATE_REBOUND
	case core.BindingDropped:
		return usherv1.BindingFate_BINDING_FATE_DROPPED
	}
	return usherv1.BindingFate_BINDING_FATE_UNSPECIFIED
}

func outcomeTo(o core.SelectOutcome) usherv1.DecisionOutcome {
	switch o {
	case core.OutcomeSelected:
		return usherv1.DecisionOutcome_DECISION_OUTCOME_SELECTED
	case core.OutcomePlanned:
		return usherv1.DecisionOutcome_DECISION_OUTCOME_WAIT_PLAN
	case core.OutcomeRefused:
		return usherv1.DecisionOutcome_DECISION_OUTCOME_REFUSED
	case core.OutcomeFailed:
		return usherv1.DecisionOutcome_DECISION_OUTCOME_FAILED
	}
	return usherv1.DecisionOutcome_DECISION_OUTCOME_UNSPECIFIED
}

// outcomeFrom gives 0, which filters nothing, for one that is not told.
func outcomeFrom(o usherv1.DecisionOutcome) core.SelectOutcome {
	switch o {
	case usherv1.DecisionOutcome_DECISION_OUTCOME_SELECTED:
		return core.OutcomeSelected
	case usherv1.DecisionOutcome_DECISION_OUTCOME_WAIT_PLAN:
		return core.OutcomePlanned
	case usherv1.DecisionOutcome_DECISION_OUTCOME_REFUSED:
		return core.OutcomeRefused
	case usherv1.DecisionOutcome_DECISION_OUTCOME_FAILED:
		return core.OutcomeFailed
	case usherv1.DecisionOutcome_DECISION_OUTCOME_UNSPECIFIED:
	}
	return 0
}

func refusalReasonTo(r core.RefusalReason) usherv1.RefusalReason {
	switch r {
	case core.RefusedNoAccounts:
		return usherv1.RefusalReason_REFUSAL_REASON_NO_ACCOUNTS
	case core.RefusedNoneEligible:
		return usherv1.RefusalReason_REFUSAL_REASON_NONE_ELIGIBLE
	case core.RefusedTenantLimit:
		return usherv1.RefusalReason_REFUSAL_REASON_TENANT_LIMIT
	case core.RefusedQueueFull:
		return usherv1.RefusalReason_REFUSAL_REASON_QUEUE_FULL
	case core.RefusedOwnerUnavailable:
		return usherv1.RefusalReason_REFUSAL_REASON_OWNER_UNAVAILABLE
	case core.RefusedWaitTimeout:
		return usherv1.RefusalReason_REFUSAL_REASON_WAIT_TIMEOUT
	}
	return usherv1.RefusalReason_REFUSAL_REASON_UNSPECIFIED
}

// fillDecision writes d into to; latency is where its duration may live.
func fillDecision(to *usherv1.Decision, d *core.Decision, latency *durationpb.Duration) {
	fillDuration(latency, d.Latency)
	to.DecisionId = d.ID.String()
	to.Layer = layerTo(d.Layer)
	to.StickyPreviousHit = d.PreviousHit
	to.StickySessionHit = d.SessionHit
	to.CandidateCount = count(d.CandidateCount)
	to.TopK = count(d.TopK)
	to.LoadSkew = d.LoadSkew
	to.ResponseBinding = stickyTo(&d.Response)
	to.SessionBinding = stickyTo(&d.Session)
	to.Latency = latency
	to.Profile = d.Profile
	to.DryRun = d.DryRun
	to.Repeated = d.Repeated
	to.Degraded = d.Degraded
	to.Verdicts = verdictsTo(d.Verdicts)
}

// stickyTo gives nothing for a layer that found nothing.
func stickyTo(v *core.StickyVerdict) *usherv1.StickyVerdict {
	if *v == (core.StickyVerdict{}) {
		return nil
	}
	return &usherv1.StickyVerdict{
		Fate: fateTo(v.Fate), AccountId: v.Account, Reason: reasonTo(v.Reason), Until: stamp(v.Until),
	}
}

func verdictsTo(all []decide.Verdict) []*usherv1.AccountVerdict {
	if len(all) == 0 {
		return nil
	}
	out := make([]*usherv1.AccountVerdict, len(all))
	for i := range all {
		out[i] = verdictTo(&all[i])
	}
	return out
}

func verdictTo(v *decide.Verdict) *usherv1.AccountVerdict {
	out := &usherv1.AccountVerdict{}
	if v.Account != nil {
		out.AccountId = v.Account.ID
	}
	if v.Reason != decide.None {
		out.Verdict = &usherv1.AccountVerdict_Exclusion{
			Exclusion: &usherv1.Exclusion{Reason: reasonTo(v.Reason), Until: stamp(v.Until)},
		}
		return out
	}
	out.Verdict = &usherv1.AccountVerdict_Score{Score: scoreTo(v)}
	return out
}

func scoreTo(v *decide.Verdict) *usherv1.Score {
	s := &usherv1.Score{
		Total:          v.Score,
		PriorityFactor: v.Factors.Priority,
		LoadFactor:     v.Factors.Load,
		QueueFactor:    v.Factors.Queue,
		ErrorFactor:    v.Factors.ErrorRate,
		TtftFactor:     v.Factors.TTFT,
		InUse:          count(int(v.Load.InUse)),
		Waiting:        count(int(v.Load.Waiting)),
		LoadRate:       v.Load.Rate,
		ErrorRate:      v.Stat.ErrorRate,
		TtftMs:         ttftTo(&v.Stat),
		Rank:           count(v.Rank),
		DrawPlace:      count(v.Drawn),
	}
	if v.Account != nil {
		s.Priority, s.MaxConcurrency = number(v.Account.Priority), number(v.Account.MaxConcurrency)
	}
	return s
}

func ttftTo(s *decide.Stat) *float64 {
	if !s.HasTTFT {
		return nil
	}
	v := s.TTFT
	return &v
}

func weightsTo(w *decide.Weights) *usherv1.Weights {
	return &usherv1.Weights{Priority: w.Priority, Load: w.Load, Queue: w.Queue, ErrorRate: w.ErrorRate, Ttft: w.TTFT}
}
