package conformance

import (
	"fmt"
	"slices"
	"strings"
)

// differ collects differences under a path.
type differ struct {
	path string
	out  []string
}

func (d *differ) note(name string, want, got any) {
	d.out = append(d.out, fmt.Sprintf("%s%s: want %v, got %v", d.path, name, want, got))
}

func compare[T comparable](d *differ, name string, want, got T) {
	if want != got {
		d.note(name, want, got)
	}
}

func (d *differ) bits(name string, want, got Bits) {
	if !want.Same(got) {
		d.note(name, want, got)
	}
}

func (d *differ) text(name string, want, got *string) { compare(d, name, show(want), show(got)) }

func show(p *string) string {
	if p == nil {
		return "null"
	}
	return fmt.Sprintf("%q", *p)
}

// DiffResult compares two results. Errors are compared by being there or not, since their
// text is not ours.
func DiffResult(want, got *Result) []string {
	d := &differ{}
	if (want.Error == nil) != (got.Error == nil) {
		d.text("error", want.Error, got.Error)
	}
	w, g := &want.Decision, &got.Decision
	compare(d, "layer", w.Layer, g.Layer)
	compare(d, "sticky_previous_hit", w.StickyPreviousHit, g.StickyPreviousHit)
	compare(d, "sticky_session_hit", w.StickySessionHit, g.StickySessionHit)
	compare(d, "candidate_count", w.CandidateCount, g.CandidateCount)
	compare(d, "top_k", w.TopK, g.TopK)
	d.bits("load_skew", w.LoadSkew, g.LoadSkew)
	d.text("account_id", want.AccountID, got.AccountID)
	compare(d, "acquired", want.Acquired, got.Acquired)
	switch {
	case (want.WaitPlan == nil) != (got.WaitPlan == nil):
		compare(d, "wait_plan", showPlan(want.WaitPlan), showPlan(got.WaitPlan))
	case want.WaitPlan != nil:
		compare(d, "wait_plan", *want.WaitPlan, *got.WaitPlan)
	}
	return append(d.out, DiffOrder("selection_order", want.SelectionOrder, got.SelectionOrder)...)
}

func showPlan(p *WaitPlan) string {
	if p == nil {
		return "null"
	}
	return fmt.Sprintf("%+v", *p)
}

// DiffOrder compares two lists of ids and names the first place where they part.
func DiffOrder(name string, want, got []string) []string {
	for i := range min(len(want), len(got)) {
		if want[i] != got[i] {
			return []string{fmt.Sprintf("%s: at %d want %s, got %s", name, i, want[i], got[i])}
		}
	}
	if len(want) != len(got) {
		return []string{fmt.Sprintf("%s: want %d ids, got %d", name, len(want), len(got))}
	}
	return nil
}

// DiffState compares two states; the order of bindings does not matter.
func DiffState(want, got *State) []string {
	d := &differ{path: "in_use."}
	for _, id := range union(want.InUse, got.InUse) {
		compare(d, id, want.InUse[id], got.InUse[id])
	}
	d.path = ""
	d.bindings("session_bindings", want.SessionBindings, got.SessionBindings)
	d.bindings("response_bindings_local", want.ResponseBindingsLocal, got.ResponseBindingsLocal)
	d.bindings("response_bindings_shared", want.ResponseBindingsShared, got.ResponseBindingsShared)
	return d.out
}

func (d *differ) bindings(name string, want, got []Binding) {
	w, g := byKey(want), byKey(got)
	for _, key := range union(w, g) {
		wanted, there := w[key]
		found, here := g[key]
		switch {
		case there && !here:
			d.note(name+"."+key, wanted, "none")
		case here && !there:
			d.note(name+"."+key, "none", found)
		default:
			compare(d, name+"."+key, wanted, found)
		}
	}
}

func byKey(list []Binding) map[string]string {
	out := make(map[string]string, len(list))
	for _, b := range list {
		key := fmt.Sprintf("%s/%q", show(b.GroupID), b.SessionHash+b.ResponseID)
		out[key] += fmt.Sprintf("account %s for %d ms;", b.AccountID, b.TTLMS)
	}
	return out
}

// DiffMetrics compares the figures at the end.
func DiffMetrics(want, got *Metrics) []string {
	d := &differ{path: "metrics."}
	compare(d, "select_total", want.SelectTotal, got.SelectTotal)
	compare(d, "sticky_previous_hit_total", want.StickyPreviousHits, got.StickyPreviousHits)
	compare(d, "sticky_session_hit_total", want.StickySessionHits, got.StickySessionHits)
	compare(d, "load_balance_select_total", want.LoadBalanceSelects, got.LoadBalanceSelects)
	compare(d, "account_switch_total", want.AccountSwitches, got.AccountSwitches)
	d.bits("sticky_hit_ratio", want.StickyHitRatio, got.StickyHitRatio)
	d.bits("account_switch_rate", want.AccountSwitchRate, got.AccountSwitchRate)
	d.bits("load_skew_avg", want.LoadSkewAvg, got.LoadSkewAvg)
	compare(d, "runtime_stats_account_count", want.RuntimeStatsAccounts, got.RuntimeStatsAccounts)
	return d.out
}

// DiffStats compares statistics by account id.
func DiffStats(want, got []StatEntry) []string {
	d := &differ{}
	w, g := statsByID(want), statsByID(got)
	for _, id := range union(w, g) {
		d.path = "stats." + id + "."
		d.out = append(d.out, diffStat(d.path, w[id], g[id])...)
	}
	return d.out
}

// DiffStat compares one account's statistics.
func DiffStat(want, got StatEntry) []string { return diffStat("", want, got) }

func diffStat(path string, want, got StatEntry) []string {
	d := &differ{path: path}
	d.bits("error_rate", want.ErrorRate, got.ErrorRate)
	compare(d, "has_ttft", want.HasTTFT, got.HasTTFT)
	d.bits("ttft", want.TTFT, got.TTFT)
	return d.out
}

func statsByID(list []StatEntry) map[string]StatEntry {
	out := make(map[string]StatEntry, len(list))
	for _, e := range list {
		out[e.AccountID] = e
	}
	return out
}

// union gives the keys of both, sorted.
func union[V any](a, b map[string]V) []string {
	var keys []string
	for k := range a {
		keys = append(keys, k)
	}
	for k := range b {
		if _, both := a[k]; !both {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, strings.Compare)
	return keys
}

// DiffBits compares two numbers by their bits.
func DiffBits(name string, want Bits, got float64) []string {
	d := &differ{}
	d.bits(name, want, Exact(got))
	return d.out
}
