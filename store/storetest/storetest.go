// Package storetest is the one suite that every core.Store passes: a list of
// named checks, one for each thing that the interface promises, and the mutants
// that show that each check can fail.
//
// Checks take the little of testing.T that they need, so that a mutant's failures can be
// collected instead of failing the test that planted it. They never sleep: time is moved by the harness.
package storetest

import (
	"testing"
	"time"

	"usher.internal/core"
)

// TB is what a check needs of a test.
type TB interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Cleanup(f func())
}

// Harness brings the store under test. One check runs at a time.
type Harness struct {
	// New gives a fresh, empty store, whose Close the harness sees to.
	New func(t TB) core.Store
	// Peer gives another replica on the newest store; nil when the store cannot have one.
	Peer func(t TB) core.Store
	// Advance moves the clock that decides the stores' expiry, and returns when that is done.
	Advance func(d time.Duration)
	// Handover says that the store keeps what comes free while somebody waits from newcomers for core.Handover.
	Handover bool
	// Pause makes the newest store answer nothing until resume is called; nil when it cannot.
	Pause func() (resume func())
	// Patience is how long, in real time, a check waits for a call or a signal before it gives up; 0 is a minute.
	Patience time.Duration
	// MarkTTL is how long the store remembers what was released; 0 is five minutes.
	MarkTTL time.Duration
}

func (h *Harness) patience() time.Duration {
	if h.Patience == 0 {
		return time.Minute
	}
	return h.Patience
}

func (h *Harness) markTTL() time.Duration {
	if h.MarkTTL == 0 {
		return 5 * time.Minute
	}
	return h.MarkTTL
}

// Check is one promise of the interface.
type Check struct {
	Name string
	Run  func(t TB, h *Harness)
}

// Run runs every check as a subtest.
func Run(t *testing.T, h Harness) {
	t.Helper()
	for _, check := range Checks() {
		t.Run(check.Name, func(t *testing.T) { check.Run(t, &h) })
	}
}

// Checks gives the suite.
func Checks() []Check {
	var all []Check
	for _, part := range [][]Check{
		takeChecks(), repeatChecks(), expiryChecks(), settleChecks(), endedChecks(), bindingChecks(), fateChecks(),
		dryChecks(), substituteChecks(), lineChecks(), signalChecks(), cooldownChecks(), directoryChecks(), baseChecks(),
		countChecks(), ownerChecks(), hearingChecks(), sharingChecks(), nameChecks(),
		handoverChecks(),
	} {
		all = append(all, part...)
	}
	return all
}

// stop fails the check and ends it.
func (r *rig) stop(format string, args ...any) {
	r.Helper()
	r.Fatalf(format, args...)
}
