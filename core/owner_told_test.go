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

// TestOverflow: an owner that lost more than is kept hears so, and its next heartbeat, on whichever stream, tells the rest.
func TestOverflow(t *testing.T) {
	withOwners(t, plain(1, 0), func(h *house) {
		a := h.attach("many", "1", false)
		tokens := h.takes(ofOwner("many", "1"), 700)
		h.beat(a, tokens...)
		later(20 * time.Second)
		h.inUse(0)
		heard := make(map[string]bool)
		for round := 0; len(heard) < len(tokens); round++ {
			if round == 3 {
				t.Fatalf("heard of %d", len(heard))
			}
			events := h.hears(a)
			for i, e := range events {
				if last := i == len(events)-1; (e.Kind == core.OwnerOverflow) != (last && round == 0) {
					t.Fatalf("round %d: event %d of %d is %+v", round, i, len(events), e)
				}
				if e.Kind == core.OwnerLeaseLost {
					heard[e.Token] = true
				}
			}
			a = h.attach("many", "1", false)
			h.beat(a, slices.DeleteFunc(slices.Clone(tokens), func(token string) bool { return heard[token] })...)
		}
	})
}

// TestAccountStates: owners hear of accounts that they hold leases on, in the latest state.
func TestAccountStates(t *testing.T) {
	withOwners(t, plain(2, 0), func(h *house) {
		a, other := h.attach("holds", "1", false), h.attach("idle", "1", false)
		holding := ofOwner("holds", "1")
		holding.Excluded = []string{"b"}
		token := h.take(holding).Token
		h.hearsLost(a, 0)
		accounts := plain(2, 0)
		for _, state := range []pool.State{pool.Paused, pool.Disabled, pool.Paused} {
			accounts[0].State, accounts[1].State = state, state
			h.apply(accounts...)
		}
		want := []core.OwnerEvent{{Kind: core.OwnerAccountState, Account: "a", State: pool.Paused, Blocked: decide.Paused}}
		if events := h.hears(a); !slices.Equal(events, want) {
			t.Errorf("heard %+v", events)
		}
		h.hearsLost(other, 0)
		h.apply(accounts...)
		h.hearsLost(a, 0) // nothing changed
		a.Detach()
		a = h.attach("holds", "1", false)
		if events := h.hears(a); !slices.Equal(events, want) {
			t.Errorf("heard %+v on return", events)
		}
		later(time.Second)
		accounts[0].State = pool.Active
		h.apply(accounts...)
		want[0].State, want[0].Blocked = pool.Active, decide.None
		if events := h.hears(a); !slices.Equal(events, want) {
			t.Errorf("heard %+v", events)
		}
		later(time.Second)
		accounts[0].OverloadedUntil = time.Now().Add(time.Minute)
		h.apply(accounts[:1]...)
		want[0].Blocked, want[0].BlockedUntil = decide.Overloaded, accounts[0].OverloadedUntil
		if events, err := a.Next(context.Background()); err != nil || !slices.Equal(events, want) {
			t.Errorf("heard %+v, %v", events, err)
		}
		h.release(token)
	})
}

// TestCooldownsAreTold: an owner hears that an account it uses was told to rest, and that it serves again; a storm is told in pauses.
func TestCooldownsAreTold(t *testing.T) {
	withOwners(t, plain(2, 0), func(h *house) {
		h.policy = decide.Recommended()
		h.apply(plain(2, 0)...)
		a, req := h.attach("holds", "1", false), ofOwner("holds", "1")
		req.Excluded = []string{"b"}
		tokens := h.takes(req, 50)
		h.hears(a)
		limited := func(token string, d time.Duration) {
			e := finished(token, core.OutcomeRateLimited)
			e.RetryAfter = d
			h.reports(e, core.EventApplied)
		}
		limited(tokens[0], time.Minute)
		events := h.hears(a)
		if len(events) != 1 || events[0].Account != "a" || events[0].Blocked != decide.RateLimited || !events[0].BlockedUntil.Equal(time.Now().Add(time.Minute)) {
			t.Fatalf("heard %+v", events)
		}
		heard := 0
		for n := range 40 {
			limited(tokens[n+1], time.Minute+time.Duration(n)*time.Second)
			later(10 * time.Millisecond)
			heard += len(h.hears(a))
		}
		if heard < 3 || heard > 5 {
			t.Errorf("heard %d times in 400 ms", heard)
		}
		h.beats(a, 2*time.Minute, tokens[41:]...)
		h.hears(a)
		h.reports(finished(tokens[41], core.OutcomeSuccess), core.EventApplied)
		if events := h.hears(a); len(events) != 1 || events[0].Account != "a" || events[0].Blocked != decide.None {
			t.Errorf("heard %+v", events)
		}
	})
}

// TestOwnerCountsAreBounded: owners that lost nothing for long are counted together.
func TestOwnerCountsAreBounded(t *testing.T) {
	withOwners(t, plain(1, 0), func(h *house) {
		for n := range 400 {
			h.take(ofOwner(fmt.Sprintf("pod-%03d", n), "1"))
			later(time.Millisecond) // ends come in this order
		}
		later(core.DefaultLeaseTTL + time.Minute)
		h.take(ofOwner("pod-399", "2"))
		later(core.DefaultLeaseTTL + time.Minute)
		counts, sum := h.state().LeaseEnds, uint64(0)
		for _, c := range counts {
			sum += c.Total
		}
		if h.ended("pod-143", "a", core.LeaseEndExpired) != 0 || h.ended("pod-144", "a", core.LeaseEndExpired) != 1 {
			t.Error("another than the one that lost nothing for the longest")
		}
		if len(counts) != 257 || sum != 401 || h.ended("pod-399", "a", core.LeaseEndExpired) != 2 {
			t.Errorf("%d rows, %d leases", len(counts), sum)
		}
	})
}
