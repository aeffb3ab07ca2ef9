package decide

import (
	"strings"
	"time"

	"usher.internal/core/pool"
)

// judge makes every check but the caller's exclusions, in the order that decides
// what becomes of a binding. upstream and mapped are the model's mapping on a.
func judge(a *pool.Account, f *Fitness, upstream string, mapped bool, now time.Time) (Reason, time.Time) {
	if f.Layer == LayerResponse && f.ResponseTransports != 0 && !a.Transports.Intersects(f.ResponseTransports) {
		return ResponseTransport, time.Time{}
	}
	if r := judgeStanding(a, f, now); r != None {
		return r, time.Time{}
	}
	if now.Before(a.TempUnschedulableUntil) {
		return TempUnschedulable, a.TempUnschedulableUntil
	}
	if until, limited := modelLimit(a, upstream, now); limited {
		return ModelLimited, until
	}
	switch {
	case !mapped:
		return ModelUnmapped, time.Time{}
	case !a.Transports.Serve(f.Query.Transport):
		return Transport, time.Time{}
	case now.Before(a.OverloadedUntil):
		return Overloaded, a.OverloadedUntil
	case now.Before(a.RateLimitedUntil):
		return RateLimited, a.RateLimitedUntil
	case !a.InGroup(f.Query.Group):
		return OutsideGroup, time.Time{}
	case a.AutoPauseOnExpired && passed(a.ExpiresAt, now):
		return Expired, time.Time{}
	case a.Status != pool.StatusActive:
		return StatusUnknown, time.Time{}
	}
	return None, time.Time{}
}

// judgeStanding checks what no deadline ends.
func judgeStanding(a *pool.Account, f *Fitness, now time.Time) Reason {
	switch {
	case !a.Serves(f.Query.Provider):
		return Provider
	case a.Status == pool.StatusError:
		return StatusError
	case a.Status == pool.StatusDisabled:
		return StatusDisabled
	}
	switch a.State {
	case pool.Active:
	case pool.Paused:
		return Paused
	case pool.Draining:
		if f.Layer == LayerLoadBalance || passed(a.DrainUntil, now) {
			return Draining
		}
	default:
		return StateDisabled
	}
	if a.Unschedulable {
		return Unschedulable
	}
	return None
}

func modelLimit(a *pool.Account, upstream string, now time.Time) (time.Time, bool) {
	if len(a.ModelLimits) == 0 {
		return time.Time{}, false
	}
	until, ok := a.ModelLimits[strings.TrimSpace(upstream)]
	return until, ok && now.Before(until)
}

// passed tells that a deadline is set and over.
func passed(deadline, now time.Time) bool { return !deadline.IsZero() && !now.Before(deadline) }
