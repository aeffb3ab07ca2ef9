package core

import (
	"math"
	"strings"
	"sync"
	"time"

	"usher.internal/core/decide"
	"usher.internal/core/pool"
)

// maxModelStats bounds the models of one account that have statistics: their names come from callers.
const maxModelStats = 16

// stats is what reports have taught about accounts, by ordinal.
type stats struct {
	// mu guards what follows.
	mu   sync.RWMutex
	rows []decide.Stat
	// at is when each row was as it stands, since epoch: the time of the first report.
	at    []time.Duration
	epoch time.Time
	// models are the accounts' upstream models, only where a policy asks for them.
	models [][]modelStat
	known  []bool
	// sampled tells of which accounts an outcome was learned: an error rate of 0 is not told from none otherwise.
	sampled []bool
	count   int
	// others is what other replicas have learned; nil when that is nobody's affair here.
	others *crowd
}

// modelStat is the first-token times of one upstream model on one account.
type modelStat struct {
	model string
	stat  decide.Stat
	at    time.Duration
}

// gather fills dst with the statistics of the ordinals, as they have faded until now.
func (s *stats) gather(ordinals []int32, dst []decide.Stat, p *decide.Policy, now time.Time) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	s.gatherLocked(ordinals, dst, p, now)
	s.mergeLocked(ordinals, dst, p.Fading(), now)
}

// gatherView is gather for a view's rows, with the first-token times of their upstream models where the policy says so.
func (s *stats) gatherView(v *pool.View, dst []decide.Stat, p *decide.Policy, now time.Time) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	s.gatherLocked(v.Ordinals(), dst, p, now)
	fading, elapsed := p.Fading(), now.Sub(s.epoch)
	s.mergeLocked(v.Ordinals(), dst, fading, now)
	if !p.TTFTPerModel {
		return
	}
	asked, model := "", ""
	for i, ordinal := range v.Ordinals() {
		if upstream := v.Upstream(i); upstream != asked {
			asked, model = upstream, plainModel(upstream)
		}
		var of decide.Stat
		if int(ordinal) < len(s.models) {
			if m := findModel(s.models[ordinal], model); m != nil {
				of = m.stat
				fading.Fade(&of, elapsed-m.at)
			}
		}
		if s.others != nil {
			s.others.mergeModel(ordinal, model, &of, fading, elapsed)
		}
		dst[i].TTFT, dst[i].TTFTWeight, dst[i].HasTTFT = of.TTFT, of.TTFTWeight, of.HasTTFT
	}
}

func (s *stats) gatherLocked(ordinals []int32, dst []decide.Stat, p *decide.Policy, now time.Time) {
	rows, at := s.rows, s.at
	fading := p.Fading()
	if !fading.On() {
		for i, ordinal := range ordinals {
			if int(ordinal) < len(rows) {
				dst[i] = rows[ordinal]
			} else {
				dst[i] = decide.Stat{}
			}
		}
		return
	}
	elapsed := now.Sub(s.epoch)
	for i, ordinal := range ordinals {
		if int(ordinal) < len(rows) {
			dst[i] = rows[ordinal]
			fading.Fade(&dst[i], elapsed-at[ordinal])
		} else {
			dst[i] = decide.Stat{}
		}
	}
}

func findModel(models []modelStat, name string) *modelStat {
	for i := range models {
		if models[i].model == name {
			return &models[i]
		}
	}
	return nil
}

func silentLongest(models []modelStat) *modelStat {
	longest := &models[0]
	for i := range models {
		if models[i].at < longest.at {
			longest = &models[i]
		}
	}
	return longest
}

// sample is what one report teaches.
type sample struct {
	// outcome tells that the request's end counts, failed how.
	outcome, failed bool
	// ttft is the time to first token in milliseconds; 0 or less is none.
	ttft float64
	// model is the upstream model; read only where the policy keeps times per model.
	model string
}

// observe takes a sample in.
func (s *stats) observe(ordinal int32, sm sample, p *decide.Policy, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.makeRoomLocked(ordinal)
	if s.epoch.IsZero() {
		s.epoch = now
	}
	fading, elapsed := p.Fading(), now.Sub(s.epoch)
	row := s.rows[ordinal]
	fading.Fade(&row, elapsed-s.at[ordinal])
	if sm.outcome {
		s.sampled[ordinal] = true
		row = fading.Observe(row, sm.failed, sm.ttft, p.Alpha)
	} else {
		row = fading.ObserveTTFT(row, sm.ttft, p.Alpha)
	}
	s.rows[ordinal], s.at[ordinal] = row, max(elapsed, s.at[ordinal])
	if p.TTFTPerModel && sm.ttft > 0 {
		s.observeModelLocked(ordinal, sm, p, elapsed)
	}
	if !s.known[ordinal] {
		s.known[ordinal] = true
		s.count++
	}
}

// observeModelLocked keeps a first-token time of a model, in the place of the one that was silent for longest if it must.
func (s *stats) observeModelLocked(ordinal int32, sm sample, p *decide.Policy, elapsed time.Duration) {
	for len(s.models) <= int(ordinal) {
		s.models = append(s.models, nil)
	}
	models := &s.models[ordinal]
	m := findModel(*models, sm.model)
	if m == nil {
		if len(*models) < maxModelStats {
			*models = append(*models, modelStat{at: math.MinInt64})
		}
		m = silentLongest(*models)
		*m = modelStat{model: strings.Clone(sm.model), at: elapsed}
	}
	fading := p.Fading()
	fading.Fade(&m.stat, elapsed-m.at)
	m.stat = fading.ObserveTTFT(m.stat, sm.ttft, p.Alpha)
	m.at = max(elapsed, m.at)
}

func (s *stats) makeRoomLocked(ordinal int32) {
	for len(s.rows) <= int(ordinal) {
		s.rows = append(s.rows, decide.Stat{})
		s.at = append(s.at, 0)
		s.known = append(s.known, false)
		s.sampled = append(s.sampled, false)
	}
}

// accounts counts those for which something was observed.
func (s *stats) accounts() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.count
}
