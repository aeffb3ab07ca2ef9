package server

import (
	"time"

	usherv1 "usher.internal/gen/usher/v1"
)

const (
	maxEvents = 256
	maxTokens = 256

	maxRetryAfter = 30 * 24 * time.Hour
)

func validateReport(m *usherv1.ReportRequest) error {
	var c checker
	if len(m.GetEvents()) == 0 {
		c.bad(root, "events", "is empty")
	}
	if c.count("events", len(m.GetEvents()), maxEvents) {
		for i, e := range m.GetEvents() {
			c.event(place{prefix: "events", index: i}, e)
		}
	}
	return c.err()
}

func validateRenew(m *usherv1.RenewRequest) error {
	var c checker
	if len(m.GetLeaseTokens()) == 0 {
		c.bad(root, "lease_tokens", "is empty")
	}
	if c.count("lease_tokens", len(m.GetLeaseTokens()), maxTokens) {
		for i, t := range m.GetLeaseTokens() {
			c.token(place{prefix: "lease_tokens", index: i}, "", t)
		}
	}
	c.span("lease_ttl", m.GetLeaseTtl(), minLeaseTTL, maxLeaseTTL)
	return c.err()
}

// validateHello checks the first message of a report stream.
func validateHello(m *usherv1.ReportStreamRequest) error {
	var c checker
	hello := m.GetHello()
	if hello == nil {
		c.bad(root, "hello", "must be the first message")
		return c.err()
	}
	at := place{prefix: "hello.owner", index: -1}
	if hello.Owner == nil {
		c.bad(at, "", "is required")
	} else {
		c.owner(at, hello.GetOwner())
	}
	return c.err()
}

// event checks one event, wherever it comes in.
func (c *checker) event(at place, m *usherv1.ReportEvent) {
	if m == nil {
		c.bad(at, "", "is required")
		return
	}
	switch subject := m.GetSubject().(type) {
	case *usherv1.ReportEvent_LeaseToken:
		c.token(at, "lease_token", subject.LeaseToken)
	case *usherv1.ReportEvent_Request:
		c.request(at, subject.Request, m)
	default:
		c.bad(at, "subject", "lease_token or request is required")
	}
	switch event := m.GetEvent().(type) {
	case *usherv1.ReportEvent_FirstToken:
		c.sample(at, "first_token.time_to_first_token", event.FirstToken.GetTimeToFirstToken())
		c.hash(at, "first_token.response_id", event.FirstToken.GetResponseId())
	case *usherv1.ReportEvent_Finished:
		c.finished(at, event.Finished)
	case *usherv1.ReportEvent_ReleasedUnused, *usherv1.ReportEvent_Switched:
	default:
		c.bad(at, "event", "first_token, finished, released_unused or switched is required")
	}
}

func (c *checker) request(at place, m *usherv1.RequestRef, of *usherv1.ReportEvent) {
	c.id(at, "request.tenant", m.GetTenant())
	c.id(at, "request.owner_name", m.GetOwnerName())
	c.name(at, "request.request_id", m.GetRequestId())
	if _, ok := of.GetEvent().(*usherv1.ReportEvent_ReleasedUnused); !ok {
		c.bad(at, "request", "goes only with released_unused")
	}
}

func (c *checker) finished(at place, m *usherv1.Finished) {
	if m == nil {
		c.bad(at, "finished", "is required")
		return
	}
	c.enum(at, "finished.outcome", int32(m.GetOutcome()), usherv1.Outcome_name)
	c.enum(at, "finished.limit_scope", int32(m.GetLimitScope()), usherv1.LimitScope_name)
	c.sample(at, "finished.time_to_first_token", m.GetTimeToFirstToken())
	c.hash(at, "finished.response_id", m.GetResponseId())
	c.upstream(at, m)
	if m.GetOutcome() == usherv1.Outcome_OUTCOME_UNSPECIFIED && m.UpstreamStatus == nil && isBlank(m.GetUpstreamCode()) {
		c.bad(at, "finished.outcome", "is required without upstream_status and upstream_code")
	}
}

// upstream checks what the upstream said.
func (c *checker) upstream(at place, m *usherv1.Finished) {
	if m.UpstreamStatus != nil && (m.GetUpstreamStatus() < 100 || m.GetUpstreamStatus() > 599) {
		c.bad(at, "finished.upstream_status", "must be from 100 to 599")
	}
	c.id(at, "finished.upstream_code", m.GetUpstreamCode())
	if d := m.GetRetryAfter(); d != nil && (!d.IsValid() || d.AsDuration() <= 0 || d.AsDuration() > maxRetryAfter) {
		c.bad(at, "finished.retry_after", "must be above 0 and at most 30 days")
	}
	if t := m.GetResetAt(); t != nil && !t.IsValid() {
		c.bad(at, "finished.reset_at", "is not a valid time")
	}
}
