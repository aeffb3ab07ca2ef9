package decide

import (
	"slices"
	"strings"
	"time"

	"usher.internal/core/pool"
)

// Request is what a caller asks for, as far as the decision needs it.
type Request struct {
	Group       string // "" is none: every account
	SessionHash string
	ResponseID  string // the previous response
	Model       string // as requested; "" is any
	Transport   pool.Transport
	Provider    string   // "" is any
	Excluded    []string // account ids; blank, unknown and repeated ones are harmless
}

// Query gives the part of the request that selects a view.
func (r *Request) Query() pool.Query {
	return pool.Query{Group: r.Group, Model: r.Model, Provider: r.Provider, Transport: r.Transport}
}

// Fitness is what eligibility asks of an account.
type Fitness struct {
	Query              pool.Query
	Layer              Layer
	Excluded           []string        // account ids
	ResponseTransports pool.Transports // what the response layer serves; empty is every transport
	HalfOpen           bool            // the sticky layers do not use an account that needs a probe
}

// Fitness gives the request's demands on a layer.
func (r *Request) Fitness(layer Layer, p *Policy) Fitness {
	return Fitness{
		Query: r.Query(), Layer: layer, Excluded: r.Excluded,
		ResponseTransports: p.ResponseTransports, HalfOpen: p.HalfOpen,
	}
}

// Eligible tells whether an account may serve at the time now: None, or the first
// reason against it, with the deadline of that reason (zero when it has none; another
// reason may still stand then, see NextEligible). A nil account is Unknown.
func Eligible(a *pool.Account, c *Cold, f *Fitness, now time.Time) (Reason, time.Time) {
	if a == nil {
		return Unknown, time.Time{}
	}
	if slices.Contains(f.Excluded, a.ID) {
		return ExcludedByCaller, time.Time{}
	}
	upstream, mapped := a.Models.Map(f.Query.Model)
	return judge(a, c, f, upstream, mapped, now)
}

// EligibleID is Eligible for the id a binding names; a is nil when no such account is known.
func EligibleID(id string, a *pool.Account, c *Cold, f *Fitness, now time.Time) (Reason, time.Time) {
	if a == nil && slices.Contains(f.Excluded, id) {
		return ExcludedByCaller, time.Time{}
	}
	return Eligible(a, c, f, now)
}

// NextEligible gives the first instant from now on at which the account may serve
// if nothing but time changes; false when time alone does not bring it back.
func NextEligible(a *pool.Account, c *Cold, f *Fitness, now time.Time) (time.Time, bool) {
	for {
		r, until := Eligible(a, c, f, now)
		switch {
		case r == None:
			return now, true
		case until.IsZero():
			return time.Time{}, false
		}
		now = until // later than before: an active deadline lies after now
	}
}

// ModelLimit is an upstream model that an account does not serve for now.
type ModelLimit struct {
	Upstream string
	Until    time.Time
}

// LimitedModels gives the models that an account does not serve now, by name; it allocates if there are any.
func LimitedModels(a *pool.Account, c *Cold, now time.Time) (limited []ModelLimit) {
	for model, until := range a.ModelLimits { // order-free: sorted below
		if until = latest(until, c.Model(model).Until); now.Before(until) {
			limited = append(limited, ModelLimit{model, until})
		}
	}
	for i := range c.Models() {
		m := &c.models[i]
		if _, also := a.ModelLimits[m.model]; !also && now.Before(m.Until) {
			limited = append(limited, ModelLimit{m.model, m.Until})
		}
	}
	slices.SortFunc(limited, func(a, b ModelLimit) int { return strings.Compare(a.Upstream, b.Upstream) })
	return limited
}

// NextDeadline gives the first instant after now at which something of the account changes by time alone:
// for some request it may serve again from then on, or no more. Zero when nothing does.
func NextDeadline(a *pool.Account, c *Cold, now time.Time) (next time.Time) {
	sooner := func(at time.Time) {
		if at.After(now) && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	sooner(a.TempUnschedulableUntil)
	sooner(a.RateLimitedUntil)
	sooner(a.OverloadedUntil)
	if a.AutoPauseOnExpired {
		sooner(a.ExpiresAt)
	}
	if a.State == pool.Draining {
		sooner(a.DrainUntil)
	}
	for _, at := range a.ModelLimits { // order-free: the least of all
		sooner(at)
	}
	if c != nil {
		sooner(c.account.Until)
		for i := range c.models {
			sooner(c.models[i].Until)
		}
	}
	return next
}
