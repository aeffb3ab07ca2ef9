package core

import "errors"

// Kind sorts core's errors by what a caller can do about them.
type Kind uint8

const (
	// KindInternal is a fault in usher itself.
	KindInternal Kind = iota
	// KindClosed means: the scheduler has been closed. Ask another usher, or fall back.
	KindClosed
	// KindRequestReleased means: the request id was released before its Select arrived. Do not retry it.
	KindRequestReleased
	// KindStoreUnavailable means: the store cannot be reached and policy forbids to go on without it.
	KindStoreUnavailable
	// KindDecisionUnknown means: no such decision is kept on this replica.
	KindDecisionUnknown
	// KindInvalidPool means: accounts or policy that cannot be applied.
	KindInvalidPool
)

// Kinds lists every kind, so that a mapping of them can be checked for gaps.
func Kinds() []Kind {
	return []Kind{
		KindInternal, KindClosed, KindRequestReleased, KindStoreUnavailable, KindDecisionUnknown, KindInvalidPool,
	}
}

// Error is an error of core. It never carries a session hash or a token.
type Error struct {
	Kind Kind
	// Text says what happened, for a person.
	Text string
	// Err is the cause; may be nil.
	Err error
}

// Error gives the text and the cause.
func (e *Error) Error() string {
	if e.Err == nil {
		return e.Text
	}
	return e.Text + ": " + e.Err.Error()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf gives an error's kind; KindInternal for one that is not core's.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return KindInternal
}
