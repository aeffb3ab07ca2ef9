package core

import (
	"context"
	"time"

	"usher.internal/core/decide"
	"usher.internal/core/pool"
)

// Snapshot is the scheduler's state at one instant. It is not changed after it was given out.
type Snapshot struct {
	At      time.Time
	Uptime  time.Duration
	Totals  Totals
	Selects []SelectCount
	// Accounts are in listing order.
	Accounts []AccountSnapshot
	Usage    Usage
	// LeasesExpired counts leases that ended by their lifetime, since the start.
	LeasesExpired uint64
	// LeaseEnds counts leases that ended without their owners' doing, since the start, by owner, account and end, in that order.
	LeaseEnds []LeaseEndCount
	// LeasesAdopted counts leases that were taken up again, LeasesOvercommitted those of them whose account had no room.
	LeasesAdopted, LeasesOvercommitted uint64
	// OwnersAttached counts owners with a stream.
	OwnersAttached int
	Profile        string
	// Degraded says that the store is out of reach, and what stands in for it answers.
	Degraded bool
}

// Totals are the eleven figures of the reference, since the start of the process, and two averages beside them.
type Totals struct {
	// Selects counts Selects, failed and refused ones included; dry runs and repeats are not.
	Selects uint64
	// PreviousHits counts Selects that the account of the previous response answered, with a lease or a wait plan.
	PreviousHits uint64
	// SessionHits counts Selects that the account of the session answered, likewise.
	SessionHits uint64
	// LoadBalanced counts Selects that reached load balancing, failed and refused ones included.
	LoadBalanced uint64
	// Switches counts switched events, once per lease.
	Switches uint64
	// Latency is the sum of the latencies of Selects.
	Latency time.Duration
	// LatencyAvg is Latency / Selects; 0 without Selects.
	LatencyAvg time.Duration
	// StickyHitRatio is (PreviousHits + SessionHits) / Selects; 0 without Selects.
	StickyHitRatio float64
	// SwitchRate is Switches / Selects; 0 without Selects.
	SwitchRate float64
	// LoadSkewAvg is the mean of load skew over Selects in percentage points, each
	// rounded half away from zero to thousandths, layers without a skew counting as 0; 0 without Selects.
	LoadSkewAvg float64
	// StatAccounts counts accounts for which an outcome or a first token was reported.
	StatAccounts int
	// AnsweredLatencyAvg is the mean latency of Selects that gave an account or a wait plan; 0 without any.
	AnsweredLatencyAvg time.Duration
	// AnsweredLoadSkewAvg is the mean skew of load-balance Selects that gave an account or a wait plan; 0 without any.
	AnsweredLoadSkewAvg float64
}

// SelectCount counts Selects of one layer and outcome.
type SelectCount struct {
	Layer   decide.Layer
	Outcome SelectOutcome
	// Refusal is 0 unless Outcome is OutcomeRefused.
	Refusal RefusalReason
	Total   uint64
}

// AccountSnapshot is one account at one instant.
type AccountSnapshot struct {
	Account *pool.Account
	Load    decide.Load
	Stat    decide.Stat
	// Blocked is why the account takes no new request whatever it asks for; decide.None when it does.
	Blocked decide.Reason
	// BlockedUntil is zero when no end is known.
	BlockedUntil time.Time
	// Limited are the upstream models that it does not serve for now, by name.
	Limited []decide.ModelLimit
}

// DecisionFilter chooses decisions; zero fields let everything pass.
type DecisionFilter struct {
	Group, Account string
	// Layer is read only with ByLayer, since load balancing is its zero value.
	ByLayer bool
	Layer   decide.Layer
	Outcome SelectOutcome
	// Limit is the most to give; 0 is 50.
	Limit int
}

// DecisionRecord is a decision that was made, with the request that it answered.
type DecisionRecord struct {
	At       time.Time
	Decision Decision
	Outcome  SelectOutcome
	// Account was chosen or planned for; blank when there is none.
	Account string
	// Refusal is 0 unless Outcome is OutcomeRefused.
	Refusal                        RefusalReason
	Group, Model, Tenant, Provider string
	Transport                      pool.Transport
	HasSession, HasPrevious        bool
	Line                           LinePlace
}

// Explanation is a past decision with all that it looked at.
type Explanation struct {
	// Record's decision has its verdicts.
	Record  DecisionRecord
	Weights decide.Weights
	// Seed is that of the draw; 0 when nothing was drawn.
	Seed uint64
	// NotLookedAt counts accounts of the group without a verdict.
	NotLookedAt int
}

// Snapshot gives the state now. Without a store that answers, and with nothing in its place, it is degraded, and nothing is shown as in use. Errors:
// KindStoreUnavailable, ctx's own.
func (s *Scheduler) Snapshot(ctx context.Context) (*Snapshot, error) {
	w := s.registry.current.Load()
	n := w.set.Len()
	ordinals, loads, learned := make([]int32, n), make([]decide.Load, n), make([]decide.Stat, n)
	for i := range ordinals {
		ordinals[i] = int32(w.set.At(i).Ordinal)
	}
	usage, err := s.usage(ctx, ordinals, loads)
	if err != nil {
		return nil, err
	}
	now := s.clock.Now()
	s.stats.gather(ordinals, learned, w.policy, now)
	snap := &Snapshot{
		At: now, Uptime: now.Sub(s.started), Totals: s.counters.totals(s.stats.accounts()),
		Accounts: make([]AccountSnapshot, n), Usage: usage, Profile: w.policy.Profile, Degraded: s.degraded(),
	}
	snap.Selects, snap.LeasesExpired = s.counters.counts()
	snap.LeaseEnds, snap.LeasesAdopted, snap.LeasesOvercommitted = s.ends.list()
	snap.OwnersAttached = s.owners.attachedNow()
	for i := range snap.Accounts {
		a := w.set.At(i)
		reason, until := s.blocked(a, now)
		if reason == decide.None && decide.AwaitsProbe(&loads[i], s.colds.of(a.Ordinal), "", w.policy, now) {
			reason = decide.Probing
		}
		snap.Accounts[i] = AccountSnapshot{Account: a, Load: loads[i], Stat: learned[i], Blocked: reason, BlockedUntil: until}
		snap.Accounts[i].Limited = decide.LimitedModels(a, s.colds.of(a.Ordinal), now)
	}
	return snap, nil
}

// usage fills loads and counts what is in use.
func (s *Scheduler) usage(ctx context.Context, ordinals []int32, loads []decide.Load) (u Usage, err error) {
	if err = s.store.Loads(ctx, ordinals, loads); err == nil {
		u, err = s.store.Usage(ctx, "")
	}
	if err != nil && KindOf(err) == KindStoreUnavailable && s.degraded() {
		clear(loads)
		return Usage{Bindings: NotCounted}, nil
	}
	return u, err
}

// blocked says why the account takes no new request whatever it asks for, and until when.
func (s *Scheduler) blocked(a *pool.Account, now time.Time) (decide.Reason, time.Time) {
	return decide.Eligible(a, s.colds.of(a.Ordinal), &decide.Fitness{Layer: decide.LayerLoadBalance}, now)
}
