package core

import (
	"time"

	"usher.internal/core/decide"
)

// Observer is told what happened. It is called on the path of every request:
// it must be safe for concurrent use, must not block and must not call the scheduler.
type Observer interface {
	// Selected is told of every Select that is neither a dry run nor a repeat.
	Selected(SelectObservation)
	// Reported is told of every event.
	Reported(kind EventKind, outcome Outcome, status EventStatus)
}

// SelectObservation is one Select as an observer sees it.
type SelectObservation struct {
	Layer   decide.Layer
	Outcome SelectOutcome
	Refusal RefusalReason
	Latency time.Duration
}

// SelectOutcome is the kind of answer that a Select gave.
type SelectOutcome uint8

const (
	// OutcomeSelected means: an account was selected.
	OutcomeSelected SelectOutcome = iota + 1
	// OutcomePlanned means: a wait plan.
	OutcomePlanned
	// OutcomeRefused means: a refusal.
	OutcomeRefused
	// OutcomeFailed means: an error before there was an answer.
	OutcomeFailed
)

type noObserver struct{}

func (noObserver) Selected(SelectObservation)               {}
func (noObserver) Reported(EventKind, Outcome, EventStatus) {}
