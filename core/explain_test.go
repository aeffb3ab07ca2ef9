package core_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/core/pool"
)

// redo decides again from nothing but what an explanation prints: factors, weights, loads, limits and the
// seed. It gives the order of preference and whoever of it has room first, "" for nobody.
func redo(x *core.Explanation) (order []string, winner string, err error) {
	d := &x.Record.Decision
	var list []decide.Verdict
	for _, v := range d.Verdicts {
		if v.Reason != decide.None {
			continue
		}
		f, w := v.Factors, x.Weights
		score := float64(w.Priority * f.Priority)
		for _, product := range []float64{
			float64(w.Load * f.Load), float64(w.Queue * f.Queue),
			float64(w.ErrorRate * f.ErrorRate), float64(w.TTFT * f.TTFT),
		} {
			score += product
		}
		if score != v.Score {
			return nil, "", fmt.Errorf("%s: score %v, of its factors %v", v.Account.ID, v.Score, score)
		}
		list = append(list, v)
	}
	slices.SortFunc(list, func(a, b decide.Verdict) int {
		return cmp.Or(
			cmp.Compare(b.Score, a.Score), cmp.Compare(a.Account.Priority, b.Account.Priority),
			cmp.Compare(a.Load.Rate, b.Load.Rate), cmp.Compare(a.Load.Waiting, b.Load.Waiting),
			pool.CompareIDs(a.Account.ID, b.Account.ID),
		)
	})
	for i := range list {
		if list[i].Rank != i+1 {
			return nil, "", fmt.Errorf("%s: rank %d, counted %d", list[i].Account.ID, list[i].Rank, i+1)
		}
	}
	list = append(redraw(list[:d.TopK], x.Seed), list[d.TopK:]...)
	for _, v := range list {
		order = append(order, v.Account.ID)
		if limit := v.Account.MaxConcurrency; winner == "" && (limit <= 0 || int(v.Load.InUse) < limit) {
			winner = v.Account.ID
		}
	}
	return order, winner, nil
}

// redraw draws without replacement, by weight score − lowest + 1, with xorshift64*.
func redraw(top []decide.Verdict, seed uint64) (out []decide.Verdict) {
	left := slices.Clone(top)
	lowest := 0.0
	if len(left) > 0 {
		lowest = left[len(left)-1].Score
	}
	for len(left) > 1 {
		total := 0.0
		for i := range left {
			total += left[i].Score - lowest + 1
		}
		seed ^= seed >> 12
		seed ^= seed << 25
		seed ^= seed >> 27
		x := float64(float64(seed*2685821657736338717>>11) / (1 << 53) * total)
		i, sum := 0, left[0].Score-lowest+1
		for sum < x && i < len(left)-1 {
			i++
			sum += left[i].Score - lowest + 1
		}
		out = append(out, left[i])
		left = slices.Delete(left, i, i+1)
	}
	return append(out, left...)
}

// randomHouse has accounts of all sorts, some of them busy, with statistics.
func randomHouse(t *testing.T, rt *rapid.T) *house {
	number := func(name string, low, high int) int { return rapid.IntRange(low, high).Draw(rt, name) }
	accounts := make([]pool.Account, number("accounts", 1, 14))
	for i := range accounts {
		a := &accounts[i]
		a.ID, a.Provider = fmt.Sprint(number("id", 0, 3), "-", i), "openai"
		a.Priority, a.MaxConcurrency = number("priority", 0, 3), number("limit", -1, 4)
		if number("in", 0, 4) > 0 {
			a.Groups = []string{"main"}
		}
		switch number("obstacle", 0, 12) {
		case 0:
			a.State = pool.Paused
		case 1:
			a.RateLimitedUntil = testStart.Add(time.Minute)
		case 2:
			a.Models = pool.NewModels(map[string]string{"gpt-4": "x"})
		case 3:
			a.Provider = "other"
		}
	}
	weight := rapid.Float64Range(0, 3)
	h := newHouse(t, accounts, with(func(o *core.Options) { o.Entropy = seeded(rapid.Uint64().Draw(rt, "seed")) }),
		under(func(p *decide.Policy) {
			p.TopK = number("top k", 1, 9)
			p.Weights = decide.Weights{
				Priority: weight.Draw(rt, "priority"), Load: weight.Draw(rt, "load"), Queue: weight.Draw(rt, "queue"),
				ErrorRate: weight.Draw(rt, "errors"), TTFT: weight.Draw(rt, "ttft"),
			}
		}))
	for range number("earlier requests", 0, 30) {
		answer := h.ask(core.Request{})
		if answer.Selection == nil {
			continue
		}
		token := answer.Selection.Token
		h.report(firstToken(token, time.Duration(number("ttft", 0, 900))*time.Millisecond))
		if number("ends", 0, 2) == 0 {
			h.report(finished(token, core.Outcome(number("outcome", 1, 3))))
		}
	}
	return h
}

// TestExplained: what a Select explains, Explain repeats; the printed numbers lead to the same
// order and winner; every account of the group has a verdict; the dry run before it said the same.
func TestExplained(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		h := randomHouse(t, rt)
		req := core.Request{
			Group: rapid.SampledFrom([]string{"main", ""}).Draw(rt, "group"), Model: "gpt-5", Provider: "openai",
			SessionHash: rapid.SampledFrom([]string{"", "conv", "conv 2"}).Draw(rt, "session"), Explain: true, Alternates: 20,
		}
		for _, a := range h.state().Accounts {
			if rapid.IntRange(0, 8).Draw(rt, "excluded") == 0 {
				req.Excluded = append(req.Excluded, a.Account.ID)
			}
		}
		look := req
		look.DryRun = true
		before, looked := h.state(), h.ask(look)
		if after := h.state(); fmt.Sprint(after) != fmt.Sprint(before) {
			rt.Fatalf("a dry run changed %+v to %+v", before, after)
		}
		answer := h.ask(req)
		if req.SessionHash != "" {
			if got, want := outcome(looked), outcome(answer); got != want {
				rt.Fatalf("dry run: %s, then %s", got, want)
			}
		}
		for _, a := range []*core.Answer{looked, answer} {
			h.explained(rt, a)
		}
	})
}

// outcome is what an answer comes to.
func outcome(a *core.Answer) string {
	switch {
	case a.Selection != nil:
		return fmt.Sprint("selection of ", a.Selection.Account.ID, " before ", ids(a.Selection.Alternates))
	case a.WaitPlan != nil:
		return fmt.Sprint("wait for ", a.WaitPlan.Account.ID)
	default:
		return fmt.Sprint("refusal ", a.Refusal.Reason, a.Refusal.Exclusions)
	}
}

func (h *house) explained(rt *rapid.T, a *core.Answer) {
	x, err := h.Explain(a.Decision.ID)
	if err != nil {
		rt.Fatal(err)
	}
	if got, want := fmt.Sprintf("%+v", x.Record.Decision), fmt.Sprintf("%+v", a.Decision); got != want {
		rt.Fatalf("explained as %s, was %s", got, want)
	}
	members, candidates := 0, 0
	for _, s := range h.state().Accounts {
		if x.Record.Group == "" || slices.Contains(s.Account.Groups, x.Record.Group) {
			members++
		}
	}
	for _, v := range a.Decision.Verdicts {
		if v.Reason == decide.None {
			candidates++
		}
	}
	if len(a.Decision.Verdicts)+x.NotLookedAt != members || candidates != a.Decision.CandidateCount {
		rt.Fatalf("%d verdicts, %d not looked at, of %d; %d candidates: %+v",
			len(a.Decision.Verdicts), x.NotLookedAt, members, candidates, a.Decision)
	}
	order, winner, err := redo(x)
	switch {
	case err != nil:
		rt.Fatal(err)
	case a.Selection != nil && winner != a.Selection.Account.ID,
		a.WaitPlan != nil && (winner != "" || order[0] != a.WaitPlan.Account.ID),
		a.Refusal != nil && len(order) > 0:
		rt.Fatalf("redone: %q of %v, was %s", winner, order, describe(a))
	}
	if a.Refusal != nil {
		counted := 0
		for _, c := range a.Refusal.Exclusions {
			counted += c.Accounts
		}
		if counted != members {
			rt.Fatalf("%d exclusions of %d: %+v", counted, members, a.Refusal)
		}
	}
}

// TestExplainSticky: after a hit nobody else was looked at.
func TestExplainSticky(t *testing.T) {
	h := newHouse(t, plain(4, 1))
	h.on(inSession("conv"), "b")
	req := inSession("conv")
	req.Explain = true
	full := h.ask(req)
	x, err := h.Explain(full.Decision.ID)
	if err != nil {
		t.Fatal(err)
	}
	if x.NotLookedAt != 4 || len(x.Record.Decision.Verdicts) != 0 || x.Record.Account != "b" || x.Record.Outcome != core.OutcomePlanned {
		t.Errorf("explanation %+v", x)
	}
	if d := x.Record.Decision; d.Session != (core.StickyVerdict{Fate: core.BindingFull, Account: "b"}) || d.Layer != decide.LayerSession {
		t.Errorf("decision %+v", d)
	}
}

// TestExplainKeepsNothingOfTheCaller: what a caller does with its request afterwards changes no explanation.
func TestExplainKeepsNothingOfTheCaller(t *testing.T) {
	h := newHouse(t, plain(3, 1))
	req := mainRequest
	req.Explain, req.Excluded = true, []string{"a"}
	answer, err := h.Select(t.Context(), &req)
	if err != nil {
		t.Fatal(err)
	}
	req.Excluded[0] = "b"
	x, err := h.Explain(answer.Decision.ID)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(x.Record.Decision.Verdicts), fmt.Sprint(answer.Decision.Verdicts); got != want {
		t.Errorf("explained as %s, was %s", got, want)
	}
}

// TestExplainAfterApply: a past decision is explained by the world that it was made in.
func TestExplainAfterApply(t *testing.T) {
	h := newHouse(t, ranked(3, 1))
	req := mainRequest
	req.Explain = true
	answer := h.ask(req)
	h.policy.Weights = decide.Weights{Load: 3}
	h.apply(plain(1, 9)...)
	x, err := h.Explain(answer.Decision.ID)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(x.Record.Decision.Verdicts), fmt.Sprint(answer.Decision.Verdicts); got != want {
		t.Errorf("explained as %s, was %s", got, want)
	}
	if _, winner, err := redo(x); err != nil || winner != answer.Selection.Account.ID {
		t.Errorf("redone: %s, error %v", winner, err)
	}
}

// TestExplainNeedsNoSession: neither an explanation nor a listing shows a session hash or an id of a response.
func TestExplainNeedsNoSession(t *testing.T) {
	h := newHouse(t, plain(1, 0))
	req := inSession("secret-session")
	req.PreviousResponseID = "secret-response"
	x, err := h.Explain(h.ask(req).Decision.ID)
	if err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprintf("%+v %+v", x, h.Decisions(core.DecisionFilter{})); strings.Contains(text, "secret") {
		t.Error(text)
	}
	if !x.Record.HasSession || !x.Record.HasPrevious {
		t.Errorf("record %+v", x.Record)
	}
}
