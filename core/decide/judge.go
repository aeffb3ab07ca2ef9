package decide

import (
	"strings"
	"time"

	"usher.internal/core/pool"
)

// judge makes every check but the caller's exclusions, in the order that decides
// what becomes of a binding. upstream and mapped are the model's mapping on a.
func judge(a *pool.Account, c *Cold, f *Fitness, upstream string, mapped bool, now time.Time) (Reason, time.Time) {
	if f.Layer == LayerResponse && f.ResponseTransports != 0 && !a.Transports.Intersects(f.ResponseTransports) {
		return ResponseTransport, time.Time{}
	}
	if r := judgeStanding(a, c, f, now); r != None {
		return r, time.Time{}
	}
	if now.Before(a.TempUnschedulableUntil) {
		return TempUnschedulable, a.TempUnschedulableUntil
	}
	if until, limited := modelLimit(a, c, upstream, now); limited {
		return ModelLimited, until
	}
	switch {
	case !mapped:
		return ModelUnmapped, time.Time{}
	case !a.Transports.Serve(f.Query.Transport):
		return Transport, time.Time{}
	case now.Before(a.OverloadedUntil) || c != nil && c.cools(Overloaded, now):
		return Overloaded, latest(a.OverloadedUntil, c.end(Overloaded))
	case now.Before(a.RateLimitedUntil) || c != nil && c.cools(RateLimited, now):
		return RateLimited, latest(a.RateLimitedUntil, c.end(RateLimited))
	case c != nil && c.cools(QuotaExhausted, now):
		return QuotaExhausted, c.end(QuotaExhausted)
	case !a.InGroup(f.Query.Group):
		return OutsideGroup, time.Time{}
	case a.AutoPauseOnExpired && passed(a.ExpiresAt, now):
		return Expired, time.Time{}
	case a.Status != pool.StatusActive:
		return StatusUnknown, time.Time{}
	case f.HalfOpen && f.Layer != LayerLoadBalance && NeedsProbe(c, upstream, now):
		return Probing, time.Time{}
	}
	return None, time.Time{}
}

// judgeStanding checks what no deadline ends.
func judgeStanding(a *pool.Account, c *Cold, f *Fitness, now time.Time) Reason {
	switch {
	case !a.Serves(f.Query.Provider):
		return Provider
	case a.Status == pool.StatusError:
		return StatusError
	case a.Status == pool.StatusDisabled:
		return StatusDisabled
	}
	switch a.State {
	case pool.Active, pool.Draining:
	case pool.Paused:
		return Paused
	default:
		return StateDisabled
	}
	switch {
	case c.AuthFailed():
		return AuthFailed
	case a.State == pool.Draining && (f.Layer == LayerLoadBalance || passed(a.DrainUntil, now)):
		return Draining
	case a.Unschedulable:
		return Unschedulable
	}
	return None
}

// modelLimit tells that the model is limited on the account, and until when.
func modelLimit(a *pool.Account, c *Cold, upstream string, now time.Time) (time.Time, bool) {
	if len(a.ModelLimits) == 0 && c.Models() == 0 {
		return time.Time{}, false
	}
	until := latest(a.ModelLimits[strings.TrimSpace(upstream)], c.Model(upstream).Until)
	return until, now.Before(until)
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// passed tells that a deadline is set and over.
func passed(deadline, now time.Time) bool { return !deadline.IsZero() && !now.Before(deadline) }
