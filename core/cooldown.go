package core

import (
	"time"

	"usher.internal/core/decide"
	"usher.internal/core/pool"
)

// lesson is what an event is to teach if it counts.
type lesson struct {
	outcome Outcome
	// model is the lease's upstream model, trimmed; blank when nothing asks for it.
	model string
	// cool is the cooldown; its account is blank when there is none, its deadline zero for refused credentials.
	cool Cooldown
	// overload says that the deadline is one of the backoff's.
	overload bool
	granted  time.Time
}

// lesson reads an event of a lease.
func (s *Scheduler) lesson(e *Event, t *ticket, w *world, now time.Time) lesson {
	l := lesson{outcome: e.Outcome, granted: t.GrantedAt}
	answered := e.Kind == EventFinished && (e.UpstreamStatus != 0 || e.UpstreamCode != "")
	ailing := e.Kind == EventFinished && (answered || e.Outcome.Cools() != decide.None)
	if !ailing && !w.policy.TTFTPerModel && !s.colds.any() {
		return l // the most frequent event looks nothing up
	}
	account, _ := w.set.Lookup(t.Account)
	scope := e.Scope
	if answered {
		meant := s.meaning(e, account)
		if l.outcome == 0 {
			l.outcome = meant.Outcome
		}
		if scope == 0 && l.outcome == meant.Outcome {
			scope = meant.Scope
		}
	}
	l.model = upstreamOf(account, t.Model)
	if ailing && l.outcome.Cools() != decide.None {
		l.cooling(s, scope, e, t.Account, w.policy, now)
	}
	return l
}

// meaning reads the upstream's answer by the table; a is nil when the account is not known any more.
func (s *Scheduler) meaning(e *Event, a *pool.Account) Meaning {
	provider := ""
	if a != nil {
		provider = a.Provider
	}
	return s.outcomes.Load().Resolve(provider, e.UpstreamStatus, e.UpstreamCode)
}

// cooling adds the cooldown that the outcome asks for.
func (l *lesson) cooling(s *Scheduler, scope LimitScope, e *Event, account string, p *decide.Policy, now time.Time) {
	until, given := limitEnd(e.RetryAfter, e.ResetAt, p.Longest(), now)
	if !given && l.outcome != OutcomeAuthFailed {
		l.overload = true
		until = now.Add(s.colds.backoff(s.registry.ordinal(account), l.granted, p.Overloaded))
	}
	if c, ok := cooldownOf(l.outcome, scope, l.model, until, p, now); ok {
		l.cool = c
		l.cool.Account = account
		if p.HalfOpen {
			l.cool.Keep = p.Longest() // its probation
		}
	}
}

// limitEnd gives when an upstream's limit ends by what it said: the later of two times, at most `longest` from
// now. It is false when it said nothing, or nothing that lies ahead.
func limitEnd(retryAfter time.Duration, resetAt time.Time, longest time.Duration, now time.Time) (time.Time, bool) {
	end := now
	if retryAfter > 0 {
		end = now.Add(min(retryAfter, longest))
	}
	if resetAt.After(end) {
		end = resetAt
	}
	if most := now.Add(longest); end.After(most) {
		end = most
	}
	return end, end.After(now)
}

// cooldownOf gives the cooldown of an outcome, without its account; false when there is none. until is when
// the limit ends, by what the upstream said or by the backoff.
func cooldownOf(o Outcome, scope LimitScope, model string, until time.Time, p *decide.Policy, now time.Time) (Cooldown, bool) {
	c := Cooldown{Reason: o.Cools()}
	if c.Reason == decide.None {
		return Cooldown{}, false
	}
	if c.Reason == decide.AuthFailed {
		return c, p.AuthFailedPauses // the account as a whole, and no deadline
	}
	if scope == ScopeModel {
		c.Model = model
	}
	if most := now.Add(p.Longest()); until.After(most) {
		until = most
	}
	c.Until = until
	return c, until.After(now)
}

// upstreamOf gives what a model is called at the account's upstream.
func upstreamOf(a *pool.Account, model string) string {
	if a != nil {
		model, _ = a.Models.Map(model)
	}
	return plainModel(model)
}
