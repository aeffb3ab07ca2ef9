package core

import "time"

// EventKind is what happened to a leased request.
type EventKind uint8

const (
	// EventFirstToken means: the first token came.
	EventFirstToken EventKind = iota + 1
	// EventFinished means: the request ended; the slot is given back.
	EventFinished
	// EventUnused means: the lease was not used; the slot is given back.
	EventUnused
	// EventSwitched means: the request went to another account; the slot stays taken.
	EventSwitched
)

// Event is one thing that happened to a leased request.
type Event struct {
	Kind EventKind
	// Token is the lease's token; blank when Request names it (EventUnused only).
	Token string
	// Request names a Select by its own id, for callers that never saw the answer.
	Request RequestRef
	// Outcome is read for EventFinished; 0 is told by UpstreamStatus and UpstreamCode.
	Outcome Outcome
	// UpstreamStatus is the upstream's HTTP status, 0 for none; UpstreamCode its error code or type.
	UpstreamStatus int
	UpstreamCode   string
	// RetryAfter is how long the upstream asks to stay away, ResetAt when its limit ends; the later of the two
	// counts, zero is none.
	RetryAfter time.Duration
	ResetAt    time.Time
	// Scope is what the upstream's limit covers.
	Scope LimitScope
	// TTFT is the time to first token, time in line left out; 0 or less is no sample.
	TTFT time.Duration
	// ResponseID is bound to the lease's account; blank binds nothing.
	ResponseID string
}

// RequestRef names a Select by what its caller gave it.
type RequestRef struct {
	Tenant, OwnerName, RequestID string
}

// EventStatus is what became of an event or a renewal.
type EventStatus uint8

const (
	// EventApplied means: it counted, and what it frees is free.
	EventApplied EventStatus = iota + 1
	// EventAlreadyApplied means: this kind was counted for this lease before.
	EventAlreadyApplied
	// EventAlreadyReleased means: the lease was given back before.
	EventAlreadyReleased
	// EventExpired means: the lease had ended by itself; nothing was freed, what was reported counted, once.
	EventExpired
	// EventUnknown means: the lease is not known, and too old to tell whether this was counted.
	EventUnknown
	// EventTokenInvalid means: the token was not made here, or was altered or cut.
	EventTokenInvalid
	// EventReleaseRecorded means: no Select of this request id is known; it is marked as released.
	EventReleaseRecorded
)

// EventResult answers one event.
type EventResult struct {
	Status EventStatus
	// Account is the lease's; blank when it is not known.
	Account string
	// Bound says that the event bound its response id.
	Bound bool
}

// RenewResult answers the renewal of one token.
type RenewResult struct {
	// Status is EventApplied when the lease lives on.
	Status    EventStatus
	ExpiresAt time.Time
}
