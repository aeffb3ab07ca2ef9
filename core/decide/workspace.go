package decide

import (
	"math"
	"time"

	"usher.internal/core/pool"
)

// Input is everything a load-balance decision depends on.
type Input struct {
	View    *pool.View // for Request.Query()
	Loads   []Load     // aligned with the view's rows; nil is no load at all
	Stats   []Stat     // aligned with the view's rows; nil is no samples at all
	Colds   []*Cold    // aligned with the view's rows; nil is no account cold
	Request *Request
	Policy  *Policy
	Now     time.Time
}

// Workspace ranks and draws in memory that it reuses: once it has seen a view's size
// it allocates nothing. It is not safe for concurrent use, and keeps its last input
// alive until Reset. A slice that a method returns is valid until that method or Rank is called again.
type Workspace struct {
	in    Input
	loads []Load // in.Loads, or zeros
	stats []Stat
	colds []*Cold // in.Colds, or nil when no row has any

	marks []uint32 // by place in the set: == mark is excluded by the caller
	mark  uint32

	spread     spread
	candidates []int32 // rows, in listing order
	probed     int32   // the row with the fewest waiters that is no candidate for its probe alone, -1 for none
	scores     []float64
	best       best
	top        []Candidate
	drawn      []Candidate
	drawer     drawer
	rest       []Candidate
	noLoads    []Load
	noStats    []Stat
}

// Rank filters, scores and selects the best. Its result is read by the other methods.
func (w *Workspace) Rank(in *Input) {
	w.prepare(in)
	if marked := w.markExcluded(); marked || w.colds != nil || !in.View.Quiet() {
		w.filter(marked)
	} else {
		w.takeAll()
	}
	fading := w.spread.fading
	if fading {
		w.weigh()
	}
	w.spread.close()
	k := in.Policy.Limit(w.spread.count)
	w.best = best{list: w.best.list[:0], k: k}
	if fading {
		w.scoreFading()
	} else {
		w.score()
	}
	w.top = w.finish(&w.best, w.top)
}

// NeedsProbe tells that a row may be taken as a probe alone, which the policy asks for.
func (w *Workspace) NeedsProbe(row int32) bool {
	return w.colds != nil && w.in.Policy.HalfOpen && NeedsProbe(w.colds[row], w.in.View.Upstream(int(row)), w.in.Now)
}

func (w *Workspace) probing(loads []Load, row int32) bool {
	return len(w.colds) > 0 && AwaitsProbe(&loads[row], w.colds[row], w.in.View.Upstream(int(row)), w.in.Policy, w.in.Now)
}

// Probing gives the row with the fewest waiters of those that are no candidates because their probe is out; false without any.
func (w *Workspace) Probing() (row int32, some bool) { return w.probed, w.probed >= 0 }

// HasRoom tells whether a row could be taken by these loads, which are aligned with the view's rows.
func (w *Workspace) HasRoom(loads []Load, row int32) bool {
	limit := w.in.View.Rows()[row].Limit
	return (limit <= 0 || loads[row].InUse < limit) && !w.probing(loads, row)
}

// CandidateCount gives the number of accounts that passed every check.
func (w *Workspace) CandidateCount() int { return w.spread.count }

// TopK gives the number of candidates that are drawn from.
func (w *Workspace) TopK() int { return len(w.top) }

// Skew gives the population standard deviation of the candidates' load rates, in percentage points.
func (w *Workspace) Skew() float64 { return w.spread.skew() }

// Top gives the best candidates in rank order.
func (w *Workspace) Top() []Candidate { return w.top }

// Draw gives the best candidates in an order drawn without replacement, by weight
// score − lowest + 1. The same seed gives the same order.
func (w *Workspace) Draw(seed uint64) []Candidate {
	w.drawer.draw(w.top, seed)
	w.drawn = sized(w.drawn, len(w.top))
	for n, i := range w.drawer.order {
		w.drawn[n] = w.top[i]
	}
	return w.drawn
}

// Rest gives the candidates outside Top that have room, in rank order, at most `most`
// of them (≤ 0 is all). loads, aligned with the view's rows, says who has room; nil is the
// loads that were ranked. Scores stay those of Rank.
func (w *Workspace) Rest(loads []Load, most int) []Candidate {
	if len(loads) < len(w.loads) {
		loads = w.loads
	}
	others := w.spread.count - len(w.top)
	if most <= 0 || most > others {
		most = others
	}
	if most == 0 || len(w.top) == 0 {
		return nil
	}
	w.best = best{list: w.best.list[:0], k: most}
	last, bar := w.lastOfTop(), math.Inf(-1)
	for n, i := range w.candidates {
		e := scored{w.scores[n], i}
		if e.score > last.score || e.score < bar || !w.HasRoom(loads, i) {
			continue
		}
		if w.outranks(last, e) {
			bar = w.insert(&w.best, e)
		}
	}
	w.rest = w.finish(&w.best, w.rest)
	return w.rest
}

func (w *Workspace) lastOfTop() scored {
	c := &w.top[len(w.top)-1]
	return scored{c.Score, c.Row}
}

// Reset forgets the last input and keeps the memory.
func (w *Workspace) Reset() {
	w.in, w.loads, w.stats, w.colds = Input{}, nil, nil, nil
	w.spread, w.candidates = spread{}, w.candidates[:0]
	w.top, w.drawn, w.rest = w.top[:0], w.drawn[:0], w.rest[:0]
}

func (w *Workspace) candidate(e scored) Candidate {
	r, l := &w.in.View.Rows()[e.row], &w.loads[e.row]
	return Candidate{
		Score: e.score, LoadRate: l.rate(), Priority: r.Priority,
		Row: e.row, Ordinal: r.Ordinal, Waiting: l.Waiting, idRank: r.IDRank,
	}
}

// sized gives a slice of length n over s's memory if that holds it.
func sized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
