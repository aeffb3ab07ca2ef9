package core_test

import (
	"context"
	"testing"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
)

// TestHalfOpen: after a cooldown one probe at a time until a success; a bound session can be it.
func TestHalfOpen(t *testing.T) {
	h := newHouse(t, ranked(2, 9), recommended, under(func(p *decide.Policy) { p.TopK = 1 }))
	session := mainRequest
	session.SessionHash = "conv"
	h.reports(limited(h.chooses(session, decide.LayerLoadBalance, "a").Token, time.Minute, 0), core.EventApplied)
	h.clock.advance(time.Minute)

	answer := h.ask(core.Request{Group: "main", Provider: "openai", SessionHash: "conv", DryRun: true})
	if v := answer.Decision.Session; v.Reason != decide.None || v.Fate != core.BindingHit {
		t.Errorf("the bound session: %+v", v)
	}
	answer = h.ask(core.Request{Group: "main", Provider: "openai", DryRun: true, Explain: true})
	if v := answer.Decision.Verdicts; !v[0].Probe || v[1].Probe || v[0].Reason != decide.None {
		t.Errorf("%+v", v)
	}
	probe := h.chooses(mainRequest, decide.LayerLoadBalance, "a").Token
	if v := h.ask(core.Request{Group: "main", Provider: "openai", SessionHash: "conv", DryRun: true}).Decision.Session; v.Reason != decide.Probing || v.Fate != core.BindingEscaped && v.Fate != core.BindingKept {
		t.Errorf("the bound session while the probe is out: %+v", v)
	}
	answer = h.ask(core.Request{Group: "main", Provider: "openai", DryRun: true, Explain: true})
	if v := answer.Decision.Verdicts; v[0].Reason != decide.Probing || v[1].Reason != decide.None || answer.Selection.Account.ID != "b" {
		t.Errorf("while the probe is out: %+v", v)
	}
	if a := h.account("a"); a.Blocked != decide.Probing {
		t.Errorf("while the probe is out a shows %+v", a)
	}
	h.release(h.chooses(mainRequest, decide.LayerLoadBalance, "b").Token, h.chooses(mainRequest, decide.LayerLoadBalance, "b").Token)
	h.release(probe)
	if a := h.account("a"); a.Blocked != decide.None {
		t.Errorf("without a probe a shows %+v", a)
	}
	// The probe taught nothing; the next one fails, and the cooldown begins again.
	h.reports(limited(h.chooses(mainRequest, decide.LayerLoadBalance, "a").Token, time.Minute, 0), core.EventApplied)
	h.release(h.chooses(mainRequest, decide.LayerLoadBalance, "b").Token)
	h.clock.advance(time.Minute)
	h.reports(finished(h.chooses(mainRequest, decide.LayerLoadBalance, "a").Token, core.OutcomeSuccess), core.EventApplied)
	one := h.on(mainRequest, "a")
	h.release(one, h.on(mainRequest, "a"))
}

// TestAllProbing: when everything that has room has its probe out, there is a plan to wait, at once.
func TestAllProbing(t *testing.T) {
	calls := 0
	h := newHouse(t, plain(3, 9), recommended, over(func(s core.Store) core.Store { return &firstCounter{Store: s, calls: &calls} }))
	for _, id := range []string{"a", "b", "c"} {
		h.reports(limited(h.on(mainRequest, id), time.Minute, 0), core.EventApplied)
	}
	h.refused(mainRequest, core.RefusedNoneEligible)
	h.clock.advance(time.Minute)
	var probes []string
	for range 3 {
		probes = append(probes, h.take(mainRequest).Token)
	}
	calls = 0
	if answer := h.ask(mainRequest); answer.WaitPlan == nil || !answer.WaitPlan.Probing || calls > 0 {
		t.Errorf("%s after %d calls", describe(answer), calls)
	}
	if plan := h.ask(core.Request{Group: "main", Provider: "openai", DryRun: true, Explain: true}); plan.WaitPlan == nil ||
		plan.Decision.Verdicts[2].Reason != decide.Probing || plan.Decision.CandidateCount != 0 {
		t.Errorf("asked for: %s", describe(plan))
	}
	h.release(probes...)
	h.release(h.take(mainRequest).Token)
}

// firstCounter counts calls of TakeFirst.
type firstCounter struct {
	core.Store
	calls *int
}

func (c *firstCounter) TakeFirst(ctx context.Context, take *core.FirstTake) (core.FirstTaken, error) {
	*c.calls++
	return c.Store.TakeFirst(ctx, take)
}
