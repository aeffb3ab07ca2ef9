package server

import (
	"time"

	usherv1 "usher.internal/gen/usher/v1"
)

const (
	minInterval  = 100 * time.Millisecond
	maxInterval  = time.Hour
	maxDecisions = 1000
)

func validateGetMetrics(m *usherv1.GetMetricsRequest) error {
	var c checker
	c.id(root, "group", m.GetGroup())
	return c.err()
}

func validateStreamMetrics(m *usherv1.StreamMetricsRequest) error {
	var c checker
	c.span("interval", m.GetInterval(), minInterval, maxInterval)
	c.id(root, "group", m.GetGroup())
	return c.err()
}

func validateListDecisions(m *usherv1.ListDecisionsRequest) error {
	var c checker
	c.id(root, "group", m.GetGroup())
	c.id(root, "account_id", m.GetAccountId())
	c.enum(root, "layer", int32(m.GetLayer()), usherv1.Layer_name)
	c.enum(root, "outcome", int32(m.GetOutcome()), usherv1.DecisionOutcome_name)
	if m.GetLimit() > maxDecisions {
		c.bad(root, "limit", "is more than 1000")
	}
	return c.err()
}

func validateExplain(m *usherv1.ExplainRequest) error {
	var c checker
	switch id := m.GetDecisionId(); {
	case id == "":
		c.bad(root, "decision_id", "is blank")
	case len(id) > maxDecisionID:
		c.bad(root, "decision_id", "has more than 64 bytes")
	}
	return c.err()
}
