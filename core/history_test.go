package core_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/core/pool"
)

const historyBytes = 2 << 20

// heapAfter gives what stays on the heap after work with a history of so many bytes.
func heapAfter(t *testing.T, bytes int, work func(h *house)) int {
	t.Helper()
	before := liveHeap()
	h := newHouse(t, nil, with(func(o *core.Options) { o.HistoryBytes = bytes }))
	work(h)
	after := liveHeap()
	runtime.KeepAlive(h)
	return after - before
}

func liveHeap() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// TestHistoryIsBounded: whatever decisions hold (inputs, views, older accounts, excluded ids), the
// history costs about what it may.
func TestHistoryIsBounded(t *testing.T) {
	look := func(h *house, i int, model string, excluded []string) {
		h.ask(core.Request{
			Group: "main", Model: model, DryRun: true, Excluded: excluded, SessionHash: fmt.Sprint(i),
			Tenant: strings.Repeat("t", 128), Provider: "openai",
		})
	}
	for name, work := range map[string]func(h *house){
		"big pool": func(h *house) {
			h.apply(manyAccounts(2000, 1)...)
			for i := range 300 {
				look(h, i, "", nil)
			}
		},
		"many models": func(h *house) {
			h.apply(manyAccounts(200, 1)...)
			for i := range 2000 {
				look(h, i, fmt.Sprint("model ", i), nil)
			}
		},
		"many sets": func(h *house) {
			for i := range 200 {
				h.apply(manyAccounts(500, 1+i)...)
				look(h, i, "", nil)
				// What is not balanced holds none of them either.
				h.ask(core.Request{Group: "nobody"})
			}
		},
		"many excluded": func(h *house) {
			h.apply(manyAccounts(20, 1)...)
			for i := range 500 {
				excluded := make([]string, 500)
				for n := range excluded {
					excluded[n] = fmt.Sprintf("%d %0100d", i, n)
				}
				look(h, i, "", excluded)
			}
		},
		"refusals": func(h *house) {
			for i := range 20_000 {
				look(h, i, "", nil)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			without := heapAfter(t, -1, work)
			cost := heapAfter(t, historyBytes, work) - without
			if cost > historyBytes*5/4 {
				t.Errorf("the history costs %d bytes of %d", cost, historyBytes)
			}
		})
	}
}

// TestOldDecisionsAreForgotten: what is not kept any more, or never was, is not known.
func TestOldDecisionsAreForgotten(t *testing.T) {
	h := newHouse(t, plain(3, 0), with(func(o *core.Options) { o.HistoryBytes = 64 << 10 }))
	var made []core.DecisionID
	for range 1000 {
		answer := h.ask(mainRequest)
		made = append(made, answer.Decision.ID)
		h.release(answer.Selection.Token)
	}
	listed := h.Decisions(core.DecisionFilter{Limit: 5000})
	if len(listed) < 10 || len(listed) > 500 {
		t.Fatalf("%d decisions kept", len(listed))
	}
	known := map[core.DecisionID]bool{}
	for i, record := range listed {
		if want := made[len(made)-1-i]; record.Decision.ID != want {
			t.Fatalf("place %d has %v, want %v", i, record.Decision.ID, want)
		}
		known[record.Decision.ID] = true
	}
	foreign := made[len(made)-1]
	foreign.Replica++
	for _, id := range append(made, foreign, core.DecisionID{}, core.DecisionID{Replica: foreign.Replica - 1, Seq: 1 << 60}) {
		x, err := h.Explain(id)
		switch {
		case !known[id]:
			isKind(t, err, core.KindDecisionUnknown)
		case err != nil:
			t.Fatal(err)
		case len(x.Record.Decision.Verdicts) != 3 || x.NotLookedAt != 0:
			t.Fatalf("decision %v has %d verdicts", id, len(x.Record.Decision.Verdicts))
		}
	}
}

// TestNoHistory: none is kept and nothing else is missing.
func TestNoHistory(t *testing.T) {
	h := newHouse(t, plain(1, 0), with(func(o *core.Options) { o.HistoryBytes = -1 }))
	req := mainRequest
	req.Explain = true
	answer := h.ask(req)
	if len(answer.Decision.Verdicts) != 1 || len(h.Decisions(core.DecisionFilter{})) != 0 {
		t.Errorf("decision %+v", answer.Decision)
	}
	_, err := h.Explain(answer.Decision.ID)
	isKind(t, err, core.KindDecisionUnknown)
}

// TestInputsBeyondTheHistory: a pool whose inputs do not fit leaves the record, without verdicts.
func TestInputsBeyondTheHistory(t *testing.T) {
	h := newHouse(t, manyAccounts(5000, 0), with(func(o *core.Options) { o.HistoryBytes = 64 << 10 }))
	for range 3 {
		answer := h.ask(mainRequest)
		x, err := h.Explain(answer.Decision.ID)
		if err != nil {
			t.Fatal(err)
		}
		if len(x.Record.Decision.Verdicts) != 0 || x.NotLookedAt != 5000 || x.Record.Account != answer.Selection.Account.ID {
			t.Errorf("explanation %+v", x)
		}
	}
}

// TestInputsComeRound: pools of different sizes share the ring of inputs; every decision that is kept is explained by its own.
func TestInputsComeRound(t *testing.T) {
	accounts := plain(20, 0)
	for i := range accounts {
		accounts[i].Groups = nil
		for g := range 4 {
			if i%(g+1) == 0 {
				accounts[i].Groups = append(accounts[i].Groups, fmt.Sprint("g", g))
			}
		}
	}
	h := newHouse(t, accounts, with(func(o *core.Options) { o.HistoryBytes = 24 << 10 }))
	want := map[core.DecisionID]string{}
	for i := range 500 {
		answer := h.ask(core.Request{Group: fmt.Sprint("g", i*i%5%4), SessionHash: fmt.Sprint(i % 7), Explain: true})
		if answer.Decision.Layer == decide.LayerLoadBalance {
			want[answer.Decision.ID] = fmt.Sprint(answer.Decision.Verdicts)
		}
		if i%3 > 0 {
			h.release(answer.Selection.Token)
		}
		for _, record := range h.Decisions(core.DecisionFilter{ByLayer: true, Layer: decide.LayerLoadBalance, Limit: 100}) {
			x, err := h.Explain(record.Decision.ID)
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(x.Record.Decision.Verdicts); got != want[record.Decision.ID] {
				t.Fatalf("after %d: explained as %s, was %s", i, got, want[record.Decision.ID])
			}
		}
	}
}

// TestDecisionFilter: newest first, at most so many, by every field.
func TestDecisionFilter(t *testing.T) {
	accounts := plain(2, 1)
	accounts[1].Groups = []string{"second"}
	h := newHouse(t, accounts)
	h.clock.advance(1)
	h.take(inSession("conv"))             // a by load balance
	h.ask(inSession("conv"))              // a is full, by session
	h.take(core.Request{Group: "second"}) // b
	h.ask(core.Request{Group: "nobody", Model: "m", Tenant: "acme", Provider: "p", Transport: pool.HTTPSSE})
	seqs := func(f core.DecisionFilter) (out []uint64) {
		for _, record := range h.Decisions(f) {
			out = append(out, record.Decision.ID.Seq)
		}
		return out
	}
	for _, c := range []struct {
		filter core.DecisionFilter
		want   []uint64
	}{
		{core.DecisionFilter{}, []uint64{4, 3, 2, 1}},
		{core.DecisionFilter{Limit: 2}, []uint64{4, 3}},
		{core.DecisionFilter{Group: "main"}, []uint64{2, 1}},
		{core.DecisionFilter{Account: "a"}, []uint64{2, 1}},
		{core.DecisionFilter{ByLayer: true}, []uint64{4, 3, 1}},
		{core.DecisionFilter{Layer: decide.LayerSession, ByLayer: true}, []uint64{2}},
		{core.DecisionFilter{Layer: decide.LayerSession}, []uint64{4, 3, 2, 1}},
		{core.DecisionFilter{Outcome: core.OutcomePlanned}, []uint64{2}},
		{core.DecisionFilter{Outcome: core.OutcomeSelected, Account: "b"}, []uint64{3}},
		{core.DecisionFilter{Outcome: core.OutcomeRefused, Group: "main"}, nil},
	} {
		equal(t, fmt.Sprintf("%+v", c.filter), seqs(c.filter), c.want)
	}
	r := h.Decisions(core.DecisionFilter{Limit: 1})[0]
	if r.Group != "nobody" || r.Model != "m" || r.Tenant != "acme" || r.Provider != "p" || r.Transport != pool.HTTPSSE ||
		r.Refusal != core.RefusedNoAccounts || r.Account != "" || !r.At.Equal(testStart.Add(1)) {
		t.Errorf("record %+v", r)
	}
	for range 100 {
		h.ask(core.Request{Group: "nobody"})
	}
	if n := len(seqs(core.DecisionFilter{})); n != 50 {
		t.Errorf("%d decisions by default", n)
	}
}

// TestDecisionIDs are told apart by what they are shown as.
func TestDecisionIDs(t *testing.T) {
	for _, id := range []core.DecisionID{{Replica: 0, Seq: 1}, {Replica: 1<<32 - 1, Seq: 1<<64 - 1}, {Replica: 7, Seq: 0xabc}} {
		if got, ok := core.ParseDecisionID(id.String()); !ok || got != id {
			t.Errorf("%v is read as %v, %v", id, got, ok)
		}
	}
	if text := (core.DecisionID{Replica: 1}).String(); text != "" {
		t.Errorf("no decision is shown as %q", text)
	}
	bad := []string{"", "-", "00000001", "00000001-", "00000001-0", "1-1", "0000000g-1", "00000001-1-1", "000000001-1", "00000001-fffffffffffffffff"}
	if i := slices.IndexFunc(bad, func(s string) bool { _, ok := core.ParseDecisionID(s); return ok }); i >= 0 {
		t.Errorf("%q is read", bad[i])
	}
}
