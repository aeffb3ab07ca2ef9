package core_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/core/pool"
)

// readOnlyStore fails the test on every call that could change something.
type readOnlyStore struct {
	core.Store
	t    *testing.T
	lock bool
}

func (s *readOnlyStore) TakeFirst(ctx context.Context, take *core.FirstTake) (core.FirstTaken, error) {
	if s.lock {
		s.t.Error("a dry run takes")
	}
	return s.Store.TakeFirst(ctx, take)
}

func (s *readOnlyStore) Settle(ctx context.Context, events []core.Settlement, results []core.Settled) error {
	if s.lock {
		s.t.Error("a dry run settles")
	}
	return s.Store.Settle(ctx, events, results)
}

func (s *readOnlyStore) TakeBound(ctx context.Context, take *core.BoundTake) (core.BoundTaken, error) {
	if s.lock && !take.DryRun {
		s.t.Error("a dry run takes what is bound")
	}
	return s.Store.TakeBound(ctx, take)
}

// TestDryRunHasNoEffect: on no layer, with no answer; only the list of decisions has one more.
func TestDryRunHasNoEffect(t *testing.T) {
	locked := &readOnlyStore{t: t}
	accounts := ranked(3, 1)
	accounts[2].Groups = []string{"full"}
	h := newHouse(t, accounts, over(func(s core.Store) core.Store {
		locked.Store = s
		return locked
	}))
	h.bindResponse(mainRequest, "a", "resp")
	h.release(h.on(inSession("conv"), "b"))
	h.on(core.Request{Group: "full", SessionHash: "conv"}, "c")
	gone := inSession("conv")
	gone.Transport = pool.ResponsesWebSockets // would drop the session's binding
	fresh := named("r1")
	fresh.SessionHash = "new"
	before := h.state()
	locked.lock = true
	for _, req := range []core.Request{
		mainRequest, afterResponse("resp"), inSession("conv"), gone, fresh,
		{Group: "full"},
		{Group: "full", SessionHash: "conv"},
		{Group: "nobody"},
		{Group: "main", Excluded: []string{"a", "b"}},
	} {
		req.DryRun, req.Explain, req.Alternates = true, true, 3
		answer := h.ask(req)
		if !answer.Decision.DryRun {
			t.Errorf("decision %+v", answer.Decision)
		}
		if sel := answer.Selection; sel != nil && (sel.Token != "" || sel.TTL != 0 || !sel.ExpiresAt.IsZero()) {
			t.Errorf("a lease in a dry run: %+v", sel)
		}
		if record := h.Decisions(core.DecisionFilter{Limit: 1})[0]; record.Decision.ID != answer.Decision.ID || !record.Decision.DryRun {
			t.Errorf("listed %+v", record)
		}
	}
	locked.lock = false
	if after := h.state(); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("state %+v, before %+v", after, before)
	}
	h.livesOn(afterResponse("resp"), "a")
	h.chooses(inSession("conv"), decide.LayerSession, "b")
	if d := h.ask(fresh).Decision; d.Repeated || d.Session.Fate != core.BindingNone {
		t.Errorf("decision %+v", d)
	}
}

// TestDryRunOfARequestID: a look at a live request shows it, and is no handing out.
func TestDryRunOfARequestID(t *testing.T) {
	h := newHouse(t, plain(2, 1))
	first := h.ask(named("r1"))
	look := named("r1")
	look.DryRun = true
	seen := h.ask(look)
	if d := seen.Decision; !d.Repeated || !d.DryRun || d.ID != first.Decision.ID || seen.Selection.Token != "" {
		t.Errorf("looked at %+v: %+v", seen.Selection, d)
	}
	h.release(first.Selection.Token)
	h.inUse(0)
}

// TestAlternates: the next choices in order, none twice, never the chosen one; full ones last; none holds a slot.
func TestAlternates(t *testing.T) {
	accounts := ranked(9, 1)
	accounts[3].Models = pool.NewModels(map[string]string{"gpt-5": "mapped"})
	h := newHouse(t, accounts, under(func(p *decide.Policy) { p.TopK, p.Weights = 3, decide.Weights{Priority: 1} }))
	h.on(mainRequest, "b")
	h.on(mainRequest, "e")
	for _, layer := range []decide.Layer{decide.LayerLoadBalance, decide.LayerSession} {
		req := inSession("conv")
		req.Alternates = 100
		answer := h.ask(req)
		sel := answer.Selection
		if answer.Decision.Layer != layer {
			t.Fatal(describe(answer))
		}
		got := ids(sel.Alternates)
		// Drawn with room, rest with room in rank order, drawn and full; full ones of the rest are not named.
		if len(got) < 7 || slices.Contains(got, sel.Account.ID) || len(slices.Compact(slices.Sorted(slices.Values(got)))) != len(got) {
			t.Fatalf("after %s: %v", sel.Account.ID, got)
		}
		at := slices.Index(got, "d")
		equal(t, "rest", got[at:at+5], []string{"d", "f", "g", "h", "i"})
		if i := slices.Index(got, "b"); i < at+5 {
			t.Errorf("full b comes before those with room: %v", got)
		}
		if up := sel.Alternates[at].Upstream; up != "mapped" {
			t.Errorf("upstream %q", up)
		}
		h.inUse(3)
		h.release(sel.Token)
	}
	req := mainRequest
	req.Alternates = 2
	if got := h.take(req).Alternates; len(got) != 2 {
		t.Errorf("alternates %v, want 2", ids(got))
	}
	req.Alternates = 0
	if got := h.take(req).Alternates; len(got) != 0 {
		t.Errorf("alternates %v, want none", ids(got))
	}
}

// TestAlternatesAreBoundedByThePool: a caller's number costs nothing by itself.
func TestAlternatesAreBoundedByThePool(t *testing.T) {
	h := newHouse(t, plain(2, 1))
	req := mainRequest
	req.Alternates = math.MaxInt
	if got := h.take(req).Alternates; len(got) != 1 {
		t.Errorf("alternates %v", ids(got))
	}
}
