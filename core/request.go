package core

import (
	"time"

	"usher.internal/core/decide"
	"usher.internal/core/pool"
)

// Request asks for an account. The scheduler does not change it and keeps no part of it but its strings.
type Request struct {
	// Group is the pool; blank is all accounts.
	Group string
	// SessionHash and PreviousResponseID are trimmed; blank is none.
	SessionHash, PreviousResponseID string
	// Model is the model as the caller names it; blank is any.
	Model string
	// Transport is what the account must have.
	Transport pool.Transport
	// Provider is whom the account must belong to; blank is any.
	Provider string
	// Excluded are ids of accounts that must not be chosen.
	Excluded []string
	Owner    Owner
	Tenant   string
	// LeaseTTL is the lease's lifetime; 0 is the scheduler's.
	LeaseTTL time.Duration
	// RequestID makes the Select safe to retry; blank is none.
	RequestID string
	// DryRun decides without any effect.
	DryRun bool
	// Explain asks for a verdict per account.
	Explain bool
	// Alternates is how many next choices to name.
	Alternates int
	// Wait is how long to stand in line at most when all is full; 0 is not at all.
	Wait time.Duration
	// Priority orders the waiters of one tenant.
	Priority Priority
	// Reports are applied first.
	Reports []Event
}

// Answer is one of three answers, the decision, and the results of the request's reports.
type Answer struct {
	// Exactly one of these three is set.
	Selection *Selection
	WaitPlan  *WaitPlan
	Refusal   *Refusal

	Decision Decision
	// Reports has one result for each of the request's reports.
	Reports []EventResult

	// selected is the memory of Selection.
	selected Selection
}

// Selection is an account and the lease on it.
type Selection struct {
	Account *pool.Account
	// Upstream is the model to ask for after mapping; blank when the request named none.
	Upstream string
	// Token is the right to the slot; blank in a dry run.
	Token string
	// TTL is the lease's lifetime; ExpiresAt its end without renewal. Both are zero in a dry run.
	TTL        time.Duration
	ExpiresAt  time.Time
	Alternates []Alternate
	Line       LinePlace
}

// Alternate is an account that would have been chosen next. It holds no slot.
type Alternate struct {
	Account  *pool.Account
	Upstream string
}

// WaitPlan says where and how long to wait. It binds nothing and holds nothing.
type WaitPlan struct {
	Account    *pool.Account
	Timeout    time.Duration
	MaxWaiting int
	// Waiting counts who waits for the account already.
	Waiting int
	// Probing says that the account is not full: its one probe is out.
	Probing bool
}

// RefusalReason says why nothing can serve a request now.
type RefusalReason uint8

const (
	// RefusedNoAccounts means: the group has no accounts.
	RefusedNoAccounts RefusalReason = iota + 1
	// RefusedNoneEligible means: every account of the group is excluded.
	RefusedNoneEligible
	// RefusedTenantLimit means: the tenant holds, or waits for, as many leases as it may.
	RefusedTenantLimit
	// RefusedQueueFull means: as many wait for the account as may.
	RefusedQueueFull
	// RefusedOwnerUnavailable means: the account that owns the response may not serve, and policy forbids another.
	RefusedOwnerUnavailable
	// RefusedWaitTimeout means: it stood in line until the time was over.
	RefusedWaitTimeout
)

// ReasonCount counts the accounts of a group that one reason excludes.
type ReasonCount struct {
	Reason   decide.Reason
	Accounts int
}

// Refusal says that nothing can serve a request now.
type Refusal struct {
	Reason RefusalReason
	// Exclusions counts the group's accounts by reason, most first.
	Exclusions []ReasonCount
	// NextEligibleAt is the earliest deadline of an exclusion; zero when none has one.
	NextEligibleAt time.Time
	// RetryAfter is from now to NextEligibleAt, or a hint where all is full for now; 0 when asking again is not expected to help.
	RetryAfter time.Duration
	// Limit is the one that was met, with RefusedQueueFull and RefusedTenantLimit.
	Limit int
	// Place is that which was reached in line, from 1; 0 when it never stood there.
	Place int
	// EstimatedWait is what a place in line would have meant, by how fast the line moved of late; 0 is unknown.
	EstimatedWait time.Duration
}

// Decision says what was chosen and why.
type Decision struct {
	ID    DecisionID
	Layer decide.Layer
	// PreviousHit and SessionHit say that the layer's bound account answered, with a lease or a wait plan.
	PreviousHit, SessionHit bool
	// CandidateCount, TopK and LoadSkew (percentage points) are 0 unless load balancing was reached.
	CandidateCount, TopK int
	LoadSkew             float64
	Response, Session    StickyVerdict
	// Latency is from the call to the answer.
	Latency time.Duration
	Profile string
	DryRun  bool
	// Repeated says that the lease was granted before, to the same request id.
	Repeated bool
	// Degraded says that the store was out of reach.
	Degraded bool
	// Verdicts has every account of the group that was looked at; only with Explain.
	Verdicts []decide.Verdict
}

// BindingFate is what became of a binding that a decision met.
type BindingFate uint8

const (
	// BindingNone means: no binding, or its layer was not asked.
	BindingNone BindingFate = iota
	// BindingHit means: its account took the request.
	BindingHit
	// BindingFull means: its account is full.
	BindingFull
	// BindingKept means: its account may not serve this request; the binding stands.
	BindingKept
	// BindingDropped means: its account may not serve any more; the binding is gone.
	BindingDropped
	// BindingEscaped means: served elsewhere this time, and the session stays bound.
	BindingEscaped
	// BindingRebound means: its account is gone for longer than the binding would have lived, and the session was bound anew.
	BindingRebound
)

// StickyVerdict is what a sticky layer found.
type StickyVerdict struct {
	Fate    BindingFate
	Account string
	// Reason is why the account may not serve; decide.None when it may.
	Reason decide.Reason
	// Until is the end of Reason; zero when it has none that is known.
	Until time.Time
}
