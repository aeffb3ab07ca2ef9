package server

import (
	"usher.internal/core"
	usherv1 "usher.internal/gen/usher/v1"
)

// eventsFrom expects valid events.
func eventsFrom(all []*usherv1.ReportEvent) []core.Event {
	if len(all) == 0 {
		return nil
	}
	out := make([]core.Event, len(all))
	for i, m := range all {
		out[i] = eventFrom(m)
	}
	return out
}

// eventFrom expects a valid event.
func eventFrom(m *usherv1.ReportEvent) core.Event {
	e := core.Event{Token: m.GetLeaseToken()}
	if ref := m.GetRequest(); ref != nil {
		e.Request = core.RequestRef{Tenant: ref.GetTenant(), OwnerName: ref.GetOwnerName(), RequestID: ref.GetRequestId()}
	}
	switch event := m.GetEvent().(type) {
	case *usherv1.ReportEvent_FirstToken:
		e.Kind = core.EventFirstToken
		e.TTFT = event.FirstToken.GetTimeToFirstToken().AsDuration()
		e.ResponseID = event.FirstToken.GetResponseId()
	case *usherv1.ReportEvent_Finished:
		e.Kind = core.EventFinished
		finishedFrom(&e, event.Finished)
	case *usherv1.ReportEvent_ReleasedUnused:
		e.Kind = core.EventUnused
	case *usherv1.ReportEvent_Switched:
		e.Kind = core.EventSwitched
	}
	return e
}

func finishedFrom(e *core.Event, m *usherv1.Finished) {
	e.Outcome = reportedFrom(m.GetOutcome())
	e.TTFT = m.GetTimeToFirstToken().AsDuration()
	e.ResponseID = m.GetResponseId()
	e.UpstreamStatus = int(m.GetUpstreamStatus())
	e.UpstreamCode = m.GetUpstreamCode()
	e.RetryAfter = m.GetRetryAfter().AsDuration()
	if at := m.GetResetAt(); at != nil {
		e.ResetAt = at.AsTime()
	}
	e.Scope = scopeFrom(m.GetLimitScope())
}

// reportedFrom gives 0 for an outcome that is not told.
func reportedFrom(o usherv1.Outcome) core.Outcome {
	switch o {
	case usherv1.Outcome_OUTCOME_SUCCESS:
		return core.OutcomeSuccess
	case usherv1.Outcome_OUTCOME_ACCOUNT_ERROR:
		return core.OutcomeAccountError
	case usherv1.Outcome_OUTCOME_RATE_LIMITED:
		return core.OutcomeRateLimited
	case usherv1.Outcome_OUTCOME_QUOTA_EXHAUSTED:
		return core.OutcomeQuotaExhausted
	case usherv1.Outcome_OUTCOME_AUTH_FAILED:
		return core.OutcomeAuthFailed
	case usherv1.Outcome_OUTCOME_OVERLOADED:
		return core.OutcomeOverloaded
	case usherv1.Outcome_OUTCOME_UPSTREAM_TIMEOUT:
		return core.OutcomeUpstreamTimeout
	case usherv1.Outcome_OUTCOME_CLIENT_ERROR:
		return core.OutcomeClientError
	case usherv1.Outcome_OUTCOME_CANCELLED:
		return core.OutcomeCancelled
	case usherv1.Outcome_OUTCOME_CALLER_TIMEOUT:
		return core.OutcomeCallerTimeout
	case usherv1.Outcome_OUTCOME_UNSPECIFIED:
	}
	return 0
}

// scopeFrom gives 0 for a scope that is not told.
func scopeFrom(s usherv1.LimitScope) core.LimitScope {
	switch s {
	case usherv1.LimitScope_LIMIT_SCOPE_ACCOUNT:
		return core.ScopeAccount
	case usherv1.LimitScope_LIMIT_SCOPE_MODEL:
		return core.ScopeModel
	case usherv1.LimitScope_LIMIT_SCOPE_UNSPECIFIED:
	}
	return 0
}

// reportedTo gives unspecified for 0.
func reportedTo(o core.Outcome) usherv1.Outcome {
	switch o {
	case core.OutcomeSuccess:
		return usherv1.Outcome_OUTCOME_SUCCESS
	case core.OutcomeAccountError:
		return usherv1.Outcome_OUTCOME_ACCOUNT_ERROR
	case core.OutcomeUpstreamTimeout:
		return usherv1.Outcome_OUTCOME_UPSTREAM_TIMEOUT
	case core.OutcomeClientError:
		return usherv1.Outcome_OUTCOME_CLIENT_ERROR
	case core.OutcomeCancelled:
		return usherv1.Outcome_OUTCOME_CANCELLED
	case core.OutcomeCallerTimeout:
		return usherv1.Outcome_OUTCOME_CALLER_TIMEOUT
	case core.OutcomeRateLimited:
		return usherv1.Outcome_OUTCOME_RATE_LIMITED
	case core.OutcomeQuotaExhausted:
		return usherv1.Outcome_OUTCOME_QUOTA_EXHAUSTED
	case core.OutcomeAuthFailed:
		return usherv1.Outcome_OUTCOME_AUTH_FAILED
	case core.OutcomeOverloaded:
		return usherv1.Outcome_OUTCOME_OVERLOADED
	}
	return usherv1.Outcome_OUTCOME_UNSPECIFIED
}

func statusTo(s core.EventStatus) usherv1.ReportStatus {
	switch s {
	case core.EventApplied:
		return usherv1.ReportStatus_REPORT_STATUS_APPLIED
	case core.EventAlreadyApplied:
		return usherv1.ReportStatus_REPORT_STATUS_ALREADY_APPLIED
	case core.EventAlreadyReleased:
		return usherv1.ReportStatus_REPORT_STATUS_ALREADY_RELEASED
	case core.EventExpired:
		return usherv1.ReportStatus_REPORT_STATUS_LEASE_EXPIRED
	case core.EventUnknown:
		return usherv1.ReportStatus_REPORT_STATUS_LEASE_UNKNOWN
	case core.EventTokenInvalid:
		return usherv1.ReportStatus_REPORT_STATUS_TOKEN_INVALID
	case core.EventReleaseRecorded:
		return usherv1.ReportStatus_REPORT_STATUS_RELEASE_RECORDED
	}
	return usherv1.ReportStatus_REPORT_STATUS_UNSPECIFIED
}

func resultTo(r *core.EventResult) *usherv1.ReportResult {
	return &usherv1.ReportResult{Status: statusTo(r.Status), AccountId: r.Account, ResponseBound: r.Bound}
}

func resultsTo(all []core.EventResult) []*usherv1.ReportResult {
	if len(all) == 0 {
		return nil
	}
	out := make([]*usherv1.ReportResult, len(all))
	for i := range all {
		out[i] = resultTo(&all[i])
	}
	return out
}

func renewalsTo(all []core.RenewResult) []*usherv1.RenewResult {
	out := make([]*usherv1.RenewResult, len(all))
	for i := range all {
		out[i] = &usherv1.RenewResult{Status: statusTo(all[i].Status), ExpiresAt: stamp(all[i].ExpiresAt)}
	}
	return out
}
