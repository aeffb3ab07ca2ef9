package core_test

import (
	"testing"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/core/pool"
)

// loosened is the house under the profile that lets sessions go.
func loosened(p *decide.Policy) { *p = decide.Recommended() }

// conversation is a Select of one session; it gives its slot back unless it is held.
func (h *house) conversation(held ...*string) *core.Answer {
	h.tb.Helper()
	a := h.ask(core.Request{SessionHash: "s", Group: "g"})
	if a.Selection == nil {
		return a
	}
	if len(held) > 0 {
		*held[0] = a.Selection.Token
		return a
	}
	h.finish(a.Selection.Token, core.OutcomeSuccess)
	return a
}

func (h *house) finish(token string, outcome core.Outcome) {
	h.tb.Helper()
	h.report(core.Event{Kind: core.EventFinished, Token: token, Outcome: outcome})
}

// other is the account of oneSlot that is not id.
func other(id string) string {
	if id == "a" {
		return "b"
	}
	return "a"
}

func wantFate(tb testing.TB, a *core.Answer, account string, fate core.BindingFate) {
	tb.Helper()
	if a.Selection == nil || a.Selection.Account.ID != account || a.Decision.Session.Fate != fate {
		tb.Fatalf("got %+v, session %+v; want %s and fate %d", a.Selection, a.Decision.Session, account, fate)
	}
}

func TestFullSessionSpills(t *testing.T) {
	h := newHouse(t, oneSlot("a", "b", "c"), under(loosened))
	var held string
	home := h.conversation(&held).Selection.Account.ID
	// The substitute is kept, so that the conversation does not wander.
	first := h.conversation()
	wantFate(t, first, first.Selection.Account.ID, core.BindingEscaped)
	if first.Selection.Account.ID == home {
		t.Fatal("served by the full account")
	}
	for range 5 {
		wantFate(t, h.conversation(), first.Selection.Account.ID, core.BindingEscaped)
	}
	h.finish(held, core.OutcomeSuccess)
	wantFate(t, h.conversation(), home, core.BindingHit)
}

func TestSessionEscapesFromABadAccount(t *testing.T) {
	h := newHouse(t, manySlots("a", "b"), under(loosened))
	home := h.conversation().Selection.Account.ID
	for range 20 {
		var token string
		a := h.conversation(&token)
		h.finish(token, core.OutcomeAccountError)
		if a.Selection.Account.ID != home {
			break
		}
	}
	escaped := h.conversation()
	wantFate(t, escaped, other(home), core.BindingEscaped)
	// What was learned fades; then the conversation comes home.
	h.clock.advance(40 * time.Minute)
	wantFate(t, h.conversation(), home, core.BindingHit)
}

func TestSessionLeavesALimitedAccountForAsLongAsItLasts(t *testing.T) {
	for name, tt := range map[string]struct {
		limit time.Duration
		fate  core.BindingFate
		after core.BindingFate
	}{
		"shorter than the binding": {10 * time.Minute, core.BindingEscaped, core.BindingHit},
		"longer than the binding":  {2 * time.Hour, core.BindingRebound, core.BindingHit},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, manySlots("a", "b"), under(loosened))
			var token string
			home := h.conversation(&token).Selection.Account.ID
			h.report(core.Event{
				Kind: core.EventFinished, Token: token, Outcome: core.OutcomeRateLimited, RetryAfter: tt.limit, Scope: core.ScopeAccount,
			})
			wantFate(t, h.conversation(), other(home), tt.fate)
			h.clock.advance(tt.limit)
			back := home
			if tt.fate == core.BindingRebound {
				back = other(home)
			}
			a := h.conversation()
			if tt.fate == core.BindingRebound && a.Decision.Session.Account == "" {
				return // the binding lapsed while nobody spoke
			}
			wantFate(t, a, back, tt.after)
		})
	}
}

func TestReferenceKeepsItsSessionsWaiting(t *testing.T) {
	h := newHouse(t, oneSlot("a", "b"))
	var held string
	home := h.conversation(&held).Selection.Account.ID
	a := h.conversation()
	if a.WaitPlan == nil || a.WaitPlan.Account.ID != home {
		t.Errorf("got %+v", a)
	}
}

func TestResponseOwnerIsRequired(t *testing.T) {
	h := newHouse(t, manySlots("a", "b"), under(func(p *decide.Policy) {
		loosened(p)
		p.ResponseRequireOwner = true
	}))
	a := h.ask(core.Request{SessionHash: "s", Group: "g"})
	home := a.Selection.Account.ID
	h.report(core.Event{Kind: core.EventFirstToken, Token: a.Selection.Token, ResponseID: "r"})
	h.report(core.Event{
		Kind: core.EventFinished, Token: a.Selection.Token, Outcome: core.OutcomeRateLimited, RetryAfter: time.Minute, Scope: core.ScopeAccount,
	})
	next := core.Request{PreviousResponseID: "r", SessionHash: "s", Group: "g"}
	got := h.ask(next)
	if got.Refusal == nil || got.Refusal.Reason != core.RefusedOwnerUnavailable ||
		got.Refusal.RetryAfter != time.Minute || got.Decision.Response.Account != home ||
		got.Decision.Response.Reason != decide.RateLimited {
		t.Fatalf("got %+v, decision %+v", got.Refusal, got.Decision.Response)
	}
	h.clock.advance(time.Minute)
	if got := h.ask(next); got.Selection == nil || got.Selection.Account.ID != home || !got.Decision.PreviousHit {
		t.Errorf("after the limit got %+v", got)
	}
}

// manySlots gives accounts with room to spare.
func manySlots(ids ...string) []pool.Account {
	out := oneSlot(ids...)
	for i := range out {
		out[i].MaxConcurrency = 100
	}
	return out
}

// A session whose account does badly goes back there when nobody else has room: that is no substitute, and it is not kept as one.
func TestNoAccountStandsInForItself(t *testing.T) {
	accounts := manySlots("a", "b")
	accounts[1].MaxConcurrency = 1
	h := newHouse(t, accounts, recommended, under(func(p *decide.Policy) { p.TopK = 1 }))
	conversation := core.Request{SessionHash: "s", Group: "g"}
	h.release(h.on(conversation, "a"))
	for range 20 {
		h.reports(finished(h.on(core.Request{Group: "g"}, "a"), core.OutcomeAccountError), core.EventApplied)
	}
	busy := h.on(core.Request{Group: "g"}, "b")
	for _, state := range []pool.State{pool.Active, pool.Draining} {
		accounts[0].State = state
		h.apply(accounts...)
		a := h.ask(conversation)
		if a.Selection == nil || a.Selection.Account.ID != "a" || a.Decision.Session.Fate != core.BindingHit || !a.Decision.SessionHit {
			t.Fatalf("nobody else has room: %s", describe(a))
		}
	}
	h.release(busy)
	wantFate(t, h.ask(conversation), "b", core.BindingEscaped)
}

// What a probe that is out keeps from its account escapes, and comes home: it is away for less than any cooldown.
func TestSessionsEscapeAProbeThatIsOut(t *testing.T) {
	for _, full := range []bool{false, true} {
		h := newHouse(t, manySlots("a", "b"), recommended, under(func(p *decide.Policy) { p.SessionSpill = full }))
		asks := func(session string) core.Request { return core.Request{SessionHash: session, Group: "g"} }
		h.release(h.on(asks("cooling"), "a"), h.on(asks("probing"), "a"))
		h.reports(limited(h.on(core.Request{Group: "g"}, "a"), time.Minute, core.ScopeAccount), core.EventApplied)
		wantFate(t, h.ask(asks("cooling")), "b", core.BindingEscaped)
		h.clock.advance(time.Minute)
		probe := h.on(core.Request{Group: "g"}, "a")
		for _, session := range []string{"cooling", "probing", "probing"} {
			a := h.ask(asks(session))
			wantFate(t, a, "b", core.BindingEscaped)
			if a.Decision.Session.Reason != decide.Probing {
				t.Errorf("%s: %+v", session, a.Decision.Session)
			}
		}
		h.reports(finished(probe, core.OutcomeSuccess), core.EventApplied)
		for _, session := range []string{"cooling", "probing"} {
			wantFate(t, h.ask(asks(session)), "a", core.BindingHit)
		}
	}
}
