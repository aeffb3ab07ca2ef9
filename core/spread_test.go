package core_test

import (
	"fmt"
	"testing"

	"usher.internal/core"
	"usher.internal/core/decide"
)

// chiSquare gives Pearson's statistic of counts against even ones.
func chiSquare(counts map[string]int, cells int) float64 {
	total := 0
	for _, n := range counts {
		total += n
	}
	want, sum := float64(total)/float64(cells), 0.0
	for _, n := range counts {
		sum += (float64(n) - want) * (float64(n) - want) / want
	}
	return sum + float64(cells-len(counts))*want
}

// critical is the χ² value that 6 degrees of freedom exceed once in 1000.
const critical = 22.458

// TestTimeEntropySpreads: without an anchor, equal accounts are chosen evenly, in the first place and in the next.
func TestTimeEntropySpreads(t *testing.T) {
	const accounts, rounds = 7, 7000
	h := newHouse(t, plain(accounts, 0), with(func(o *core.Options) { o.Entropy, o.HistoryBytes = seeded(42), -1 }))
	first, second, pairs := map[string]int{}, map[string]int{}, map[string]int{}
	for range rounds {
		sel := h.take(core.Request{Group: "main", Model: "gpt-5", DryRun: true, Alternates: 1})
		next := sel.Alternates[0].Account.ID
		first[sel.Account.ID]++
		second[next]++
		pairs[sel.Account.ID+next]++
	}
	for name, counts := range map[string]map[string]int{"first": first, "second": second} {
		if x := chiSquare(counts, accounts); x > critical {
			t.Errorf("%s choice: χ² = %.1f > %v: %v", name, x, critical, counts)
		}
	}
	// 41 degrees of freedom, once in 1000.
	if x := chiSquare(pairs, accounts*(accounts-1)); x > 74.7 {
		t.Errorf("pairs: χ² = %.1f: %v", x, pairs)
	}
}

// TestBlankAnchorsAreBlank: white space is no anchor, so these spread too.
func TestBlankAnchorsAreBlank(t *testing.T) {
	h := newHouse(t, plain(7, 0))
	seen := map[string]bool{}
	for range 100 {
		seen[h.take(core.Request{Group: "main", SessionHash: " ", PreviousResponseID: "\t", DryRun: true}).Account.ID] = true
	}
	if len(seen) != 7 {
		t.Errorf("chosen: %v", seen)
	}
}

// TestSameAnchorSameOrder: a conversation's order of preference is stable, whatever the entropy; each part of the anchor changes it.
func TestSameAnchorSameOrder(t *testing.T) {
	accounts := plain(7, 0)
	for i := range accounts {
		accounts[i].Groups = []string{"main", "second"}
	}
	h := newHouse(t, accounts)
	other := newHouse(t, accounts, with(func(o *core.Options) { o.Entropy = seeded(99) }))
	order := func(h *house, req core.Request) string {
		req.DryRun, req.Alternates = true, 6
		sel := h.take(req)
		return fmt.Sprint(sel.Account.ID, ids(sel.Alternates))
	}
	base := core.Request{Group: "main", SessionHash: "conversation", PreviousResponseID: "resp", Model: "gpt-5"}
	want := order(h, base)
	for range 20 {
		if got := order(h, base); got != want {
			t.Fatalf("order %s, before %s", got, want)
		}
	}
	if got := order(other, base); got != want {
		t.Errorf("another replica's order %s, want %s", got, want)
	}
	for name, change := range map[string]func(*core.Request){
		"session":  func(r *core.Request) { r.SessionHash = "conversation 2" },
		"response": func(r *core.Request) { r.PreviousResponseID = "resp 2" },
		"model":    func(r *core.Request) { r.Model = "gpt-4" },
		"group":    func(r *core.Request) { r.Group = "second" },
	} {
		changed := base
		change(&changed)
		if got := order(h, changed); got == want {
			t.Errorf("another %s gives the same order %s", name, got)
		}
	}
	// One anchor alone is enough to be stable.
	for _, req := range []core.Request{inSession("s"), afterResponse("r")} {
		if a, b := order(h, req), order(other, req); a != b {
			t.Errorf("orders %s and %s", a, b)
		}
	}
}

// TestAnchorsSpread: many conversations together use equal accounts evenly.
func TestAnchorsSpread(t *testing.T) {
	h := newHouse(t, plain(7, 0), with(func(o *core.Options) { o.HistoryBytes = -1 }))
	counts := map[string]int{}
	for i := range 7000 {
		req := inSession(fmt.Sprint("conversation ", i))
		req.DryRun = true
		counts[h.chooses7(req)]++
	}
	if x := chiSquare(counts, 7); x > critical {
		t.Errorf("χ² = %.1f: %v", x, counts)
	}
}

func (h *house) chooses7(req core.Request) string {
	answer := h.ask(req)
	if answer.Selection == nil || answer.Decision.Layer != decide.LayerLoadBalance || answer.Decision.TopK != 7 {
		h.tb.Fatal(describe(answer))
	}
	return answer.Selection.Account.ID
}
