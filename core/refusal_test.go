package core_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/core/pool"
)

// TestModelMapping: exact over wildcard, the longest prefix among wildcards, blank is any model.
func TestModelMapping(t *testing.T) {
	accounts := plain(1, 0)
	accounts[0].Models = pool.NewModels(map[string]string{
		"gpt-*": "short", "gpt-5*": "long", "gpt-5-mini": "exact", "*-old": "literal",
	})
	h := newHouse(t, accounts)
	for model, want := range map[string]string{
		"gpt-4": "short", "gpt-5": "long", "gpt-5-turbo": "long", "gpt-5-mini": "exact", "gpt-5-mini-2": "long",
		"": "", "*-old": "literal",
	} {
		sel := h.take(core.Request{Group: "main", Model: model, Alternates: 1})
		if sel.Upstream != want {
			t.Errorf("%q is mapped to %q, want %q", model, sel.Upstream, want)
		}
	}
	for _, model := range []string{"claude", "GPT-5", " gpt-5", "x-old"} {
		f := h.refused(core.Request{Group: "main", Model: model}, core.RefusedNoneEligible)
		equal(t, model, f.Exclusions, []core.ReasonCount{{Reason: decide.ModelUnmapped, Accounts: 1}})
		if !f.NextEligibleAt.IsZero() || f.RetryAfter != 0 {
			t.Errorf("%q may be asked again: %+v", model, f)
		}
	}
}

// TestGroups: no group is all accounts, an unknown one has none.
func TestGroups(t *testing.T) {
	accounts := plain(3, 1)
	accounts[1].Groups = []string{"second", "main"}
	accounts[2].Groups = nil
	h := newHouse(t, accounts)
	taken := map[string]bool{}
	for range 3 {
		taken[h.take(core.Request{}).Account.ID] = true
	}
	if len(taken) != 3 {
		t.Errorf("without a group: %v", taken)
	}
	f := h.refused(core.Request{Group: "nobody"}, core.RefusedNoAccounts)
	if len(f.Exclusions) != 0 || f.RetryAfter != 0 || !f.NextEligibleAt.IsZero() {
		t.Errorf("refusal %+v", f)
	}
	if n := h.ask(core.Request{Group: "main"}).Decision.CandidateCount; n != 2 {
		t.Errorf("%d candidates in main", n)
	}
	if n := h.ask(core.Request{Group: "second"}).Decision.CandidateCount; n != 1 {
		t.Errorf("%d candidates in second", n)
	}
}

// TestNoAccountsAtAll: a scheduler that has not been told of any account says so.
func TestNoAccountsAtAll(t *testing.T) {
	h := newHouse(t, nil)
	h.refused(mainRequest, core.RefusedNoAccounts)
	h.refused(core.Request{}, core.RefusedNoAccounts)
}

// TestAllExcluded: unknown, blank and repeated ids do no harm.
func TestAllExcluded(t *testing.T) {
	h := newHouse(t, plain(3, 0))
	req := mainRequest
	req.Excluded = []string{"a", "b", "b", "", "zz", "c"}
	f := h.refused(req, core.RefusedNoneEligible)
	equal(t, "exclusions", f.Exclusions, []core.ReasonCount{{Reason: decide.ExcludedByCaller, Accounts: 3}})
	if f.RetryAfter != 0 {
		t.Errorf("retry after %v", f.RetryAfter)
	}
	h.inUse(0)
}

// TestAllUnderDeadline: the refusal counts by reason, most first, and names the first instant
// at which one may serve, all of its deadlines being over by then.
func TestAllUnderDeadline(t *testing.T) {
	at := func(s int) time.Time { return testStart.Add(time.Duration(s) * time.Second) }
	accounts := plain(5, 0)
	accounts[0].RateLimitedUntil = at(50)
	accounts[1].RateLimitedUntil = at(40)
	accounts[2].OverloadedUntil, accounts[2].TempUnschedulableUntil = at(30), at(10) // not before 30
	accounts[3].OverloadedUntil, accounts[3].Unschedulable = at(5), true             // never
	accounts[4].RateLimitedUntil = at(60)
	h := newHouse(t, accounts)
	f := h.refused(mainRequest, core.RefusedNoneEligible)
	equal(t, "exclusions", f.Exclusions, []core.ReasonCount{
		{Reason: decide.RateLimited, Accounts: 3},
		{Reason: decide.Unschedulable, Accounts: 1},
		{Reason: decide.TempUnschedulable, Accounts: 1},
	})
	if !f.NextEligibleAt.Equal(at(30)) || f.RetryAfter != 30*time.Second {
		t.Errorf("next at %v, retry after %v", f.NextEligibleAt, f.RetryAfter)
	}
	h.clock.advance(30*time.Second - 1)
	if f := h.refused(mainRequest, core.RefusedNoneEligible); f.RetryAfter != time.Millisecond {
		t.Errorf("retry after %v, want the least that is worth asking", f.RetryAfter)
	}
	h.clock.advance(1)
	h.chooses(mainRequest, decide.LayerLoadBalance, "c")
}

// TestAllFull: the plan is on an account that may serve, with the bounds of the policy.
func TestAllFull(t *testing.T) {
	accounts := plain(3, 1)
	accounts[2].State = pool.Paused
	h := newHouse(t, accounts)
	tokens := []string{h.take(mainRequest).Token, h.take(mainRequest).Token}
	answer := h.ask(mainRequest)
	if answer.WaitPlan == nil || !slices.Contains([]string{"a", "b"}, answer.WaitPlan.Account.ID) {
		t.Fatal(describe(answer))
	}
	if d := answer.Decision; d.CandidateCount != 2 || d.TopK != 2 || d.LoadSkew != 0 {
		t.Errorf("decision %+v", d)
	}
	h.inUse(2)
	h.release(tokens[1])
	h.take(mainRequest)
	h.inUse(2)
}

// TestUnlimitedNeverFull: a limit of 0 or less is none, and its load rate is 0.
func TestUnlimitedNeverFull(t *testing.T) {
	accounts := plain(1, -3)
	h := newHouse(t, accounts)
	for range 50 {
		h.take(mainRequest)
	}
	if l := h.account("a").Load; l.InUse != 50 || l.Rate != 0 {
		t.Errorf("load %+v", l)
	}
}

// TestLongAndOddIDs: core takes ids of any length and spelling; what it keeps of them is bounded.
func TestLongAndOddIDs(t *testing.T) {
	h := newHouse(t, plain(1, 0))
	long := strings.Repeat("x", 10<<20)
	h.take(inSession(long))
	h.livesBy(inSession(long), decide.LayerSession)
	h.livesBy(inSession(long[1:]), decide.LayerLoadBalance)
	req := inSession("\x00\xff\u202e")
	req.RequestID, req.Tenant, req.Owner.Name = long, "テナント", "\n"
	first := h.take(req)
	if again := h.ask(req); !again.Decision.Repeated || again.Selection.Token != first.Token {
		t.Error(describe(again))
	}
	h.inUse(2)
}
