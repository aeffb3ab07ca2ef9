package decide

import "math"

// prepare takes the input over and makes room for a view of its size.
func (w *Workspace) prepare(in *Input) {
	n := in.View.Len()
	w.in = *in
	w.loads, w.stats = in.Loads, in.Stats
	if len(w.loads) < n {
		w.noLoads = sized(w.noLoads, n)
		w.loads = w.noLoads
	}
	if len(w.stats) < n {
		w.noStats = sized(w.noStats, n)
		w.stats = w.noStats
	}
	w.loads, w.stats = w.loads[:n], w.stats[:n]
	if w.colds = nil; len(in.Colds) >= n {
		w.colds = in.Colds
	}
	w.candidates, w.probed = sized(w.candidates, n), -1
	w.scores = sized(w.scores, n)
	w.spread = newSpread()
	w.spread.fading = in.Policy.HalfLife > 0
}

// markExcluded marks the caller's exclusions, so that each row costs one look; false when there are none.
func (w *Workspace) markExcluded() bool {
	excluded := w.in.Request.Excluded
	if len(excluded) == 0 {
		return false
	}
	set := w.in.View.Set()
	if len(w.marks) < set.Len() {
		w.marks, w.mark = make([]uint32, set.Len()), 0
	}
	w.mark++
	if w.mark == 0 { // the old marks have come round
		clear(w.marks)
		w.mark = 1
	}
	found := false
	for _, id := range excluded {
		if i, ok := set.Index(id); ok {
			w.marks[i] = w.mark
			found = true
		}
	}
	return found
}

// takeAll makes every row a candidate.
func (w *Workspace) takeAll() {
	rows := w.in.View.Rows()
	loads, stats, candidates := w.loads[:len(rows)], w.stats[:len(rows)], w.candidates[:len(rows)]
	s := w.spread
	for i := range rows {
		candidates[i] = int32(i)
		s.add(rows[i].Priority, &loads[i], &stats[i])
	}
	w.spread = s
}

// filter makes a candidate of every row that no check excludes.
func (w *Workspace) filter(marked bool) {
	view := w.in.View
	rows := view.Rows()
	fitness := w.in.Request.Fitness(LayerLoadBalance, w.in.Policy)
	n := 0
	for i := range rows {
		row := &rows[i]
		if marked && w.marks[row.Index] == w.mark {
			continue
		}
		var cold *Cold
		if w.colds != nil {
			cold = w.colds[i]
		}
		if !row.Quiet || cold != nil {
			if r, _ := judge(view.Account(i), cold, &fitness, view.Upstream(i), true, w.in.Now); r != None {
				continue
			}
		}
		if cold != nil && w.probing(w.loads, int32(i)) {
			if w.probed < 0 || w.loads[i].Waiting < w.loads[w.probed].Waiting {
				w.probed = int32(i)
			}
			continue
		}
		w.candidates[n] = int32(i)
		n++
		w.spread.add(row.Priority, &w.loads[i], &w.stats[i])
	}
	w.candidates = w.candidates[:n]
}

// score computes each candidate's score and keeps the best.
func (w *Workspace) score() {
	rows, s, weights := w.in.View.Rows(), w.spread, w.in.Policy.Weights
	loads, stats, scores := w.loads[:len(rows)], w.stats[:len(rows)], w.scores[:len(w.candidates)]
	bar := math.Inf(-1) // what the worst of a full top has
	for n, i := range w.candidates {
		l, st := &loads[i], &stats[i]
		score := float64(weights.Priority*s.priority(rows[i].Priority)) +
			float64(weights.Load*load(l.rate())) +
			float64(weights.Queue*s.queue(l.Waiting)) +
			float64(weights.ErrorRate*(1-clamp01(st.errorRate()))) +
			float64(weights.TTFT*s.ttft(st))
		scores[n] = score
		if score >= bar {
			bar = w.insert(&w.best, scored{score, i})
		}
	}
}

// weigh sums up the candidates' error samples.
func (w *Workspace) weigh() {
	s := w.spread
	for _, i := range w.candidates {
		s.weigh(&w.stats[i])
	}
	w.spread = s
}

// scoreFading is score where samples have a weight.
func (w *Workspace) scoreFading() {
	rows, s, weights := w.in.View.Rows(), w.spread, w.in.Policy.Weights
	loads, stats, scores := w.loads[:len(rows)], w.stats[:len(rows)], w.scores[:len(w.candidates)]
	bar := math.Inf(-1)
	for n, i := range w.candidates {
		l, st := &loads[i], &stats[i]
		score := float64(weights.Priority*s.priority(rows[i].Priority)) +
			float64(weights.Load*load(l.rate())) +
			float64(weights.Queue*s.queue(l.Waiting)) +
			float64(weights.ErrorRate*s.fadedErrorRate(st)) +
			float64(weights.TTFT*s.fadedTTFT(st))
		scores[n] = score
		if score >= bar {
			bar = w.insert(&w.best, scored{score, i})
		}
	}
}
