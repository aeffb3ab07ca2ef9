package decide

import (
	"fmt"
	"time"

	"usher.internal/core/pool"
)

// Weights are the factors' shares in the score, each finite and ≥ 0.
type Weights struct {
	Priority  float64
	Load      float64
	Queue     float64
	ErrorRate float64
	TTFT      float64
}

// Wait bounds standing in line on one account.
type Wait struct {
	Timeout    time.Duration // how long at most; ≥ 0
	MaxWaiting int           // how many at most; ≥ 0
}

// Defaults that stand for unset (zero or negative) values.
const (
	DefaultTopK = 7
	DefaultTTL  = time.Hour
)

// MaxWeight bounds a weight, so that no score overflows.
const MaxWeight = 1e100

// Policy is what an operator can tune in the decision.
type Policy struct {
	Profile            string // the set of defaults it started from
	Weights            Weights
	TopK               int             // how many of the best are drawn from; ≤ 0 is DefaultTopK
	Alpha              float64         // weight of the newest sample in both averages, in (0, 1]
	SessionTTL         time.Duration   // life of a session binding; 0 is DefaultTTL
	ResponseTTL        time.Duration   // life of a response binding; 0 is DefaultTTL
	StickyWait         Wait            // on a full account that the request is bound to
	FallbackWait       Wait            // when load balancing finds nothing free
	ResponseTransports pool.Transports // what the response layer serves; empty is every transport
}

// Reference gives the recorded defaults.
func Reference() Policy {
	return Policy{
		Profile:      "reference",
		Weights:      Weights{Priority: 1, Load: 1, Queue: 0.7, ErrorRate: 0.8, TTFT: 0.5},
		TopK:         DefaultTopK,
		Alpha:        0.2,
		SessionTTL:   DefaultTTL,
		ResponseTTL:  DefaultTTL,
		StickyWait:   Wait{Timeout: 45 * time.Second, MaxWaiting: 3},
		FallbackWait: Wait{Timeout: 30 * time.Second, MaxWaiting: 100},
	}
}

// Limit gives the number of candidates that are drawn from, out of n.
func (p *Policy) Limit(n int) int {
	k := p.TopK
	if k <= 0 {
		k = DefaultTopK
	}
	return min(k, n)
}

// FieldError is a value that a policy must not have.
type FieldError struct {
	Field   string // such as policy.weights.load
	Problem string
}

// Error names the field and the problem.
func (e FieldError) Error() string { return e.Field + ": " + e.Problem }

// Validate gives every value that is not allowed, in the order of the fields; nil when all are.
func (p *Policy) Validate() []FieldError {
	var errs []FieldError
	add := func(field, format string, args ...any) {
		errs = append(errs, FieldError{Field: "policy." + field, Problem: fmt.Sprintf(format, args...)})
	}
	for _, w := range []struct {
		name  string
		value float64
	}{
		{"priority", p.Weights.Priority},
		{"load", p.Weights.Load},
		{"queue", p.Weights.Queue},
		{"error_rate", p.Weights.ErrorRate},
		{"ttft", p.Weights.TTFT},
	} {
		if !(w.value >= 0 && w.value <= MaxWeight) {
			add("weights."+w.name, "must be a number from 0 to %v, is %v", float64(MaxWeight), w.value)
		}
	}
	if !(p.Alpha > 0 && p.Alpha <= 1) {
		add("alpha", "must be in (0, 1], is %v", p.Alpha)
	}
	if p.SessionTTL < 0 {
		add("session_ttl", "must not be negative, is %v", p.SessionTTL)
	}
	if p.ResponseTTL < 0 {
		add("response_ttl", "must not be negative, is %v", p.ResponseTTL)
	}
	for _, w := range []struct {
		name string
		wait Wait
	}{{"sticky_wait", p.StickyWait}, {"fallback_wait", p.FallbackWait}} {
		if w.wait.Timeout < 0 {
			add(w.name+".timeout", "must not be negative, is %v", w.wait.Timeout)
		}
		if w.wait.MaxWaiting < 0 {
			add(w.name+".max_waiting", "must not be negative, is %d", w.wait.MaxWaiting)
		}
	}
	return errs
}
