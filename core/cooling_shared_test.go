package core_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/store/memstore"
)

// warmings counts what a store is told to warm.
type warmings struct {
	core.Store
	calls *atomic.Int64
}

// Warm counts.
func (s *warmings) Warm(ctx context.Context, cooldown core.Cooldown) error {
	s.calls.Add(1)
	return s.Store.Warm(ctx, cooldown)
}

// ushers is several schedulers on one store.
type ushers struct {
	t     *testing.T
	store *memstore.Store
	// warmed counts calls of Warm by all of them.
	warmed atomic.Int64
}

// onOneStore runs a test in a bubble, where a store stands that schedulers share.
func onOneStore(t *testing.T, test func(u *ushers)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		store, err := memstore.New(memstore.Options{Secret: make([]byte, 32)})
		if err != nil {
			t.Fatal(err)
		}
		test(&ushers{t: t, store: store})
	})
}

// start adds a scheduler with an account of ten slots.
func (u *ushers) start() *house {
	h := settle(u.t, u.store, plain(1, 10), recommended, with(func(o *core.Options) { o.Shared = true }),
		over(func(s core.Store) core.Store { return &warmings{s, &u.warmed} }))
	synctest.Wait()
	return h
}

// grants wants so many of five requests to be granted at once by each, and takes them back.
func (u *ushers) grants(want int, all ...*house) {
	u.t.Helper()
	for i, h := range all {
		var tokens []string
		for range 5 {
			if answer := h.ask(mainRequest); answer.Selection != nil {
				tokens = append(tokens, answer.Selection.Token)
			}
		}
		if len(tokens) != want {
			u.t.Fatalf("usher %d grants %d at once, want %d", i, len(tokens), want)
		}
		h.release(tokens...)
	}
}

// TestProbationEndsEverywhere: one success that one usher is told of ends it for all, and costs one call of the store.
func TestProbationEndsEverywhere(t *testing.T) {
	for _, scope := range []core.LimitScope{core.ScopeAccount, core.ScopeModel} {
		onOneStore(t, func(u *ushers) {
			a, b, c := u.start(), u.start(), u.start()
			a.reports(finished(a.take(mainRequest).Token, core.OutcomeSuccess), core.EventApplied)
			a.reports(limited(a.take(mainRequest).Token, 10*time.Second, scope), core.EventApplied)
			later(time.Second)
			u.grants(0, a, b, c)
			later(9 * time.Second)
			u.grants(1, a, b, c)
			later(time.Minute)
			d := u.start() // knows of it too
			u.grants(1, a, b, c, d)
			b.reports(finished(a.take(mainRequest).Token, core.OutcomeSuccess), core.EventApplied)
			later(time.Second)
			u.grants(5, a, b, c, d)
			for range 3 {
				b.reports(finished(a.take(mainRequest).Token, core.OutcomeSuccess), core.EventApplied)
			}
			if list := a.cooling(); u.warmed.Load() != 1 || len(list) != 0 {
				t.Errorf("%d calls, %+v stands", u.warmed.Load(), list)
			}
		})
	}
}

// TestSuccessEndsNoLaterCooldown: that of a probe which another usher has heard fail meanwhile.
func TestSuccessEndsNoLaterCooldown(t *testing.T) {
	onOneStore(t, func(u *ushers) {
		a, b := u.start(), u.start()
		first, second := a.take(mainRequest).Token, a.take(mainRequest).Token
		a.reports(limited(a.take(mainRequest).Token, 10*time.Second, 0), core.EventApplied)
		later(time.Minute)
		a.reports(limited(first, 10*time.Second, 0), core.EventApplied)
		b.reports(finished(second, core.OutcomeSuccess), core.EventApplied) // has not heard of the second cooldown, or has
		later(time.Second)
		u.grants(0, a, b)
		later(9 * time.Second)
		u.grants(1, a, b)
	})
}

// TestProbationIsForgotten: after the longest cooldown, by the store too.
func TestProbationIsForgotten(t *testing.T) {
	onOneStore(t, func(u *ushers) {
		a, b := u.start(), u.start()
		a.reports(limited(a.take(mainRequest).Token, time.Minute, 0), core.EventApplied)
		later(a.policy.Longest() + time.Minute - time.Second)
		u.grants(1, a, b)
		later(3 * time.Second)
		u.grants(5, a, b)
		if list := a.cooling(); len(list) != 0 {
			t.Errorf("%+v stands", list)
		}
	})
}

// TestRefusedCredentialsPauseEverywhere: for all ushers, until any of them starts.
func TestRefusedCredentialsPauseEverywhere(t *testing.T) {
	onOneStore(t, func(u *ushers) {
		a, b := u.start(), u.start()
		out := a.take(mainRequest).Token
		a.reports(finished(a.take(mainRequest).Token, core.OutcomeAuthFailed), core.EventApplied)
		later(time.Second)
		u.grants(0, a, b)
		b.reports(finished(out, core.OutcomeSuccess), core.EventApplied) // was on its way
		later(a.policy.Longest() * 3)
		u.grants(0, a, b)
		if no := b.refused(mainRequest, core.RefusedNoneEligible); no.Exclusions[0].Reason != decide.AuthFailed || !no.NextEligibleAt.IsZero() {
			t.Errorf("%+v", no)
		}
		c := u.start()
		later(time.Second)
		u.grants(5, a, b, c)
		b.reports(finished(b.take(mainRequest).Token, core.OutcomeAuthFailed), core.EventApplied)
		later(time.Second)
		u.grants(0, a, b, c)
	})
}

// TestOutageEndsNoProbation: what stands in for the store does not know what the store has.
func TestOutageEndsNoProbation(t *testing.T) {
	onOneStore(t, func(u *ushers) {
		stand, err := memstore.New(memstore.Options{Secret: make([]byte, 32)})
		if err != nil {
			t.Fatal(err)
		}
		var away atomic.Bool
		a := settle(u.t, u.store, plain(1, 10), recommended,
			over(func(s core.Store) core.Store { return &elsewhere{s, stand, &away} }),
			with(func(o *core.Options) { o.Shared, o.Degraded = true, away.Load }))
		a.reports(limited(a.take(mainRequest).Token, time.Minute, 0), core.EventApplied)
		later(2 * time.Minute)
		away.Store(true)
		later(2 * time.Second)
		u.grants(1, a)
		away.Store(false)
		later(2 * time.Second)
		u.grants(1, a)
	})
}

// elsewhere asks another store what cools while its own is away.
type elsewhere struct {
	core.Store
	stand core.Store
	away  *atomic.Bool
}

// Cooling lists what the one that answers has.
func (s *elsewhere) Cooling(ctx context.Context) ([]core.Cooldown, error) {
	if s.away.Load() {
		return s.stand.Cooling(ctx)
	}
	return s.Store.Cooling(ctx)
}
