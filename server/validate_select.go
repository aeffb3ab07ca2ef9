package server

import (
	"time"

	usherv1 "usher.internal/gen/usher/v1"
)

const (
	maxExcluded   = 1024
	maxReports    = 64
	maxAlternates = 16
	maxWait       = time.Hour
)

func validateSelect(m *usherv1.SelectRequest) error {
	var c checker
	c.id(root, "group", m.GetGroup())
	c.hash(root, "session_hash", m.GetSessionHash())
	c.hash(root, "previous_response_id", m.GetPreviousResponseId())
	c.id(root, "model", m.GetModel())
	c.enum(root, "required_transport", int32(m.GetRequiredTransport()), usherv1.Transport_name)
	c.id(root, "provider", m.GetProvider())
	c.excluded(m.GetExcludedAccountIds())
	if m.Owner != nil {
		c.owner(place{prefix: "owner", index: -1}, m.GetOwner())
	}
	c.id(root, "tenant", m.GetTenant())
	c.enum(root, "priority_class", int32(m.GetPriorityClass()), usherv1.PriorityClass_name)
	c.span("lease_ttl", m.GetLeaseTtl(), minLeaseTTL, maxLeaseTTL)
	c.span("wait", m.GetWait(), 0, maxWait)
	c.id(root, "request_id", m.GetRequestId())
	if m.GetRequestId() != "" && isBlank(m.GetRequestId()) {
		c.bad(root, "request_id", "is blank")
	}
	c.dryRun(m)
	if m.GetAlternates() > maxAlternates {
		c.bad(root, "alternates", "is more than 16")
	}
	if c.count("reports", len(m.GetReports()), maxReports) {
		for i, e := range m.GetReports() {
			c.event(place{prefix: "reports", index: i}, e)
		}
	}
	return c.err()
}

func (c *checker) excluded(ids []string) {
	if !c.count("excluded_account_ids", len(ids), maxExcluded) {
		return
	}
	for i, id := range ids {
		c.name(place{prefix: "excluded_account_ids", index: i}, "", id)
	}
}

func (c *checker) owner(at place, m *usherv1.Owner) {
	c.name(at, "name", m.GetName())
	c.name(at, "incarnation", m.GetIncarnation())
}

// dryRun checks that a call without effect asks for none.
func (c *checker) dryRun(m *usherv1.SelectRequest) {
	if !m.GetDryRun() {
		return
	}
	if m.GetRequestId() != "" {
		c.bad(root, "request_id", "does not go with dry_run")
	}
	if m.GetWait().AsDuration() != 0 {
		c.bad(root, "wait", "does not go with dry_run")
	}
	if len(m.GetReports()) > 0 {
		c.bad(root, "reports", "do not go with dry_run")
	}
}
