package core

import (
	"slices"
	"sync"
	"time"
	"unsafe"

	"usher.internal/core/decide"
	"usher.internal/core/pool"
)

// history keeps recent decisions within a number of bytes. A decision that
// balanced load is kept with its inputs, from which the pure decision gives the same verdicts again.
type history struct {
	// mu guards what follows.
	mu sync.Mutex
	// ring holds the records from first on, oldest first.
	ring  []entry
	first int
	count int
	// numbers has each record's own, in the ring's places: a search reads them alone.
	numbers []uint64
	// loads and stats are a ring of the inputs of the records, of one length; head is the next free place, used the number taken.
	loads      []decide.Load
	stats      []decide.Stat
	head, used int
	held       held
}

// entry is one decision; its record is completed from it when it is asked for.
type entry struct {
	record DecisionRecord
	// view is nil when load balancing was not reached.
	view     *pool.View
	policy   *decide.Policy
	now      time.Time
	excluded []string
	seed     uint64
	members  int
	// colds are what was cold, of few rows or of none.
	colds []coldRow
	// at and rows say where the inputs are; lost says that they did not fit.
	at, rows int
	lost     bool
}

const (
	entryBytes = int(unsafe.Sizeof(entry{})) + 4*128 // with a request's strings at their longest
	inputBytes = int(unsafe.Sizeof(decide.Load{}) + unsafe.Sizeof(decide.Stat{}))
)

// newHistory divides the bytes: a quarter for records, half for inputs, a quarter for what records hold besides.
func newHistory(bytes int) *history {
	if bytes < 0 {
		return &history{}
	}
	records := max(bytes/4/entryBytes, 1)
	return &history{
		ring:    make([]entry, records),
		numbers: make([]uint64, records),
		loads:   make([]decide.Load, bytes/2/inputBytes),
		stats:   make([]decide.Stat, bytes/2/inputBytes),
		held:    newHeld(bytes / 4),
	}
}

// push keeps a decision, over the oldest ones.
func (h *history) push(e *entry, loads []decide.Load, stats []decide.Stat) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.ring) == 0 {
		return
	}
	if h.count == len(h.ring) {
		h.dropOldest()
	}
	if e.view != nil {
		h.held.add(e)
		h.fit()
		h.keepInputs(e, loads, stats)
	}
	at := (h.first + h.count) % len(h.ring)
	h.ring[at], h.numbers[at] = *e, e.record.Decision.ID.Seq
	h.count++
}

// keepInputs copies a decision's inputs, in one run.
func (h *history) keepInputs(e *entry, loads []decide.Load, stats []decide.Stat) {
	n := len(loads)
	if n > len(h.loads) {
		e.lost = true
		return
	}
	skipped, around := 0, h.head+n > len(h.loads)
	if around {
		skipped = len(h.loads) - h.head // 0 when the last one ended with the ring
	}
	for h.used+skipped+n > len(h.loads) && h.count > 0 {
		h.dropOldest()
	}
	if h.used == 0 {
		h.head, skipped = 0, 0
	}
	if around {
		h.head = 0
	}
	h.used += skipped + n
	e.at, e.rows = h.head, skipped+n
	copy(h.loads[h.head:], loads)
	copy(h.stats[h.head:], stats[:n])
	h.head += n
}

// fit drops old records until what they hold is within the limit.
func (h *history) fit() {
	for h.held.over() && h.count > 0 {
		h.dropOldest()
	}
}

// current tells which set is alive without the history.
func (h *history) current(set *pool.Set) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.held.current = set
	h.fit()
}

func (h *history) dropOldest() {
	e := &h.ring[h.first]
	h.used -= e.rows
	if e.view != nil {
		h.held.remove(e)
	}
	*e, h.numbers[h.first] = entry{}, 0
	h.first = (h.first + 1) % len(h.ring)
	h.count--
}

// list gives decisions that pass, newest first.
func (h *history) list(f DecisionFilter) []DecisionRecord {
	limit := f.Limit
	if limit <= 0 {
		limit = 50
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []DecisionRecord
	for i := h.count - 1; i >= 0 && len(out) < limit; i-- {
		if r := &h.ring[(h.first+i)%len(h.ring)].record; f.passes(r) {
			out = append(out, *r)
		}
	}
	return out
}

func (f *DecisionFilter) passes(r *DecisionRecord) bool {
	return (f.Group == "" || f.Group == r.Group) &&
		(f.Account == "" || f.Account == r.Account) &&
		(!f.ByLayer || f.Layer == r.Decision.Layer) &&
		(f.Outcome == 0 || f.Outcome == r.Outcome)
}

// find gives a copy of a kept decision with its inputs.
func (h *history) find(id DecisionID) (e entry, loads []decide.Load, stats []decide.Stat, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	at := slices.Index(h.numbers, id.Seq)
	if id.Seq == 0 || at < 0 || h.ring[at].record.Decision.ID != id {
		return entry{}, nil, nil, false
	}
	e = h.ring[at]
	if e.view != nil && !e.lost {
		to := e.at + e.view.Len()
		loads, stats = slices.Clone(h.loads[e.at:to]), slices.Clone(h.stats[e.at:to])
	}
	return e, loads, stats, true
}

// explain gives a kept decision with a verdict per account.
func (h *history) explain(id DecisionID) (*Explanation, error) {
	e, loads, stats, ok := h.find(id)
	if !ok {
		return nil, &Error{Kind: KindDecisionUnknown, Text: "decision " + id.String() + " is not kept on this replica"}
	}
	x := &Explanation{Record: e.record, Weights: e.policy.Weights, Seed: e.seed, NotLookedAt: e.members}
	if e.view == nil || e.lost {
		return x, nil
	}
	q := e.view.Query()
	in := decide.Input{
		View: e.view, Loads: loads, Stats: stats, Policy: e.policy, Now: e.now,
		Colds:   e.allColds(),
		Request: &decide.Request{Group: q.Group, Model: q.Model, Provider: q.Provider, Transport: q.Transport, Excluded: e.excluded},
	}
	var w decide.Workspace
	w.Rank(&in)
	var drawn []decide.Candidate
	if w.CandidateCount() > 0 {
		drawn = w.Draw(e.seed)
	}
	x.Record.Decision.Verdicts = decide.Explain(&in, drawn)
	x.NotLookedAt = 0
	return x, nil
}
