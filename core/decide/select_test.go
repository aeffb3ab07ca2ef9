package decide_test

import (
	"fmt"
	"testing"
	"time"

	"usher.internal/core/decide"
	"usher.internal/core/internal/conformance"
	"usher.internal/core/pool"
)

// TestSelectRanking runs the load-balance layer of the recorded selects: who is a candidate,
// the skew, and the order in which they are tried.
func TestSelectRanking(t *testing.T) {
	r, err := conformance.Run(testdata, "select", checkSelectRanking)
	if err != nil {
		t.Fatal(err)
	}
	r.File = "select (ranking)"
	t.Log(r)
	if err := r.Err(); err != nil {
		t.Error(err)
	}
	if r.Matched < r.Total/2 {
		t.Errorf("too few records apply: %s", r)
	}
}

func checkSelectRanking(c *conformance.SelectCase) (out conformance.Outcome) {
	start := time.Unix(1_700_000_000, 0)
	switch {
	case c.Expected.Decision.Layer != decide.LayerLoadBalance.String():
		return conformance.Outcome{Skip: "sticky"}
	case c.Has("fault_injection"), c.Has("slot_leak"):
		return conformance.Outcome{Skip: "store"}
	}
	set, err := pool.NewSet(c.Pool(start))
	if err != nil {
		return conformance.Outcome{Differences: []string{err.Error()}}
	}
	request, policy := c.Request.Decide(), c.Policy()
	in := &decide.Input{View: set.View(request.Query()), Request: &request, Policy: &policy, Now: start}
	stats := map[string]decide.Stat{}
	for i := range c.Reports {
		s := &c.Reports[i]
		stats[s.AccountID] = stats[s.AccountID].Observe(!s.Success, s.TTFT(), policy.Alpha)
	}
	for _, n := range in.View.Ordinals() {
		a, load := &c.Accounts[n], decide.Load{}
		if !c.ConcurrencyDisabled {
			load = conformance.Load(a.InUse, a.Waiting, a.MaxConcurrency)
		}
		in.Loads, in.Stats = append(in.Loads, load), append(in.Stats, stats[a.ID])
	}
	if counts, _ := decide.CountReasons(in); counts.Of(decide.ModelLimited) > 0 {
		return conformance.Outcome{Skip: "departure_3_model_limit"}
	}
	return compareRanking(c, in)
}

func compareRanking(c *conformance.SelectCase, in *decide.Input) (out conformance.Outcome) {
	add := func(d ...string) { out.Differences = append(out.Differences, d...) }
	var w decide.Workspace
	w.Rank(in)
	want := &c.Expected.Decision
	if w.CandidateCount() != want.CandidateCount || w.TopK() != want.TopK {
		add(fmt.Sprintf("want %d candidates and top %d, got %d and %d",
			want.CandidateCount, want.TopK, w.CandidateCount(), w.TopK()))
		return out
	}
	add(conformance.DiffBits("load_skew", want.LoadSkew, w.Skew())...)
	anchor := in.Request.Anchor()
	if anchor.Blank() {
		return out
	}
	var order []string
	for _, x := range w.Draw(decide.Seed(anchor, 0)) {
		order = append(order, in.View.Account(int(x.Row)).ID)
	}
	add(conformance.DiffOrder("selection_order", c.Expected.SelectionOrder, order)...)
	return out
}
