package core

import (
	"cmp"
	"slices"

	"usher.internal/core/decide"
)

// balanced tells that load balancing answered, over ranked candidates.
func (r *run) balanced() bool { return r.ranked && r.decision.Layer == decide.LayerLoadBalance }

// record counts the Select and keeps its decision. Dry runs are kept and not counted; repeats are neither.
func (r *run) record(outcome SelectOutcome) {
	if r.decision.Repeated {
		return
	}
	var refusal RefusalReason
	if r.answer.Refusal != nil && outcome == OutcomeRefused {
		refusal = r.answer.Refusal.Reason
	}
	if !r.req.DryRun {
		r.s.counters.selected(&r.decision, outcome, refusal)
		r.s.observer.Selected(SelectObservation{
			Layer: r.decision.Layer, Outcome: outcome, Refusal: refusal, Latency: r.decision.Latency,
		})
	}
	e := entry{
		record: DecisionRecord{
			At: r.started, Decision: r.decision, Outcome: outcome, Account: r.answered(outcome), Refusal: refusal,
			Group: r.req.Group, Model: r.req.Model, Tenant: r.req.Tenant, Provider: r.req.Provider,
			Transport:  r.req.Transport,
			HasSession: r.asked.SessionHash != "", HasPrevious: r.asked.ResponseID != "", Line: r.line,
		},
		policy: r.world.policy, now: r.started, members: r.view.Members(),
	}
	if r.balanced() {
		e.colds = coldRows(r.input.Colds)
	}
	if !r.balanced() {
		r.s.history.push(&e, nil, nil)
		return
	}
	e.view, e.seed, e.excluded = r.view, r.seed, slices.Clone(r.req.Excluded)
	r.s.history.push(&e, r.loads, r.stats)
}

// answered is the account that the answer names, blank for none.
func (r *run) answered(outcome SelectOutcome) string {
	switch outcome {
	case OutcomeSelected:
		return r.answer.Selection.Account.ID
	case OutcomePlanned:
		return r.answer.WaitPlan.Account.ID
	case OutcomeRefused, OutcomeFailed:
	}
	return ""
}

// mostFirst lists counts of exclusions, most first, then in the order of the checks.
func mostFirst(counts *decide.Counts) []ReasonCount {
	var out []ReasonCount
	for _, reason := range decide.Reasons() {
		if n := counts.Of(reason); n > 0 {
			out = append(out, ReasonCount{Reason: reason, Accounts: n})
		}
	}
	slices.SortStableFunc(out, func(a, b ReasonCount) int { return cmp.Compare(b.Accounts, a.Accounts) })
	return out
}
