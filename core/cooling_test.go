package core_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/core/pool"
)

// recommended makes a house live by that profile.
func recommended(h *house, _ *core.Options) { h.policy = decide.Recommended() }

func noJitter(p *decide.Policy) { p.Overloaded.Jitter = 0 }

func limited(token string, after time.Duration, scope core.LimitScope) core.Event {
	e := finished(token, core.OutcomeRateLimited)
	e.RetryAfter, e.Scope = after, scope
	return e
}

func of(model string) core.Request {
	req := mainRequest
	req.Model = model
	return req
}

// cooling lists the deadlines that the store keeps.
func (h *house) cooling() []core.Cooldown {
	h.tb.Helper()
	list, err := h.store.Cooling(context.Background())
	if err != nil {
		h.tb.Fatal(err)
	}
	return list
}

// TestModelLimit: 60 s on a model: not chosen for it until then, for others it is, and it is again afterwards.
func TestModelLimit(t *testing.T) {
	for _, profile := range []houseOption{under(func(*decide.Policy) {}), recommended} {
		accounts := plain(1, 9)
		accounts[0].Models = pool.NewModels(map[string]string{"m": " up ", "n": "other", "*": "*"})
		h := newHouse(t, accounts, profile)
		h.reports(limited(h.take(of("m")).Token, time.Minute, core.ScopeModel), core.EventApplied)
		until := testStart.Add(time.Minute)
		var keep time.Duration
		if h.policy.HalfOpen {
			keep = h.policy.Longest()
		}
		equal(t, "cooling", h.cooling(), []core.Cooldown{{Account: "a", Model: "up", Until: until, Keep: keep, Reason: decide.RateLimited}})
		no := h.refused(of("m"), core.RefusedNoneEligible)
		if !no.NextEligibleAt.Equal(until) || no.RetryAfter != time.Minute ||
			!slices.Equal(no.Exclusions, []core.ReasonCount{{Reason: decide.ModelLimited, Accounts: 1}}) {
			t.Errorf("%+v", no)
		}
		h.release(h.take(of("n")).Token)
		h.reports(finished(h.take(of("n")).Token, core.OutcomeSuccess), core.EventApplied)
		h.refused(of("m"), core.RefusedNoneEligible) // the success was another model's
		h.clock.advance(time.Minute - 1)
		h.refused(of("m"), core.RefusedNoneEligible)
		h.clock.advance(1)
		h.release(h.take(of("m")).Token)
	}
}

// TestCooldownRows: what each outcome keeps the account away for, and why it says it does.
func TestCooldownRows(t *testing.T) {
	at := testStart.Add
	for _, c := range []struct {
		name   string
		event  core.Event
		policy decide.Policy
		reason decide.Reason
		until  time.Time
	}{
		{"success", core.Event{Outcome: core.OutcomeSuccess, RetryAfter: time.Hour}, decide.Recommended(), decide.None, time.Time{}},
		{"account error", core.Event{Outcome: core.OutcomeAccountError, RetryAfter: time.Hour}, decide.Recommended(), decide.None, time.Time{}},
		{"client error", core.Event{Outcome: core.OutcomeClientError, RetryAfter: time.Hour}, decide.Recommended(), decide.None, time.Time{}},
		{"retry-after", core.Event{Outcome: core.OutcomeRateLimited, RetryAfter: time.Minute}, decide.Reference(), decide.RateLimited, at(time.Minute)},
		{"reset time", core.Event{Outcome: core.OutcomeQuotaExhausted, ResetAt: at(time.Hour)}, decide.Reference(), decide.QuotaExhausted, at(time.Hour)},
		{"too long", core.Event{Outcome: core.OutcomeQuotaExhausted, ResetAt: at(1000 * time.Hour)}, decide.Reference(), decide.QuotaExhausted, at(24 * time.Hour)},
		{"no time", core.Event{Outcome: core.OutcomeRateLimited}, decide.Reference(), decide.RateLimited, at(time.Second)},
		{"overload", core.Event{Outcome: core.OutcomeOverloaded}, decide.Reference(), decide.Overloaded, at(time.Second)},
		{"overload with a time", core.Event{Outcome: core.OutcomeOverloaded, RetryAfter: time.Minute}, decide.Reference(), decide.Overloaded, at(time.Minute)},
		{"refused", core.Event{Outcome: core.OutcomeAuthFailed, Scope: core.ScopeModel}, decide.Recommended(), decide.AuthFailed, time.Time{}},
		{"refused, reference", core.Event{Outcome: core.OutcomeAuthFailed}, decide.Reference(), decide.None, time.Time{}},
		{"by status", core.Event{UpstreamStatus: 402, RetryAfter: time.Minute}, decide.Reference(), decide.QuotaExhausted, at(time.Minute)},
		{"by code", core.Event{UpstreamStatus: 429, UpstreamCode: "insufficient_quota", RetryAfter: time.Minute}, decide.Reference(), decide.QuotaExhausted, at(time.Minute)},
		{"by status, good", core.Event{UpstreamStatus: 200}, decide.Recommended(), decide.None, time.Time{}},
		{"told before derived", core.Event{UpstreamStatus: 429, Outcome: core.OutcomeClientError}, decide.Reference(), decide.None, time.Time{}},
	} {
		c.policy.Overloaded.Jitter = 0
		h := newHouse(t, plain(1, 1), under(func(p *decide.Policy) { *p = c.policy }))
		c.event.Kind, c.event.Token = core.EventFinished, h.take(mainRequest).Token
		h.reports(c.event, core.EventApplied)
		if a := h.account("a"); a.Blocked != c.reason || !a.BlockedUntil.Equal(c.until) {
			t.Errorf("%s: blocked by %v until %v", c.name, a.Blocked, a.BlockedUntil)
		}
		if kept := len(h.cooling()); (kept == 1) != (c.reason != decide.None) {
			t.Errorf("%s: the store keeps %d", c.name, kept)
		}
	}
}

// TestScopeByTable: the provider's default scope holds when the event does not say, and when it means the same.
func TestScopeByTable(t *testing.T) {
	for _, c := range []struct {
		event core.Event
		model string
	}{
		{core.Event{UpstreamStatus: 429}, "m"},
		{core.Event{UpstreamStatus: 429, Outcome: core.OutcomeRateLimited}, "m"},
		{core.Event{UpstreamStatus: 429, Outcome: core.OutcomeQuotaExhausted}, ""},
		{core.Event{UpstreamStatus: 429, Scope: core.ScopeAccount}, ""},
		{core.Event{Outcome: core.OutcomeRateLimited}, ""},
	} {
		h := newHouse(t, plain(1, 1))
		c.event.Kind, c.event.Token, c.event.RetryAfter = core.EventFinished, h.take(of("m")).Token, time.Minute
		h.reports(c.event, core.EventApplied)
		if list := h.cooling(); len(list) != 1 || list[0].Model != c.model {
			t.Errorf("%+v: %+v", c.event, list)
		}
	}
	table, err := core.NewOutcomeTable([]core.OutcomeRule{{Provider: "openai", Status: 429, Outcome: core.OutcomeClientError}})
	if err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, plain(1, 1), with(func(o *core.Options) { o.Outcomes = table }))
	h.reports(core.Event{Kind: core.EventFinished, Token: h.take(mainRequest).Token, UpstreamStatus: 429}, core.EventApplied)
	if h.account("a").Blocked != decide.None {
		t.Error("the override is not followed")
	}
	h.UseOutcomes(func() *core.OutcomeTable { plain, _ := core.NewOutcomeTable(nil); return plain }())
	h.reports(core.Event{Kind: core.EventFinished, Token: h.take(of("")).Token, UpstreamStatus: 429}, core.EventApplied)
	if h.account("a").Blocked != decide.RateLimited {
		t.Error("the table is not replaced")
	}
}

// TestLimitsCountOnce: a repeated, a forged and a late report; the later deadline stands.
func TestLimitsCountOnce(t *testing.T) {
	h := newHouse(t, plain(1, 3))
	first, second, third := h.take(mainRequest).Token, h.take(mainRequest).Token, h.take(mainRequest).Token
	e := limited(first, time.Minute, 0)
	h.reports(e, core.EventApplied)
	blocked := func(until time.Duration) {
		t.Helper()
		if a := h.account("a"); !a.BlockedUntil.Equal(testStart.Add(until)) || a.Blocked != decide.RateLimited {
			t.Fatalf("%v until %v", a.Blocked, a.BlockedUntil)
		}
	}
	blocked(time.Minute)
	e.RetryAfter = time.Hour
	h.reports(e, core.EventAlreadyReleased)
	blocked(time.Minute)
	e.Token = "forged"
	h.reports(e, core.EventTokenInvalid)
	blocked(time.Minute)
	h.reports(limited(second, time.Second, 0), core.EventApplied)
	blocked(time.Minute)
	h.clock.advance(core.DefaultLeaseTTL + time.Second)
	h.reports(limited(third, time.Minute, 0), core.EventExpired)
	blocked(core.DefaultLeaseTTL + time.Second + time.Minute)
	h.reports(limited(third, time.Hour, 0), core.EventAlreadyReleased)
	blocked(core.DefaultLeaseTTL + time.Second + time.Minute)
}

// TestOverloadBacksOff: doubling up to the cap, a burst counting once, a success starting anew.
func TestOverloadBacksOff(t *testing.T) {
	h := newHouse(t, plain(1, 20), under(noJitter), under(func(p *decide.Policy) { p.Overloaded.Cap = 5 * time.Second }))
	overload := func(want time.Duration) {
		t.Helper()
		var tokens []string
		for range 10 {
			tokens = append(tokens, h.take(mainRequest).Token)
		}
		h.clock.advance(time.Second)
		now := h.state().At
		events := make([]core.Event, len(tokens))
		for i, token := range tokens {
			events[i] = finished(token, core.OutcomeOverloaded)
		}
		if _, err := h.Report(context.Background(), events[:5]); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Report(context.Background(), events[5:]); err != nil {
			t.Fatal(err)
		}
		if a := h.account("a"); a.Blocked != decide.Overloaded || a.BlockedUntil.Sub(now) != want {
			t.Fatalf("%v for %v, want %v", a.Blocked, a.BlockedUntil.Sub(now), want)
		}
		h.clock.advance(want)
	}
	for _, seconds := range []int{1, 2, 4, 5, 5} {
		overload(time.Duration(seconds) * time.Second)
	}
	h.reports(finished(h.take(mainRequest).Token, core.OutcomeSuccess), core.EventApplied)
	overload(time.Second)
}

// TestAuthFailedStays: no success of what was on its way brings the account back, and no time does.
func TestAuthFailedStays(t *testing.T) {
	h := newHouse(t, plain(1, 3), recommended)
	bad, good := h.take(mainRequest).Token, h.take(mainRequest).Token
	h.reports(finished(bad, core.OutcomeAuthFailed), core.EventApplied)
	no := h.refused(mainRequest, core.RefusedNoneEligible)
	if !no.NextEligibleAt.IsZero() || no.Exclusions[0].Reason != decide.AuthFailed {
		t.Errorf("%+v", no)
	}
	h.reports(finished(good, core.OutcomeSuccess), core.EventApplied)
	h.clock.advance(100 * time.Hour)
	h.refused(mainRequest, core.RefusedNoneEligible)
}

// TestStickyWhileCooling: a kept binding is served elsewhere, a dropped one is gone.
func TestStickyWhileCooling(t *testing.T) {
	for _, c := range []struct {
		scope  core.LimitScope
		reason decide.Reason
		fate   core.BindingFate
	}{
		{core.ScopeAccount, decide.RateLimited, core.BindingKept},
		{core.ScopeModel, decide.ModelLimited, core.BindingDropped},
	} {
		h := newHouse(t, plain(2, 9))
		session := of("m")
		session.SessionHash = "conv"
		sel := h.take(session)
		h.reports(limited(sel.Token, time.Minute, c.scope), core.EventApplied)
		answer := h.ask(session)
		v := answer.Decision.Session
		if answer.Selection == nil || answer.Selection.Account.ID == sel.Account.ID || v.Reason != c.reason || v.Fate != c.fate ||
			!v.Until.Equal(testStart.Add(time.Minute)) {
			t.Errorf("%v: %+v, %s", c.scope, v, describe(answer))
		}
	}
}

// TestExplainRemembersTheCold: a past decision is explained with what was cold then.
func TestExplainRemembersTheCold(t *testing.T) {
	h := newHouse(t, plain(3, 9), recommended)
	h.reports(limited(h.on(mainRequest, "b"), time.Minute, 0), core.EventApplied)
	req := mainRequest
	req.Explain = true
	answer := h.ask(req)
	h.clock.advance(time.Hour)
	h.reports(finished(h.on(mainRequest, "b"), core.OutcomeSuccess), core.EventApplied)
	x, err := h.Explain(answer.Decision.ID)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprintf("%+v", x.Record.Decision), fmt.Sprintf("%+v", answer.Decision); got != want {
		t.Errorf("explained as %s, was %s", got, want)
	}
	if v := x.Record.Decision.Verdicts[1]; v.Reason != decide.RateLimited || !v.Until.Equal(testStart.Add(time.Minute)) {
		t.Errorf("%+v", v)
	}
}

// TestHistoryOfColdIsBounded: a pool that cools as a whole does not make the history grow.
func TestHistoryOfColdIsBounded(t *testing.T) {
	grown := heapAfter(t, historyBytes, func(h *house) {
		accounts := manyAccounts(500, 1)
		h.apply(accounts...)
		for range accounts[1:] {
			h.reports(limited(h.take(core.Request{Group: "main", Model: "m"}).Token, time.Hour, 0), core.EventApplied)
		}
		for range 3000 {
			h.ask(core.Request{Group: "main", Model: "m", DryRun: true})
		}
	})
	if most := 2*historyBytes + 1<<20; grown > most {
		t.Errorf("%d bytes, at most %d", grown, most)
	}
}

// TestClientErrorStorm: what clients do wrong changes no score.
func TestClientErrorStorm(t *testing.T) {
	h := newHouse(t, plain(2, 0), recommended)
	h.reports(finished(h.on(mainRequest, "a"), core.OutcomeSuccess), core.EventApplied)
	before := h.state().Accounts
	for i := range 3000 {
		e := finished(h.take(mainRequest).Token, []core.Outcome{core.OutcomeClientError, core.OutcomeCancelled, core.OutcomeCallerTimeout}[i%3])
		h.reports(e, core.EventApplied)
	}
	for i, a := range h.state().Accounts {
		if a.Stat != before[i].Stat || a.Blocked != decide.None {
			t.Errorf("%+v, was %+v", a, before[i])
		}
	}
}

// TestStatisticsFade: a failing account that rests becomes like one that nobody knows.
func TestStatisticsFade(t *testing.T) {
	h := newHouse(t, plain(2, 0), recommended)
	for range 20 {
		h.reports(finished(h.on(mainRequest, "a"), core.OutcomeAccountError), core.EventApplied)
		h.reports(finished(h.on(mainRequest, "b"), core.OutcomeSuccess), core.EventApplied)
	}
	score := func(id string) float64 {
		for _, v := range h.ask(core.Request{Group: "main", DryRun: true, Explain: true}).Decision.Verdicts {
			if v.Account.ID == id {
				return v.Score
			}
		}
		return 0
	}
	apart := score("b") - score("a")
	h.clock.advance(20 * time.Minute)
	if now := score("b") - score("a"); apart < 0.7 || now > apart/3 || now <= 0 {
		t.Errorf("apart by %v, after two half-lives by %v", apart, now)
	}
	h.clock.advance(2 * time.Hour)
	if score("b") != score("a") || h.account("a").Stat != (decide.Stat{}) {
		t.Errorf("after hours: %v and %v", score("a"), score("b"))
	}
}

// TestTTFTOfTheModel: the time of another model does not count.
func TestTTFTOfTheModel(t *testing.T) {
	h := newHouse(t, plain(2, 0), under(func(p *decide.Policy) { p.TTFTPerModel = true }))
	h.reports(firstToken(h.on(of("big"), "a"), 9*time.Second), core.EventApplied)
	h.reports(firstToken(h.on(of("small"), "a"), 100*time.Millisecond), core.EventApplied)
	h.reports(firstToken(h.on(of("small"), "b"), time.Second), core.EventApplied)
	req := of("small")
	req.DryRun, req.Explain = true, true
	v := h.ask(req).Decision.Verdicts
	if v[0].Stat.TTFT != 100 || v[0].Factors.TTFT != 1 || v[1].Factors.TTFT != 0 {
		t.Errorf("%+v", v)
	}
}
