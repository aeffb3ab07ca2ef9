package redisstore

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
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

// loads are those of all accounts at one instant, for everybody who asked for them then.
type loads struct {
	known *table
	text  string
	once  sync.Once
	// each are those of the places; once makes them.
	each []decide.Load
}

// fill reads the loads of ordinals; one that is not known has none, and nobody has when there are no loads.
func (l *loads) fill(ordinals []int32, out []decide.Load) {
	if l == nil {
		clear(out[:min(len(ordinals), len(out))])
		return
	}
	l.once.Do(l.parse)
	for i := range min(len(ordinals), len(out)) {
		if place := l.known.place(ordinals[i]); place >= 0 && int(place) < len(l.each) {
			out[i] = l.each[place]
		} else {
			out[i] = decide.Load{}
		}
	}
}

// parse reads all of the server's string.
func (l *loads) parse() {
	if len(l.text) < headSize {
		return
	}
	l.each = make([]decide.Load, (len(l.text)-headSize)/loadWidth)
	for i, rest := 0, l.text[headSize:]; i < len(l.each); i, rest = i+1, rest[loadWidth:] {
		use, wait, limit := number64(rest), number64(rest[3:]), number64(rest[6:])
		if limit == unlisted {
			limit = 0
		}
		l.each[i] = decide.Load{InUse: use, Waiting: wait, Rate: decide.LoadRate(use, wait, limit), Probing: rest[9] > '0'}
	}
}

// waiting gives how many wait for the account of a place.
func (l *loads) waiting(place int64) int {
	if l == nil {
		return 0
	}
	if l.once.Do(l.parse); place < 0 || place >= int64(len(l.each)) {
		return 0
	}
	return int(l.each[place].Waiting)
}

// recent are the loads that came last.
type recent struct{ kept atomic.Pointer[recentLoads] }

type recentLoads struct {
	*loads
	at time.Time
}

// keep keeps loads that an answer brought; nil when it brought none.
func (r *recent) keep(known *table, text string, now time.Time) *loads {
	if text == "" {
		return nil
	}
	l := &loads{known: known, text: text}
	r.kept.Store(&recentLoads{l, now})
	return l
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
	k.fill(asked.Ordinals, asked.Loads)
	return true
}

// look answers such a take by the loads of now. All who look at one instant are answered by one reading.
func (s *Store) look(ctx context.Context, asked *core.BoundTake) error {
	a, err := s.do(ctx, s.opts.Budget, 0, func(_ *table, o *op) { o.loads = true })
	if err == nil {
		a.loads.fill(asked.Ordinals, asked.Loads)
	}
	return err
}
