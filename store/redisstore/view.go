package redisstore

import (
	"context"
	"math"
	"sync/atomic"
	"time"

	"usher.internal/core"
)

// LoadView is what load balancing that no binding precedes decides by.
type LoadView uint8

const (
	// Fresh means: by loads that are asked for, which costs a round trip before the one that takes.
	Fresh LoadView = iota
	// Cached means: by the loads that came with another answer, at most CachedMost old. A view that is out of date costs
	// another attempt, never a slot too many.
	Cached
)

// CachedMost is how old loads may be that a Select decides by under Cached.
const CachedMost = 50 * time.Millisecond

// refreshAfter is how old the loads get before an answer that is on its way anyhow brings them.
const refreshAfter = 5 * time.Millisecond

// recent are the loads that came last.
type recent struct{ kept atomic.Pointer[recentLoads] }

type recentLoads struct {
	known *table
	loads string
	at    time.Time
}

func (r *recent) keep(known *table, loads string, now time.Time) {
	if loads != "" {
		r.kept.Store(&recentLoads{known, loads, now})
	}
}

func (r *recent) age(now time.Time) time.Duration {
	if k := r.kept.Load(); k != nil {
		return now.Sub(k.at)
	}
	return math.MaxInt64
}

// precedesNothing tells that a take is there for the loads alone: there is no binding to take, nor anything that a newcomer may
// have had before.
func precedesNothing(asked *core.BoundTake) bool {
	g := &asked.Grant
	return asked.Response == (core.BindingKey{}) && asked.Session == (core.BindingKey{}) && g.Request == (core.RequestKey{}) &&
		g.TenantCap <= 0 && !g.InLine
}

// cached answers such a take by the loads that came last, if they are young enough.
func (s *Store) cached(asked *core.BoundTake) bool {
	if s.opts.LoadView != Cached || asked.DryRun || !precedesNothing(asked) {
		return false
	}
	k := s.recent.kept.Load()
	if k == nil || k.known != s.table.Load() || s.clock.Now().Sub(k.at) > CachedMost {
		return false
	}
	k.known.fill(k.loads, asked.Ordinals, asked.Loads)
	return true
}

// look answers such a take by the loads of now. All who look at one instant are answered by one reading.
func (s *Store) look(ctx context.Context, asked *core.BoundTake) error {
	a, err := s.do(ctx, 0, func(_ *table, o *op) { o.loads = true })
	if err == nil {
		a.known.fill(a.loads, asked.Ordinals, asked.Loads)
	}
	return err
}
