package decide

import (
	"fmt"
	"math"
	"time"
)

// FieldError is a value that a policy must not have.
type FieldError struct {
	Field   string // as the configuration file calls it, such as policy.weights.load
	Problem string
}

// Error names the field and the problem.
func (e FieldError) Error() string { return e.Field + ": " + e.Problem }

// faults collects what a policy must not have.
type faults []FieldError

func (f *faults) add(field, format string, args ...any) {
	*f = append(*f, FieldError{Field: "policy." + field, Problem: fmt.Sprintf(format, args...)})
}

func (f *faults) notNegative(field string, d time.Duration) {
	if d < 0 {
		f.add(field, "must not be negative, is %v", d)
	}
}

// Validate gives every value that is not allowed, in the order of the fields; nil when all are.
func (p *Policy) Validate() []FieldError {
	var f faults
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
			f.add("weights."+w.name, "must be a number from 0 to %v, is %v", float64(MaxWeight), w.value)
		}
	}
	if !(p.Alpha > 0 && p.Alpha <= 1) {
		f.add("ewma_alpha", "must be in (0, 1], is %v", p.Alpha)
	}
	f.notNegative("session.ttl", p.SessionTTL)
	f.notNegative("response.ttl", p.ResponseTTL)
	for _, w := range []struct {
		name string
		wait Wait
	}{{"wait.sticky", p.StickyWait}, {"wait.fallback", p.FallbackWait}} {
		f.notNegative(w.name+".timeout", w.wait.Timeout)
		if w.wait.MaxWaiting < 0 {
			f.add(w.name+".max_waiting", "must not be negative, is %d", w.wait.MaxWaiting)
		}
	}
	f.notNegative("half_life", p.HalfLife)
	f.notNegative("cooldown.max", p.MaxCooldown)
	f.backoff("cooldown.overloaded", p.Overloaded)
	f.escape("session.escape", p.Escape)
	return f
}

func (f *faults) backoff(field string, b Backoff) {
	f.notNegative(field+".base", b.Base)
	if b.Cap < b.Base {
		f.add(field+".cap", "must not be below base, is %v", b.Cap)
	}
	if !(b.Jitter >= 0 && b.Jitter <= 1) {
		f.add(field+".jitter", "must be in [0, 1], is %v", b.Jitter)
	}
}

func (f *faults) escape(field string, e Escape) {
	if !(e.ErrorRate >= 0 && e.ErrorRate <= 1) {
		f.add(field+".error_rate", "must be in [0, 1], is %v", e.ErrorRate)
	}
	if e.TTFTFactor != 0 && !(e.TTFTFactor > 1 && e.TTFTFactor <= math.MaxFloat64) {
		f.add(field+".ttft_factor", "must be 0 or a finite number > 1, is %v", e.TTFTFactor)
	}
	f.notNegative(field+".ttft_floor", e.TTFTFloor)
	f.notNegative(field+".length", e.Length)
}
