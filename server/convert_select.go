package server

import (
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"usher.internal/core"
	usherv1 "usher.internal/gen/usher/v1"
)

func ownerFrom(o *usherv1.Owner) core.Owner {
	return core.Owner{Name: o.GetName(), Incarnation: o.GetIncarnation()}
}

// requestFrom expects a valid request.
func requestFrom(m *usherv1.SelectRequest) *core.Request {
	return &core.Request{
		Group:              m.GetGroup(),
		SessionHash:        m.GetSessionHash(),
		PreviousResponseID: m.GetPreviousResponseId(),
		Model:              m.GetModel(),
		Transport:          transportFrom(m.GetRequiredTransport()),
		Provider:           m.GetProvider(),
		Excluded:           m.GetExcludedAccountIds(),
		Owner:              ownerFrom(m.GetOwner()),
		Tenant:             m.GetTenant(),
		LeaseTTL:           m.GetLeaseTtl().AsDuration(),
		RequestID:          m.GetRequestId(),
		DryRun:             m.GetDryRun(),
		Explain:            m.GetExplain(),
		Alternates:         int(m.GetAlternates()),
		Reports:            eventsFrom(m.GetReports()),
		Wait:               m.GetWait().AsDuration(),
		Priority:           priorityFrom(m.GetPriorityClass()),
	}
}

func priorityFrom(c usherv1.PriorityClass) core.Priority {
	switch c {
	case usherv1.PriorityClass_PRIORITY_CLASS_LOW:
		return core.PriorityLow
	case usherv1.PriorityClass_PRIORITY_CLASS_HIGH:
		return core.PriorityHigh
	default:
		return core.PriorityNormal
	}
}

func wakeReasonTo(r core.WakeReason) usherv1.WakeReason {
	switch r {
	case core.WokenByRelease:
		return usherv1.WakeReason_WAKE_REASON_RELEASE
	case core.WokenByExpiry:
		return usherv1.WakeReason_WAKE_REASON_EXPIRY
	case core.WokenByCooldownEnd:
		return usherv1.WakeReason_WAKE_REASON_COOLDOWN_END
	case core.WokenByPoolChange:
		return usherv1.WakeReason_WAKE_REASON_POOL_CHANGE
	case core.WokenByPoll:
		return usherv1.WakeReason_WAKE_REASON_POLL
	}
	return usherv1.WakeReason_WAKE_REASON_UNSPECIFIED
}

func linePlaceTo(l *core.LinePlace) *usherv1.LinePlace {
	return &usherv1.LinePlace{JoinedAt: count(l.JoinedAt), WokenBy: wakeReasonTo(l.Woken)}
}

// reply is a SelectResponse with all that the common answers consist of, in one allocation.
type reply struct {
	response  usherv1.SelectResponse
	decision  usherv1.Decision
	latency   durationpb.Duration
	answer    usherv1.SelectResponse_Selection
	selection usherv1.Selection
	ttl       durationpb.Duration
	expires   timestamppb.Timestamp
}

func responseTo(a *core.Answer) *usherv1.SelectResponse {
	r := &reply{}
	fillDecision(&r.decision, &a.Decision, &r.latency)
	r.response.Decision = &r.decision
	r.response.ReportResults = resultsTo(a.Reports)
	switch {
	case a.Selection != nil:
		r.setSelection(a.Selection)
	case a.WaitPlan != nil:
		r.response.Result = &usherv1.SelectResponse_WaitPlan{WaitPlan: waitPlanTo(a.WaitPlan)}
	case a.Refusal != nil:
		no := refusalTo(a.Refusal)
		if a.Refusal.Reason == core.RefusedOwnerUnavailable {
			no.Owner = stickyTo(&a.Decision.Response)
		}
		r.response.Result = &usherv1.SelectResponse_Refusal{Refusal: no}
	}
	return &r.response
}

func (r *reply) setSelection(s *core.Selection) {
	to := &r.selection
	to.AccountId, to.AccountType, to.Provider = s.Account.ID, s.Account.Type, s.Account.Provider
	to.UpstreamModel = s.Upstream
	to.LeaseToken = s.Token
	if s.TTL != 0 {
		fillDuration(&r.ttl, s.TTL)
		to.LeaseTtl = &r.ttl
	}
	if !s.ExpiresAt.IsZero() {
		fillStamp(&r.expires, s.ExpiresAt)
		to.LeaseExpiresAt = &r.expires
	}
	if s.Line.JoinedAt > 0 {
		to.TimeInLine = span(s.Line.Time)
		to.Line = linePlaceTo(&s.Line)
	}
	for i := range s.Alternates {
		to.Alternates = append(to.Alternates, alternateTo(&s.Alternates[i]))
	}
	r.answer.Selection = to
	r.response.Result = &r.answer
}

func alternateTo(a *core.Alternate) *usherv1.Alternate {
	return &usherv1.Alternate{
		AccountId: a.Account.ID, AccountType: a.Account.Type, Provider: a.Account.Provider, UpstreamModel: a.Upstream,
	}
}

func waitPlanTo(p *core.WaitPlan) *usherv1.WaitPlan {
	return &usherv1.WaitPlan{
		AccountId:      p.Account.ID,
		MaxConcurrency: number(p.Account.MaxConcurrency),
		Timeout:        span(p.Timeout),
		MaxWaiting:     count(p.MaxWaiting),
		Waiting:        count(p.Waiting),
		Probing:        p.Probing,
	}
}

func refusalTo(r *core.Refusal) *usherv1.Refusal {
	out := &usherv1.Refusal{
		Reason:         refusalReasonTo(r.Reason),
		NextEligibleAt: stamp(r.NextEligibleAt),
		RetryAfter:     span(r.RetryAfter),
		PlaceInLine:    count(r.Place),
		Limit:          count(r.Limit),
		EstimatedWait:  span(r.EstimatedWait),
	}
	for _, e := range r.Exclusions {
		out.Exclusions = append(out.Exclusions, &usherv1.ExclusionCount{Reason: reasonTo(e.Reason), Accounts: count(e.Accounts)})
	}
	return out
}
