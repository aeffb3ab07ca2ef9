package telemetry

import (
	"time"

	"google.golang.org/grpc/codes"

	"usher.internal/core"
)

// Telemetry is core's observer and the counter of RPCs.
type Telemetry struct {
	decisions *sketch
	events    eventCounts
	calls     callCounts
}

var _ core.Observer = (*Telemetry)(nil)

// New makes an empty one.
func New() (*Telemetry, error) {
	decisions, err := newSketch()
	if err != nil {
		return nil, err
	}
	return &Telemetry{decisions: decisions}, nil
}

// Selected takes the latency of a decision.
func (t *Telemetry) Selected(o core.SelectObservation) { t.decisions.add(o.Latency) }

// Reported counts an event.
func (t *Telemetry) Reported(kind core.EventKind, outcome core.Outcome, status core.EventStatus) {
	t.events.add(kind, outcome, status)
}

// Latency gives the quantiles of decision latency since the start.
func (t *Telemetry) Latency() Quantiles { return t.decisions.quantiles() }

// Events gives the number of events by what they were and what became of them; those that never occurred are left out.
func (t *Telemetry) Events() []EventCount { return t.events.list() }

// Called counts an RPC that ended. method is its full name.
func (t *Telemetry) Called(method string, code codes.Code, took time.Duration) {
	t.calls.add(method, code, took)
}

// Calls gives the RPCs that ended, by method and code, sorted; those that never occurred are left out.
func (t *Telemetry) Calls() []CallCount { return t.calls.list() }
