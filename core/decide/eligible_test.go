package decide

import (
	"slices"
	"testing"
	"time"

	"usher.internal/core/pool"
)

var (
	now   = time.Unix(1_700_000_000, 0)
	later = now.Add(time.Minute)
	v2    = pool.TransportsOf(pool.ResponsesWebSocketsV2)
)

// flaws lists every way to be refused in the order of the checks; each changes a fit
// account or what is asked of it.
var flaws = []struct {
	reason Reason
	until  time.Time
	apply  func(*pool.Account, *Fitness)
	layers []Layer // nil is all
}{
	{ExcludedByCaller, time.Time{}, func(a *pool.Account, f *Fitness) { f.Excluded = []string{"", "x", a.ID} }, nil},
	{ResponseTransport, time.Time{}, func(_ *pool.Account, f *Fitness) { f.ResponseTransports = v2 }, []Layer{LayerResponse}},
	{Provider, time.Time{}, func(a *pool.Account, _ *Fitness) { a.Provider = "other" }, nil},
	{StatusError, time.Time{}, func(a *pool.Account, _ *Fitness) { a.Status = pool.StatusError }, nil},
	{StatusDisabled, time.Time{}, func(a *pool.Account, _ *Fitness) { a.Status = pool.StatusDisabled }, nil},
	{StateDisabled, time.Time{}, func(a *pool.Account, _ *Fitness) { a.State = pool.Disabled }, nil},
	{Paused, time.Time{}, func(a *pool.Account, _ *Fitness) { a.State = pool.Paused }, nil},
	{Draining, time.Time{}, func(a *pool.Account, _ *Fitness) { a.State, a.DrainUntil = pool.Draining, now }, nil},
	{Unschedulable, time.Time{}, func(a *pool.Account, _ *Fitness) { a.Unschedulable = true }, nil},
	{TempUnschedulable, later, func(a *pool.Account, _ *Fitness) { a.TempUnschedulableUntil = later }, nil},
	{ModelLimited, later, func(a *pool.Account, _ *Fitness) {
		a.ModelLimits = map[string]time.Time{"up": later, "m": later}
	}, nil},
	{ModelUnmapped, time.Time{}, func(a *pool.Account, _ *Fitness) {
		a.Models = pool.NewModels(map[string]string{"other": "up"})
	}, nil},
	{Transport, time.Time{}, func(_ *pool.Account, f *Fitness) { f.Query.Transport = pool.ResponsesWebSocketsV2 }, nil},
	{Overloaded, later, func(a *pool.Account, _ *Fitness) { a.OverloadedUntil = later }, nil},
	{RateLimited, later, func(a *pool.Account, _ *Fitness) { a.RateLimitedUntil = later }, nil},
	{OutsideGroup, time.Time{}, func(a *pool.Account, _ *Fitness) { a.Groups = []string{"h"} }, nil},
	{Expired, time.Time{}, func(a *pool.Account, _ *Fitness) { a.AutoPauseOnExpired, a.ExpiresAt = true, now }, nil},
	{StatusUnknown, time.Time{}, func(a *pool.Account, _ *Fitness) { a.Status = pool.StatusUnknown }, nil},
}

var layers = []Layer{LayerLoadBalance, LayerResponse, LayerSession}

func fit() (pool.Account, Fitness) {
	a := pool.Account{
		ID: "a", Provider: "p", Groups: []string{"g"}, Transports: pool.TransportsOf(pool.HTTPSSE),
		Models: pool.NewModels(map[string]string{"m": " up "}),
	}
	f := Fitness{
		Query:    pool.Query{Group: "g", Model: "m", Provider: "p", Transport: pool.HTTPSSE},
		Excluded: []string{"", "b"},
	}
	return a, f
}

func TestEligibleRows(t *testing.T) {
	for _, layer := range layers {
		a, f := fit()
		f.Layer = layer
		if r, until := Eligible(&a, nil, &f, now); r != None || !until.IsZero() {
			t.Errorf("%v: %v until %v", layer, r, until)
		}
		for i, flaw := range flaws {
			if !applies(flaw.layers, layer) {
				continue
			}
			a, f := fit()
			f.Layer = layer
			flaw.apply(&a, &f)
			if r, until := Eligible(&a, nil, &f, now); r != flaw.reason || !until.Equal(flaw.until) {
				t.Errorf("%v: got %v until %v, want %v", layer, r, until, flaw.reason)
			}
			for _, other := range flaws[i+1:] {
				b, g := a, f
				other.apply(&b, &g)
				if sameField(flaw.reason, other.reason) {
					continue
				}
				if r, _ := Eligible(&b, nil, &g, now); r != flaw.reason {
					t.Errorf("%v: with %v and %v got %v", layer, flaw.reason, other.reason, r)
				}
			}
		}
	}
	if n := len(flaws) + len(onlyCold); n != len(Reasons())-1 { // all but Unknown
		t.Errorf("%d of %d reasons are tried", n, len(Reasons())-1)
	}
}

// sameField tells that two flaws cannot be had at once.
func sameField(a, b Reason) bool {
	states := func(r Reason) bool { return r == StateDisabled || r == Paused || r == Draining }
	statuses := func(r Reason) bool { return r == StatusError || r == StatusDisabled || r == StatusUnknown }
	return states(a) && states(b) || statuses(a) && statuses(b)
}

func applies(only []Layer, l Layer) bool {
	return len(only) == 0 || only[0] == l
}

func TestEligibleUnknown(t *testing.T) {
	set, err := pool.NewSet([]pool.Account{{ID: "a"}})
	if err != nil {
		t.Fatal(err)
	}
	f := Fitness{Layer: LayerSession, Excluded: []string{"gone", ""}}
	cases := map[string]Reason{"a": None, "gone": ExcludedByCaller, "other": Unknown}
	for id, want := range cases {
		a, _ := set.Lookup(id)
		if r, _ := EligibleID(id, a, nil, &f, now); r != want {
			t.Errorf("%s: %v", id, r)
		}
	}
	if r, _ := Eligible(nil, nil, &f, now); r != Unknown {
		t.Errorf("nil: %v", r)
	}
}

func TestDeadlineBoundary(t *testing.T) {
	deadlines := map[Reason]func(*pool.Account, time.Time){
		TempUnschedulable: func(a *pool.Account, at time.Time) { a.TempUnschedulableUntil = at },
		RateLimited:       func(a *pool.Account, at time.Time) { a.RateLimitedUntil = at },
		Overloaded:        func(a *pool.Account, at time.Time) { a.OverloadedUntil = at },
		ModelLimited: func(a *pool.Account, at time.Time) {
			a.ModelLimits = map[string]time.Time{"up": at}
		},
	}
	for want, set := range deadlines {
		a, f := fit()
		set(&a, now)
		if r, _ := Eligible(&a, nil, &f, now); r != None {
			t.Errorf("at its deadline: %v", r)
		}
		if r, until := Eligible(&a, nil, &f, now.Add(-1)); r != want || !until.Equal(now) {
			t.Errorf("just before: %v until %v", r, until)
		}
	}
	a, f := fit()
	a.AutoPauseOnExpired, a.ExpiresAt = true, now
	if r, _ := Eligible(&a, nil, &f, now.Add(-1)); r != None {
		t.Errorf("before expiry: %v", r)
	}
	a.AutoPauseOnExpired = false
	if r, _ := Eligible(&a, nil, &f, now); r != None {
		t.Errorf("expiry without auto pause: %v", r)
	}
}

func TestDraining(t *testing.T) {
	for _, c := range []struct {
		layer Layer
		until time.Time
		want  Reason
	}{
		{LayerLoadBalance, time.Time{}, Draining},
		{LayerLoadBalance, later, Draining},
		{LayerSession, time.Time{}, None},
		{LayerSession, later, None},
		{LayerResponse, later, None},
		{LayerResponse, now, Draining},
		{LayerSession, now, Draining},
		{LayerSession, now.Add(1), None},
	} {
		a, f := fit()
		a.State, a.DrainUntil, f.Layer = pool.Draining, c.until, c.layer
		if r, until := Eligible(&a, nil, &f, now); r != c.want || !until.IsZero() {
			t.Errorf("%+v: %v until %v", c, r, until)
		}
	}
}

func TestModelLimitNames(t *testing.T) {
	limited := func(mapping map[string]string, limit, model string) Reason {
		a := pool.Account{ID: "a", Models: pool.NewModels(mapping), ModelLimits: map[string]time.Time{limit: later}}
		r, _ := Eligible(&a, nil, &Fitness{Query: pool.Query{Model: model}}, now)
		return r
	}
	for _, c := range []struct {
		mapping      map[string]string
		limit, model string
		want         Reason
	}{
		{nil, "m", "m", ModelLimited},
		{nil, "m", " m\u205f", ModelLimited},
		{nil, "m", "", None},
		{map[string]string{"*": " m "}, "m", "x", ModelLimited},
		{map[string]string{"*": "m"}, "x", "x", None},
		{map[string]string{"*": "m"}, "m", "", ModelLimited},
		{map[string]string{"y": "m"}, "x", "x", ModelLimited}, // its own name, though unmapped
		{map[string]string{"y": "m"}, "m", "x", ModelUnmapped},
	} {
		if got := limited(c.mapping, c.limit, c.model); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestNextEligible(t *testing.T) {
	at := now.Add
	for _, c := range []struct {
		name string
		edit func(*pool.Account)
		want time.Time
	}{
		{"fit", func(*pool.Account) {}, now},
		{"one", func(a *pool.Account) { a.RateLimitedUntil = at(5) }, at(5)},
		{"later of two", func(a *pool.Account) { a.TempUnschedulableUntil, a.RateLimitedUntil = at(5), at(9) }, at(9)},
		{"later first", func(a *pool.Account) { a.TempUnschedulableUntil, a.OverloadedUntil = at(9), at(5) }, at(9)},
		{"never", func(a *pool.Account) { a.TempUnschedulableUntil, a.Status = at(5), pool.StatusUnknown }, time.Time{}},
		{"expires meanwhile", func(a *pool.Account) {
			a.RateLimitedUntil, a.ExpiresAt, a.AutoPauseOnExpired = at(5), at(5), true
		}, time.Time{}},
	} {
		a, f := fit()
		c.edit(&a)
		got, ok := NextEligible(&a, nil, &f, now)
		if !got.Equal(c.want) || ok == c.want.IsZero() {
			t.Errorf("%s: %v, %v", c.name, got, ok)
		}
	}
}

func TestFates(t *testing.T) {
	const K, D = Keep, Drop
	table := map[Reason][2]Fate{ // response, session
		None: {Take, Take}, ExcludedByCaller: {K, K}, Unknown: {D, D}, ResponseTransport: {K, K},
		Provider: {D, D}, StatusError: {D, D}, StatusDisabled: {D, D}, StateDisabled: {D, D},
		Paused: {K, K}, Draining: {K, K}, Unschedulable: {D, D}, TempUnschedulable: {D, D},
		ModelLimited: {D, D}, ModelUnmapped: {K, K}, Transport: {K, D}, Overloaded: {K, K}, RateLimited: {K, K},
		OutsideGroup: {D, D}, Expired: {D, D}, StatusUnknown: {D, D},
		AuthFailed: {K, K}, QuotaExhausted: {K, K}, Probing: {Probe, Probe},
	}
	if len(table) != int(reasonCount) {
		t.Fatalf("%d of %d reasons", len(table), reasonCount)
	}
	for r, want := range table {
		got := [2]Fate{FateOf(LayerResponse, r), FateOf(LayerSession, r)}
		if got != want {
			t.Errorf("%v: %v, want %v", r, got, want)
		}
		if lb := FateOf(LayerLoadBalance, r); (lb == Take) != (r == None) || lb == Drop {
			t.Errorf("%v: %v on load balance", r, lb)
		}
	}
}

func TestNames(t *testing.T) {
	seen := map[string]bool{}
	for r := None; r < reasonCount; r++ {
		if s := r.String(); s == "" || s == "invalid" || seen[s] {
			t.Errorf("reason %d: %q", r, s)
		}
		seen[r.String()] = true
	}
	for _, s := range []string{reasonCount.String(), Layer(9).String(), Fate(9).String()} {
		if s != "invalid" {
			t.Error(s)
		}
	}
	if LayerResponse.String() != "previous_response_id" || LayerSession.String() != "session_hash" ||
		LayerLoadBalance.String() != "load_balance" || Drop.String() != "drop" {
		t.Error("names of layers or fates")
	}
}

func TestLimitedModels(t *testing.T) {
	in := now.Add
	a := &pool.Account{ID: "a", ModelLimits: map[string]time.Time{"x": in(time.Second), "over": in(-time.Second), "both": in(time.Minute)}}
	c := (*Cold)(nil).Cooled("y", in(time.Hour), RateLimited).Cooled("both", in(time.Hour), RateLimited).Cooled("past", in(-time.Hour), RateLimited)
	want := []ModelLimit{{"both", in(time.Hour)}, {"x", in(time.Second)}, {"y", in(time.Hour)}}
	if got := LimitedModels(a, c, now); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := LimitedModels(&pool.Account{ID: "b"}, nil, now); got != nil {
		t.Errorf("got %v", got)
	}
}
