package core_test

import (
	"testing"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/core/pool"
)

// docs/profiles.md names these tests: one for each knob that profile recommended sets.

var chat = core.Request{Group: "g"}

// knob runs a scene under profile recommended, and under the same with one knob as in profile reference.
func knob(t *testing.T, accounts []pool.Account, back func(p, reference *decide.Policy), scene func(*house) string, recommended, reference string) {
	t.Helper()
	turned, other := decide.Recommended(), decide.Reference()
	back(&turned, &other)
	for want, policy := range map[string]decide.Policy{recommended: decide.Recommended(), reference: turned} {
		h := newHouse(t, accounts, under(func(p *decide.Policy) { *p = policy }))
		if got := scene(h); got != want {
			t.Errorf("%s, want %s under %+v", got, want, policy)
		}
	}
}

// binding words how a session was served.
func binding(a *core.Answer) string {
	switch {
	case a.WaitPlan != nil:
		return "waits"
	case a.Selection == nil:
		return "refused"
	case a.Decision.Session.Fate == core.BindingEscaped:
		return "escaped"
	}
	return "hit"
}

func (h *house) failures(id string, n int) {
	h.tb.Helper()
	for range n {
		h.finish(h.on(chat, id), core.OutcomeAccountError)
	}
}

func TestProfileHalfLife(t *testing.T) {
	knob(t, manySlots("a"), func(p, r *decide.Policy) { p.HalfLife = r.HalfLife }, func(h *house) string {
		h.failures("a", 20)
		h.clock.advance(3 * time.Hour)
		if h.account("a").Stat == (decide.Stat{}) {
			return "forgotten"
		}
		return "held against it"
	}, "forgotten", "held against it")
}

func TestProfileSessionWhenFull(t *testing.T) {
	knob(t, oneSlot("a", "b"), func(p, r *decide.Policy) { p.SessionSpill = r.SessionSpill }, func(h *house) string {
		var held string
		h.conversation(&held)
		return binding(h.conversation())
	}, "escaped", "waits")
}

func TestProfileEscapeErrorRate(t *testing.T) {
	knob(t, manySlots("a", "b"), func(p, r *decide.Policy) { p.Escape.ErrorRate = r.Escape.ErrorRate }, func(h *house) string {
		h.failures(h.conversation().Selection.Account.ID, 20)
		return binding(h.conversation())
	}, "escaped", "hit")
}

func TestProfileEscapeTTFTFactor(t *testing.T) {
	knob(t, manySlots("a", "b", "c"), func(p, r *decide.Policy) { p.Escape.TTFTFactor = r.Escape.TTFTFactor }, func(h *house) string {
		return h.slowHome(10*time.Second, 100*time.Millisecond)
	}, "escaped", "hit")
}

func TestProfileEscapeTTFTFloor(t *testing.T) {
	knob(t, manySlots("a", "b", "c"), func(p, r *decide.Policy) { p.Escape.TTFTFloor = r.Escape.TTFTFloor }, func(h *house) string {
		return h.slowHome(90*time.Millisecond, time.Millisecond)
	}, "hit", "escaped")
}

// slowHome has a conversation's account take longer than the others, and tells what becomes of the conversation.
func (h *house) slowHome(slow, others time.Duration) string {
	home := h.conversation().Selection.Account.ID
	for _, id := range []string{"a", "b", "c"} {
		took := others
		if id == home {
			took = slow
		}
		for range 20 {
			token := h.on(chat, id)
			h.report(core.Event{Kind: core.EventFirstToken, Token: token, TTFT: took})
			h.finish(token, core.OutcomeSuccess)
		}
	}
	return binding(h.conversation())
}

func TestProfileEscapeLength(t *testing.T) {
	knob(t, manySlots("a", "b"), func(p, r *decide.Policy) { p.Escape.Length = r.Escape.Length }, func(h *house) string {
		var token string
		home := h.conversation(&token).Selection.Account.ID
		h.report(limited(token, 10*time.Minute, core.ScopeAccount))
		h.conversation()
		h.clock.advance(10 * time.Minute)
		if h.conversation().Selection.Account.ID == home {
			return "back home"
		}
		return "bound anew"
	}, "back home", "bound anew")
}

func TestProfileHalfOpen(t *testing.T) {
	knob(t, manySlots("a"), func(p, r *decide.Policy) { p.HalfOpen = r.HalfOpen }, func(h *house) string {
		h.report(limited(h.on(chat, "a"), time.Minute, core.ScopeAccount))
		h.clock.advance(time.Minute)
		h.on(chat, "a")
		if h.ask(chat).Selection == nil {
			return "one at a time"
		}
		return "all at once"
	}, "one at a time", "all at once")
}

func TestProfileAuthFailedPauses(t *testing.T) {
	knob(t, manySlots("a"), func(p, r *decide.Policy) { p.AuthFailedPauses = r.AuthFailedPauses }, func(h *house) string {
		h.finish(h.on(chat, "a"), core.OutcomeAuthFailed)
		h.clock.advance(24 * time.Hour)
		return binding(h.ask(chat))
	}, "refused", "hit")
}
