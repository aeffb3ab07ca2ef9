package storetest

import (
	"strconv"
	"time"

	"usher.internal/core"
)

func cooldownChecks() []Check {
	return []Check{
		{"cooldown/later_deadline_stands", checkLater},
		{"cooldown/account_and_models_apart", checkCoolingApart},
		{"cooldown/ends_exactly_at_its_time", checkCoolingEnds},
		{"cooldown/warm", checkWarm},
		{"cooldown/stands_while_kept", checkKept},
		{"cooldown/without_a_deadline", checkEndless},
		{"cooldown/very_many_are_not_kept", checkVeryMany},
	}
}

func (r *rig) cool(c core.Cooldown) core.Cooldown {
	r.Helper()
	got, err := r.Cool(r.ctx, c)
	if err != nil {
		r.stop("Cool: %v", err)
	}
	return got
}

// wantCooling expects exactly these deadlines, in this order.
func (r *rig) wantCooling(want ...core.Cooldown) {
	r.Helper()
	got, err := r.Cooling(r.ctx)
	if err != nil {
		r.stop("Cooling: %v", err)
	}
	same := len(got) == len(want)
	for i := 0; same && i < len(want); i++ {
		same = sameCooldown(got[i], want[i])
	}
	if !same {
		r.Errorf("cooling are %+v, want %+v", got, want)
	}
}

func sameCooldown(a, b core.Cooldown) bool {
	same := a.Until.Equal(b.Until)
	a.Until = b.Until
	return same && a == b
}

func checkLater(t TB, h *Harness) {
	r := newRig(t, h, 1)
	now := r.now()
	middle := core.Cooldown{Account: "a", Until: now.Add(2 * time.Minute), Reason: 4}
	earlier := core.Cooldown{Account: "a", Until: now.Add(time.Minute), Reason: 5}
	later := core.Cooldown{Account: "a", Until: now.Add(3 * time.Minute), Reason: 6}
	for _, row := range []struct{ set, stands core.Cooldown }{
		{middle, middle}, {earlier, middle}, {middle, middle}, {later, later}, {middle, later},
	} {
		if got := r.cool(row.set); !sameCooldown(got, row.stands) {
			r.Errorf("setting %+v answered %+v, want %+v", row.set, got, row.stands)
		}
		r.wantCooling(row.stands)
	}
}

func checkCoolingApart(t TB, h *Harness) {
	r := newRig(t, h, 1)
	until := r.now().Add(time.Minute)
	at := func(account, model string) core.Cooldown {
		return core.Cooldown{Account: account, Model: model, Until: until}
	}
	for _, c := range []core.Cooldown{at("b", ""), at("a", "n"), at("a", "m"), at("a", "")} {
		r.cool(c)
	}
	r.wantCooling(at("a", ""), at("a", "m"), at("a", "n"), at("b", ""))
}

func checkCoolingEnds(t TB, h *Harness) {
	r := newRig(t, h, 1)
	now := r.now()
	c := core.Cooldown{Account: "a", Until: now.Add(time.Minute)}
	r.cool(c)
	r.advance(time.Minute - instant)
	r.wantCooling(c)
	r.advance(instant)
	r.wantCooling()
	if got := r.cool(c); got != (core.Cooldown{}) { // over already: sets nothing
		r.Errorf("answered %+v", got)
	}
	r.wantCooling()
	again := core.Cooldown{Account: "a", Until: now.Add(90 * time.Second), Reason: 2}
	r.cool(again)
	r.sweep(10)
	r.wantCooling(again)
}

// checkWarm: what is removed is the deadline of the account, or of the model on it alone, unless a later one stands.
func checkWarm(t TB, h *Harness) {
	r := newRig(t, h, 1)
	until := r.now().Add(time.Minute)
	whole, model := core.Cooldown{Account: "a", Until: until}, core.Cooldown{Account: "a", Model: "m", Until: until}
	r.cool(whole)
	r.cool(model)
	r.must(r.Warm(r.ctx, core.Cooldown{Account: "a", Until: until.Add(-time.Second)}))
	r.wantCooling(whole, model)
	r.must(r.Warm(r.ctx, whole))
	r.wantCooling(model)
	r.must(r.Warm(r.ctx, core.Cooldown{Account: "a", Model: "m"}))
	r.must(r.Warm(r.ctx, model))
	r.wantCooling()
	sooner := core.Cooldown{Account: "a", Until: until.Add(-time.Second)}
	r.cool(sooner)
	r.wantCooling(sooner)
}

// checkKept: a deadline that is kept stands once it is over, for exactly so long, until it is removed; a later one takes its place.
func checkKept(t TB, h *Harness) {
	r := newRig(t, h, 1)
	first := core.Cooldown{Account: "a", Until: r.now().Add(time.Minute), Keep: time.Hour, Reason: 4}
	r.cool(first)
	r.advance(time.Minute)
	r.sweep(10)
	r.wantCooling(first)
	late := core.Cooldown{Account: "b", Until: r.now().Add(-time.Second), Keep: time.Minute, Reason: 4}
	if got := r.cool(late); !sameCooldown(got, late) { // as after an outage
		r.Errorf("answered %+v, want %+v", got, late)
	}
	r.wantCooling(first, late)
	r.must(r.Warm(r.ctx, late))
	again := core.Cooldown{Account: "a", Until: r.now().Add(time.Minute), Keep: time.Minute, Reason: 5}
	r.cool(again)
	if got := r.cool(first); !sameCooldown(got, again) {
		r.Errorf("answered %+v, want %+v", got, again)
	}
	r.must(r.Warm(r.ctx, first)) // the success of a probe of before
	r.advance(2*time.Minute - instant)
	r.sweep(10)
	r.wantCooling(again)
	r.advance(instant)
	r.wantCooling()
	r.must(r.Warm(r.ctx, again))
}

// checkEndless: what has no deadline is later than any, and stands until it is removed as such.
func checkEndless(t TB, h *Harness) {
	r := newRig(t, h, 1)
	limited := core.Cooldown{Account: "a", Until: r.now().Add(time.Minute), Keep: time.Minute, Reason: 4}
	paused := core.Cooldown{Account: "a", Reason: 5}
	r.cool(limited)
	for _, c := range []core.Cooldown{paused, limited, paused} {
		if got := r.cool(c); !sameCooldown(got, paused) {
			r.Errorf("setting %+v answered %+v, want %+v", c, got, paused)
		}
	}
	r.must(r.Warm(r.ctx, limited))
	r.advance(1000 * time.Hour)
	r.sweep(10)
	r.wantCooling(paused)
	e := of(r.hold(0), core.SettleFinished)
	e.Cool = core.Cooldown{Account: "b", Model: "m", Reason: 5}
	r.settle(e)
	r.wantCooling(paused, e.Cool)
	r.must(r.Warm(r.ctx, paused))
	r.wantCooling(e.Cool)
}

// checkVeryMany: from some number on a deadline is not kept once it is over.
func checkVeryMany(t TB, h *Harness) {
	r := newRig(t, h, 1)
	until := r.now().Add(time.Minute)
	for i := range 4200 {
		r.cool(core.Cooldown{Account: "a", Model: strconv.Itoa(i), Until: until, Keep: time.Hour})
	}
	count := func() int {
		list, err := r.Cooling(r.ctx)
		if err != nil {
			r.stop("Cooling: %v", err)
		}
		return len(list)
	}
	if got := count(); got != 4200 {
		r.Errorf("%d deadlines stand, want all", got)
	}
	r.advance(time.Minute)
	if got := count(); got < 1000 || got >= 4200 {
		r.Errorf("%d deadlines are kept", got)
	}
}
