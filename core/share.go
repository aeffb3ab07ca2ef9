package core

import (
	"context"
	"sync"
	"time"

	"usher.internal/core/decide"
)

// DefaultShareStatsEvery is how often replicas that share what they learn exchange it.
const DefaultShareStatsEvery = 2 * time.Second

// sharePeriods is for how many exchanges what a replica put stands, and what was heard last counts when no exchange succeeds.
const sharePeriods = 5

// sharing is what the exchange of statistics keeps. What a decision is made by is stats.others.
type sharing struct {
	every time.Duration // 0 is never

	// mu guards what follows, and is held while stats.others is made of it.
	mu sync.Mutex
	// heard is what each other replica told, at a time.
	heard [][]sharedRow
	at    time.Time
}

// crowd is what the other replicas have learned, by ordinal, as of one instant. It is not changed.
type crowd struct {
	at     time.Duration // since the epoch of the stats that have it
	rows   []decide.Crowd
	models [][]modelCrowd
}

// modelCrowd is the first-token times of one upstream model on one account.
type modelCrowd struct {
	model string
	all   decide.Crowd
}

// shareStats exchanges statistics with the other replicas until ctx ends. What they learned before is in force here at most two periods and
// the time of two calls later: one until they put it, one until it is read.
func (s *Scheduler) shareStats(ctx context.Context) {
	news := recurring{Scheduler: s, fails: "statistics are not exchanged with other replicas; it goes on trying", works: "statistics are exchanged with other replicas again"}
	for {
		err := s.exchange(ctx)
		news.ended(ctx, err)
		fired, stop := s.clock.After(s.sharing.every)
		select {
		case <-ctx.Done():
			stop()
			return
		case <-fired:
		}
		stop()
	}
}

// exchange puts what this replica has learned, and takes in what the others put. When it fails, what was heard last counts on for its time.
func (s *Scheduler) exchange(ctx context.Context) error {
	life := sharePeriods * s.sharing.every
	own := writeShared(s.stats.shared(s.registry.ids(), s.registry.current.Load().policy, s.clock.Now()))
	others, err := s.store.ShareStats(ctx, own, life)
	if now := s.clock.Now(); err == nil {
		s.sharing.hear(others, now)
	} else {
		s.sharing.forget(now.Add(-life))
	}
	s.settleOthers()
	return err
}

func (x *sharing) hear(others [][]byte, now time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.heard, x.at = nil, now
	for _, text := range others {
		if rows, ok := readShared(text); ok {
			x.heard = append(x.heard, rows)
		}
	}
}

// forget drops what was heard before a time.
func (x *sharing) forget(before time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.at.After(before) {
		x.heard = nil
	}
}

// settleOthers makes what was heard count for the accounts that there are.
func (s *Scheduler) settleOthers() {
	if s.sharing.every == 0 {
		return
	}
	s.sharing.mu.Lock()
	defer s.sharing.mu.Unlock()
	if len(s.sharing.heard) == 0 {
		s.stats.hear(nil, s.sharing.at)
		return
	}
	w := s.registry.current.Load()
	fading, all := w.policy.Fading(), &crowd{}
	for _, rows := range s.sharing.heard {
		for i := range rows {
			if a, ok := w.set.Lookup(rows[i].id); ok {
				all.add(a.Ordinal, &rows[i], fading)
			}
		}
	}
	s.stats.hear(all, s.sharing.at)
}

func (c *crowd) add(ordinal int, row *sharedRow, fading decide.Fading) {
	for len(c.rows) <= ordinal {
		c.rows = append(c.rows, decide.Crowd{})
	}
	fading.Add(&c.rows[ordinal], &row.stat, row.sampled)
	if len(row.models) == 0 {
		return
	}
	for len(c.models) <= ordinal {
		c.models = append(c.models, nil)
	}
	for i := range row.models {
		m := &row.models[i]
		of := c.find(ordinal, m.model)
		if of == nil && len(c.models[ordinal]) < maxModelStats {
			c.models[ordinal] = append(c.models[ordinal], modelCrowd{model: m.model})
			of = &c.models[ordinal][len(c.models[ordinal])-1].all
		}
		if of != nil {
			fading.Add(of, &m.stat, false)
		}
	}
}

func (c *crowd) find(ordinal int, model string) *decide.Crowd {
	if ordinal < len(c.models) {
		for i := range c.models[ordinal] {
			if c.models[ordinal][i].model == model {
				return &c.models[ordinal][i].all
			}
		}
	}
	return nil
}

// mergeModel merges an upstream model's first-token times.
func (c *crowd) mergeModel(ordinal int32, model string, own *decide.Stat, fading decide.Fading, elapsed time.Duration) {
	if of := c.find(int(ordinal), model); of != nil {
		fading.Merge(own, of, fading.Left(elapsed-c.at), false)
	}
}

// hear takes in what the other replicas have learned, as of a time; nil is nothing.
func (s *stats) hear(others *crowd, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if others != nil {
		if s.epoch.IsZero() {
			s.epoch = at
		}
		others.at = at.Sub(s.epoch)
	}
	s.others = others
}

// mergeLocked merges what this replica has learned of the ordinals with what the others have.
func (s *stats) mergeLocked(ordinals []int32, dst []decide.Stat, fading decide.Fading, now time.Time) {
	if s.others == nil {
		return
	}
	rows, left := s.others.rows, fading.Left(now.Sub(s.epoch)-s.others.at)
	for i, ordinal := range ordinals {
		if int(ordinal) < len(rows) {
			fading.Merge(&dst[i], &rows[ordinal], left, int(ordinal) < len(s.sampled) && s.sampled[ordinal])
		}
	}
}

// shared gives what this replica has learned and not forgotten, the newest first.
func (s *stats) shared(ids []string, p *decide.Policy, now time.Time) []sharedRow {
	s.mu.RLock()
	defer s.mu.RUnlock()
	fading, elapsed := p.Fading(), now.Sub(s.epoch)
	var rows []sharedRow
	for ordinal := range min(len(s.rows), len(ids)) {
		row := sharedRow{id: ids[ordinal], stat: s.rows[ordinal], sampled: s.sampled[ordinal], at: s.at[ordinal]}
		fading.Fade(&row.stat, elapsed-row.at)
		row.sampled = row.sampled && (!fading.On() || row.stat.ErrorWeight > 0)
		if p.TTFTPerModel && ordinal < len(s.models) {
			for _, m := range s.models[ordinal] {
				fading.Fade(&m.stat, elapsed-m.at)
				if m.stat.HasTTFT {
					row.models = append(row.models, sharedModel{m.model, m.stat})
				}
			}
		}
		if row.sampled || row.stat.HasTTFT || len(row.models) > 0 {
			rows = append(rows, row)
		}
	}
	return rows
}
