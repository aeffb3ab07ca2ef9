package core

import (
	"sync"

	"usher.internal/core/decide"
)

// stats is what reports have taught about accounts, by ordinal.
type stats struct {
	// mu guards what follows.
	mu    sync.RWMutex
	rows  []decide.Stat
	known []bool
	count int
}

// gather fills dst with the statistics of the ordinals.
func (s *stats) gather(ordinals []int32, dst []decide.Stat) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	rows := s.rows
	for i, ordinal := range ordinals {
		if int(ordinal) < len(rows) {
			dst[i] = rows[ordinal]
		} else {
			dst[i] = decide.Stat{}
		}
	}
}

// sample is what one report teaches.
type sample struct {
	// outcome tells that the request's end counts, failed how.
	outcome, failed bool
	// ttft is the time to first token in milliseconds; 0 or less is none.
	ttft float64
}

// observe takes a sample in; alpha is the weight of the newest.
func (s *stats) observe(ordinal int32, sm sample, alpha float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.rows) <= int(ordinal) {
		s.rows = append(s.rows, decide.Stat{})
		s.known = append(s.known, false)
	}
	row := &s.rows[ordinal]
	if sm.outcome {
		*row = row.Observe(sm.failed, sm.ttft, alpha)
	} else {
		*row = row.ObserveTTFT(sm.ttft, alpha)
	}
	if !s.known[ordinal] {
		s.known[ordinal] = true
		s.count++
	}
}

// accounts counts those for which something was observed.
func (s *stats) accounts() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.count
}
