package storetest

import (
	"time"

	"usher.internal/core"
)

func cooldownChecks() []Check {
	return []Check{
		{"cooldown/later_deadline_stands", checkLater},
		{"cooldown/account_and_models_apart", checkCoolingApart},
		{"cooldown/ends_exactly_at_its_time", checkCoolingEnds},
		{"cooldown/warm", checkWarm},
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

func checkWarm(t TB, h *Harness) {
	r := newRig(t, h, 1)
	until := r.now().Add(time.Minute)
	whole, model := core.Cooldown{Account: "a", Until: until}, core.Cooldown{Account: "a", Model: "m", Until: until}
	r.cool(whole)
	r.cool(model)
	r.must(r.Warm(r.ctx, "a", ""))
	r.wantCooling(model)
	r.must(r.Warm(r.ctx, "a", "m"))
	r.must(r.Warm(r.ctx, "a", "m"))
	r.wantCooling()
	sooner := core.Cooldown{Account: "a", Until: until.Add(-time.Second)}
	r.cool(sooner)
	r.wantCooling(sooner)
}
