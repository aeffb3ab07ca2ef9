package decide

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"usher.internal/core/pool"
)

// onlyCold are the reasons that no account has by itself.
var onlyCold = []Reason{AuthFailed, QuotaExhausted, Probing}

// chills are the reasons that come of an account's Cold.
var chills = []struct {
	reason Reason
	until  time.Time
	cold   *Cold
	layers []Layer // nil is all
}{
	{AuthFailed, time.Time{}, (*Cold)(nil).RefusedAuth(), nil},
	{ModelLimited, later, (*Cold)(nil).Cooled("up", later, RateLimited).Cooled("m", later, RateLimited), nil},
	{Overloaded, later, (*Cold)(nil).Cooled("", later, Overloaded), nil},
	{RateLimited, later, (*Cold)(nil).Cooled("", later, RateLimited), nil},
	{QuotaExhausted, later, (*Cold)(nil).Cooled("", later, QuotaExhausted), nil},
	{Probing, time.Time{}, (*Cold)(nil).Cooled("", now, Overloaded), []Layer{LayerResponse, LayerSession}},
	{Probing, time.Time{}, (*Cold)(nil).Cooled("up", now, Overloaded), []Layer{LayerResponse, LayerSession}},
	{None, time.Time{}, (*Cold)(nil).Cooled("", now, Overloaded), []Layer{LayerLoadBalance}},
	{None, time.Time{}, (*Cold)(nil).Cooled("another", later, Overloaded), nil},
}

// TestColdRows: each reason alone, and beside each flaw of the account: the first in order is given.
func TestColdRows(t *testing.T) {
	for _, layer := range layers {
		for _, chill := range chills {
			if chill.layers != nil && !slices.Contains(chill.layers, layer) {
				continue
			}
			a, f := fit()
			f.Layer, f.HalfOpen = layer, true
			if r, until := Eligible(&a, chill.cold, &f, now); r != chill.reason || !until.Equal(chill.until) {
				t.Errorf("%v: got %v until %v, want %v", layer, r, until, chill.reason)
			}
			for _, flaw := range flaws {
				if !applies(flaw.layers, layer) {
					continue
				}
				want := flaw.reason
				if chill.reason != None {
					want = min(want, chill.reason)
				}
				b, g := a, f
				flaw.apply(&b, &g)
				if r, _ := Eligible(&b, chill.cold, &g, now); r != want {
					t.Errorf("%v: with %v and %v got %v", layer, chill.reason, flaw.reason, r)
				}
			}
		}
	}
}

// TestHalfOpenOff: a cooldown that is over leaves nothing.
func TestHalfOpenOff(t *testing.T) {
	cold := (*Cold)(nil).Cooled("", now, Overloaded).Cooled("up", now, RateLimited)
	for _, layer := range layers {
		a, f := fit()
		f.Layer = layer
		if r, _ := Eligible(&a, cold, &f, now); r != None {
			t.Errorf("%v: %v", layer, r)
		}
	}
}

// TestLaterOfTwo: the account's own deadline and a learned one of the same reason.
func TestLaterOfTwo(t *testing.T) {
	for _, own := range []time.Duration{time.Second, time.Hour} {
		for _, learned := range []time.Duration{time.Minute, -time.Minute} {
			at, cold := now.Add(own), now.Add(learned)
			want := at
			if cold.After(at) {
				want = cold
			}
			a, f := fit()
			a.RateLimitedUntil = at
			if r, until := Eligible(&a, (*Cold)(nil).Cooled("", cold, RateLimited), &f, now); r != RateLimited || !until.Equal(want) {
				t.Errorf("%v until %v, want %v", r, until, want)
			}
			a, f = fit()
			a.ModelLimits = map[string]time.Time{"up": at}
			if r, until := Eligible(&a, (*Cold)(nil).Cooled("up", cold, Overloaded), &f, now); r != ModelLimited || !until.Equal(want) {
				t.Errorf("%v until %v, want %v", r, until, want)
			}
		}
	}
}

func TestCooled(t *testing.T) {
	at := now.Add
	var none *Cold
	c := none.Cooled("", at(5), RateLimited)
	if d := c.Cooled("", at(4), QuotaExhausted).Account(); d != (Deadline{at(5), RateLimited}) {
		t.Errorf("an earlier deadline stands: %+v", d)
	}
	if d := c.Cooled("", at(5), QuotaExhausted).Account(); d.Reason != RateLimited {
		t.Errorf("the first of two equal ones goes: %+v", d)
	}
	later := c.Cooled(" ", at(6), QuotaExhausted)
	if later.Account() != (Deadline{at(6), QuotaExhausted}) || c.Account() != (Deadline{at(5), RateLimited}) {
		t.Error("a later deadline does not stand, or the old value changed")
	}
	m := c.Cooled(" m ", at(7), Overloaded)
	if m.Model("m\t") != (Deadline{at(7), Overloaded}) || m.Model("") != (Deadline{}) || m.Account() != c.Account() ||
		c.Models() != 0 || m.Models() != 1 {
		t.Errorf("%+v", m)
	}
	if none.Account() != (Deadline{}) || none.AuthFailed() || none.Models() != 0 || none.Model("m") != (Deadline{}) ||
		none.Cleared("") != nil || none.Succeeded("m", now) != nil || none.Since(now) != nil || NeedsProbe(none, "m", now) {
		t.Error("nil is not nothing")
	}
}

func TestClearedAndSucceeded(t *testing.T) {
	at := now.Add
	all := (*Cold)(nil).Cooled("", at(-1), Overloaded).Cooled("m", at(-1), RateLimited).Cooled("n", at(-1), RateLimited).
		Cooled("o", at(1), QuotaExhausted).RefusedAuth()
	show := func(c *Cold) string {
		if c == nil {
			return "nil"
		}
		s := fmt.Sprint(!c.Account().Until.IsZero(), c.AuthFailed())
		for _, m := range []string{"m", "n", "o"} {
			if !c.Model(m).Until.IsZero() {
				s += " " + m
			}
		}
		return s
	}
	for _, c := range []struct {
		name, want string
		got        *Cold
	}{
		{"nothing done", "true true m n o", all},
		{"the account cleared", "false false m n o", all.Cleared("")},
		{"a model cleared", "true true n o", all.Cleared(" m")},
		{"an unknown model cleared", "true true m n o", all.Cleared("x")},
		{"success on a model", "false true n o", all.Succeeded("m", now)},
		{"success on a model that is running", "false true m n o", all.Succeeded("o", now)},
		{"success on another model", "false true m n o", all.Succeeded("x", now)},
		{"success without a model", "false true m n o", all.Succeeded("", now)},
		{"success while the account cools", "true true n o", all.Cooled("", at(1), RateLimited).Succeeded("m", now)},
		{"at the very end", "false true m n", all.Succeeded("o", at(1))},
		{"what is over", "false true o", all.Since(now)},
		{"what is kept", "false true m o", all.Kept(now, func(model string) bool { return model == "m" }, true)},
		{"what is kept without a pause", "true false n o", all.Kept(now, func(model string) bool { return model != "m" }, false)},
		{"what was over too late", "true true m n o", all.Kept(at(-2), func(string) bool { return false }, true)},
		{"all of it", "nil", all.Cleared("").Cleared("m").Cleared("n").Cleared("o")},
		{"all succeeded", "nil", (*Cold)(nil).Cooled("m", now, Overloaded).Succeeded("m", now)},
	} {
		if got := show(c.got); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	if show(all) != "true true m n o" {
		t.Error("a copy changed its origin")
	}
}

func TestNeedsProbe(t *testing.T) {
	c := (*Cold)(nil).Cooled("", now, Overloaded).Cooled("m", later, RateLimited).Cooled("n", now, RateLimited)
	for _, x := range []struct {
		model string
		at    time.Time
		want  bool
	}{
		{"x", now.Add(-1), false},
		{"x", now, true},
		{"n", now, true},
		{"m", now, true}, // for the account's sake
	} {
		if got := NeedsProbe(c, x.model, x.at); got != x.want {
			t.Errorf("%+v: %v", x, got)
		}
	}
	models := c.Cleared("")
	if NeedsProbe(models, "m", now) || !NeedsProbe(models, "m", later) || NeedsProbe(models, "", later) {
		t.Error("of a model alone")
	}
	if NeedsProbe((*Cold)(nil).RefusedAuth(), "m", later) {
		t.Error("refused credentials need no probe")
	}
}

// TestColdModelsBounded: the deadlines that end last are kept.
func TestColdModelsBounded(t *testing.T) {
	var c *Cold
	for i := range 3 * maxColdModels {
		c = c.Cooled(fmt.Sprint("m", i), now.Add(time.Duration(i*7%192+1)), RateLimited)
	}
	if c.Models() != maxColdModels || !slices.IsSortedFunc(c.models, func(a, b modelDeadline) int {
		return strings.Compare(a.model, b.model)
	}) {
		t.Fatalf("%d models: %v", c.Models(), c.models)
	}
	for _, m := range c.models {
		if m.Until.Before(now.Add(2*maxColdModels + 1)) {
			t.Errorf("%+v is kept", m)
		}
	}
	if full := c.Cooled("early", now.Add(1), Overloaded); full != c || full.Model("early") != (Deadline{}) || full.Models() != maxColdModels {
		t.Error("one that ends sooner than all others takes a place")
	}
}

// TestColdCounts: refusals and explanations see what makes accounts cold, and when they come back.
func TestColdCounts(t *testing.T) {
	accounts := []pool.Account{{ID: "a"}, {ID: "other", Provider: "q"}, {ID: "b", Ordinal: 1}, {ID: "c", Ordinal: 2}}
	set, err := pool.NewSet(accounts)
	if err != nil {
		t.Fatal(err)
	}
	p := Recommended()
	in := &Input{
		View: set.View(pool.Query{Model: "m"}), Request: &Request{Model: "m"}, Policy: &p, Now: now,
		Colds: []*Cold{
			(*Cold)(nil).Cooled("m", later, RateLimited).Cooled("", later.Add(1), QuotaExhausted),
			nil,
			(*Cold)(nil).RefusedAuth(),
			(*Cold)(nil).Cooled("", now, Overloaded),
		},
	}
	counts, next := CountReasons(in)
	if counts.Of(ModelLimited) != 1 || counts.Of(AuthFailed) != 1 || counts.Of(None) != 2 || next == nil || !next.Equal(later.Add(1)) {
		t.Errorf("%v, next %v", counts, next)
	}
	v := Explain(in, nil)
	if v[0].Reason != ModelLimited || !v[0].Until.Equal(later) || v[2].Reason != AuthFailed || v[3].Reason != None || !v[3].Probe || v[1].Probe {
		t.Errorf("%+v", v)
	}
}
