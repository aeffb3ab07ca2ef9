package pool

import (
	"maps"
	"slices"
	"time"
)

// Account is one upstream that can serve requests. Inside a Set it must not be changed.
//
// A deadline is active while now < instant; the zero instant is no deadline.
type Account struct {
	ID       string // opaque, not blank, unique in its set
	Type     string // opaque; told to the caller with a selection
	Provider string

	Priority       int // smaller is better
	MaxConcurrency int // slots; ≤ 0 is unlimited

	Groups     []string // sorted and without repeats inside a Set
	Models     Models
	Transports Transports // empty is taken as HTTPSSE by NewSet

	State      State
	DrainUntil time.Time // when bound sessions stop too, while Draining
	Status     Status

	Unschedulable          bool
	TempUnschedulableUntil time.Time
	RateLimitedUntil       time.Time
	OverloadedUntil        time.Time
	ExpiresAt              time.Time // counts only with AutoPauseOnExpired
	AutoPauseOnExpired     bool
	ModelLimits            map[string]time.Time // by trimmed upstream name; see Models.Map
	Ordinal                int                  // fixed place in the roster: loads and stats are kept under it
}

// InGroup tells whether the account belongs to the group; "" is every account.
func (a *Account) InGroup(group string) bool {
	if group == "" {
		return true
	}
	return slices.Contains(a.Groups, group)
}

// Quiet tells that no check that depends on the time or on the layer can exclude the account.
func (a *Account) Quiet() bool {
	return a.State == Active && a.Status == StatusActive && !a.Unschedulable &&
		a.TempUnschedulableUntil.IsZero() && a.RateLimitedUntil.IsZero() && a.OverloadedUntil.IsZero() &&
		(!a.AutoPauseOnExpired || a.ExpiresAt.IsZero()) && len(a.ModelLimits) == 0
}

// Limit gives MaxConcurrency as a count of slots, 0 for unlimited.
func (a *Account) Limit() int32 {
	const most = 1<<31 - 1
	return int32(min(max(a.MaxConcurrency, 0), most))
}

func (a *Account) clone() Account {
	c := *a
	c.Groups = slices.Clone(a.Groups)
	slices.Sort(c.Groups)
	c.Groups = slices.Compact(c.Groups)
	c.ModelLimits = maps.Clone(a.ModelLimits)
	if c.Transports == 0 {
		c.Transports = TransportsOf(HTTPSSE)
	}
	return c
}
