package core

import "usher.internal/core/decide"

// Outcome says how a request ended.
type Outcome uint8

const (
	// OutcomeSuccess means: the upstream answered in full.
	OutcomeSuccess Outcome = iota + 1
	// OutcomeAccountError means: the account failed (5xx, connection).
	OutcomeAccountError
	// OutcomeUpstreamTimeout means: the upstream did not answer in time.
	OutcomeUpstreamTimeout
	// OutcomeClientError means: the request itself was at fault.
	OutcomeClientError
	// OutcomeCancelled means: the caller cancelled.
	OutcomeCancelled
	// OutcomeCallerTimeout means: the caller's own time ran out.
	OutcomeCallerTimeout
	// OutcomeRateLimited means: the account, or the model on it, is rate-limited.
	OutcomeRateLimited
	// OutcomeQuotaExhausted means: the account's quota is used up.
	OutcomeQuotaExhausted
	// OutcomeAuthFailed means: the account's credentials were refused.
	OutcomeAuthFailed
	// OutcomeOverloaded means: the upstream is overloaded.
	OutcomeOverloaded

	outcomeCount
)

var outcomeNames = [outcomeCount]string{
	"unspecified", "success", "account_error", "upstream_timeout", "client_error", "cancelled", "caller_timeout",
	"rate_limited", "quota_exhausted", "auth_failed", "overloaded",
}

// String gives the snake_case name.
func (o Outcome) String() string {
	if o < outcomeCount {
		return outcomeNames[o]
	}
	return "invalid"
}

// ParseOutcome reads a name as String writes it; false for any other text.
func ParseOutcome(name string) (Outcome, bool) {
	for o := OutcomeSuccess; o < outcomeCount; o++ {
		if outcomeNames[o] == name {
			return o, true
		}
	}
	return 0, false
}

// Outcomes gives all outcomes, in order.
func Outcomes() []Outcome {
	out := make([]Outcome, 0, outcomeCount-1)
	for o := OutcomeSuccess; o < outcomeCount; o++ {
		out = append(out, o)
	}
	return out
}

// Sampled tells whether an outcome is a sample of the account's error rate, and whether it is a failure.
func (o Outcome) Sampled() (counts, failed bool) {
	switch o {
	case OutcomeSuccess:
		return true, false
	case OutcomeAccountError, OutcomeUpstreamTimeout, OutcomeRateLimited, OutcomeQuotaExhausted, OutcomeAuthFailed, OutcomeOverloaded:
		return true, true
	case OutcomeClientError, OutcomeCancelled, OutcomeCallerTimeout:
		// The account did nothing wrong, and nothing right.
	}
	return false, false
}

// Cools gives the reason for which an outcome keeps the account away; decide.None when it does not.
func (o Outcome) Cools() decide.Reason {
	switch o {
	case OutcomeRateLimited:
		return decide.RateLimited
	case OutcomeQuotaExhausted:
		return decide.QuotaExhausted
	case OutcomeAuthFailed:
		return decide.AuthFailed
	case OutcomeOverloaded:
		return decide.Overloaded
	case OutcomeSuccess, OutcomeAccountError, OutcomeUpstreamTimeout, OutcomeClientError, OutcomeCancelled, OutcomeCallerTimeout:
	}
	return decide.None
}

// LimitScope says what an upstream's limit covers. The zero value is the default of what happened.
type LimitScope uint8

const (
	// ScopeAccount is the whole account.
	ScopeAccount LimitScope = iota + 1
	// ScopeModel is the lease's upstream model on the account.
	ScopeModel
)

// String gives the lower-case name; blank for the zero value.
func (s LimitScope) String() string {
	switch s {
	case ScopeAccount:
		return "account"
	case ScopeModel:
		return "model"
	}
	return ""
}

// ParseScope reads a name as String writes it; false for any other text.
func ParseScope(name string) (LimitScope, bool) {
	switch name {
	case "":
		return 0, true
	case "account":
		return ScopeAccount, true
	case "model":
		return ScopeModel, true
	}
	return 0, false
}
