package core

import (
	"fmt"
	"math"
	"testing"
	"time"

	"usher.internal/core/decide"
	"usher.internal/core/pool"
)

var coldStart = time.Unix(1_700_000_000, 0)

func TestLimitEnd(t *testing.T) {
	at := coldStart.Add
	for _, c := range []struct {
		name  string
		after time.Duration
		reset time.Time
		want  time.Duration // from now; 0 is none
	}{
		{"nothing said", 0, time.Time{}, 0},
		{"retry-after", 5 * time.Second, time.Time{}, 5 * time.Second},
		{"reset time", 0, at(7 * time.Second), 7 * time.Second},
		{"the later of two: reset", 5 * time.Second, at(7 * time.Second), 7 * time.Second},
		{"the later of two: retry-after", 9 * time.Second, at(7 * time.Second), 9 * time.Second},
		{"at most the longest", 2 * time.Hour, time.Time{}, time.Hour},
		{"reset at most the longest", 0, at(1000 * time.Hour), time.Hour},
		{"without measure", math.MaxInt64, at(math.MaxInt64), time.Hour},
		{"in the past", -time.Second, at(-time.Second), 0},
		{"now", 0, coldStart, 0},
		{"past reset, live retry-after", time.Second, at(-time.Hour), time.Second},
	} {
		end, ok := limitEnd(c.after, c.reset, time.Hour, coldStart)
		if end.Sub(coldStart) != c.want || ok != (c.want > 0) {
			t.Errorf("%s: %v, %v", c.name, end.Sub(coldStart), ok)
		}
	}
}

func TestCooldownOf(t *testing.T) {
	reference, recommended := decide.Reference(), decide.Recommended()
	until, late := coldStart.Add(time.Minute), coldStart.Add(decide.DefaultMaxCooldown)
	for _, c := range []struct {
		outcome Outcome
		scope   LimitScope
		model   string
		until   time.Time
		policy  *decide.Policy
		want    Cooldown
		none    bool
	}{
		{OutcomeSuccess, 0, "m", until, &recommended, Cooldown{}, true},
		{OutcomeAccountError, 0, "m", until, &recommended, Cooldown{}, true},
		{OutcomeUpstreamTimeout, 0, "m", until, &recommended, Cooldown{}, true},
		{OutcomeClientError, ScopeModel, "m", until, &recommended, Cooldown{}, true},
		{OutcomeRateLimited, 0, "m", until, &reference, Cooldown{Until: until, Reason: decide.RateLimited}, false},
		{OutcomeRateLimited, ScopeAccount, "m", until, &reference, Cooldown{Until: until, Reason: decide.RateLimited}, false},
		{OutcomeRateLimited, ScopeModel, "m", until, &reference, Cooldown{Model: "m", Until: until, Reason: decide.RateLimited}, false},
		{OutcomeRateLimited, ScopeModel, "", until, &reference, Cooldown{Until: until, Reason: decide.RateLimited}, false},
		{OutcomeQuotaExhausted, 0, "m", until, &recommended, Cooldown{Until: until, Reason: decide.QuotaExhausted}, false},
		{OutcomeQuotaExhausted, 0, "m", late.Add(1), &recommended, Cooldown{Until: late, Reason: decide.QuotaExhausted}, false},
		{OutcomeOverloaded, ScopeModel, "m", until, &recommended, Cooldown{Model: "m", Until: until, Reason: decide.Overloaded}, false},
		{OutcomeOverloaded, 0, "m", coldStart, &recommended, Cooldown{}, true}, // a base of 0
		{OutcomeAuthFailed, ScopeModel, "m", until, &recommended, Cooldown{Reason: decide.AuthFailed}, false},
		{OutcomeAuthFailed, 0, "m", until, &reference, Cooldown{}, true},
	} {
		got, ok := cooldownOf(c.outcome, c.scope, c.model, c.until, c.policy, coldStart)
		if ok == c.none || ok && got != c.want {
			t.Errorf("%v on %q for %q: %+v, %v, want %+v", c.outcome, c.scope, c.model, got, ok, c.want)
		}
	}
}

func newColds() *colds {
	c := new(colds)
	c.start(1)
	return c
}

func TestColdsTable(t *testing.T) {
	c, ordinals := newColds(), []int32{0, 5, 70}
	var memory []*decide.Cold
	quiet := func(when string) {
		t.Helper()
		if c.any() || c.gather(ordinals, &memory) != nil || c.of(5) != nil {
			t.Fatalf("%s: something is cold", when)
		}
	}
	quiet("at first")
	c.succeeded(5, "m", coldStart)
	c.clear(5, "")
	quiet("nothing to end")
	until := coldStart.Add(time.Minute)
	c.set(5, &Cooldown{Model: "m", Until: until, Reason: decide.RateLimited})
	c.set(70, &Cooldown{Until: until, Reason: decide.Overloaded})
	c.set(70, &Cooldown{Until: until.Add(-1), Reason: decide.RateLimited})
	got := c.gather(ordinals, &memory)
	if len(got) != 3 || got[0] != nil || got[1].Model("m").Until != until || got[2].Account().Reason != decide.Overloaded {
		t.Fatalf("%+v", got)
	}
	if c.gather([]int32{0, 4, 1000}, &memory) != nil {
		t.Error("others are cold")
	}
	c.succeeded(5, "m", until.Add(-1))
	if c.of(5) == nil {
		t.Error("a success shortens a cooldown")
	}
	c.succeeded(5, "m", until)
	c.clear(70, "")
	quiet("in the end")
	c.set(3, &Cooldown{Reason: decide.AuthFailed})
	if !c.of(3).AuthFailed() {
		t.Error("refused credentials are not kept")
	}
	c.succeeded(3, "", until)
	if !c.of(3).AuthFailed() {
		t.Error("a success forgives refused credentials")
	}
	c.clear(3, "")
	quiet("after the operator")
}

func TestColdsTidy(t *testing.T) {
	open, closed := decide.Recommended(), decide.Reference()
	open.MaxCooldown, closed.MaxCooldown = time.Hour, time.Hour
	for _, x := range []struct {
		policy *decide.Policy
		after  time.Duration
		want   bool
	}{
		{&closed, -1, true},
		{&closed, 0, false},
		{&open, 0, true},
		{&open, time.Hour - 1, true},
		{&open, time.Hour, false},
	} {
		c := newColds()
		c.set(2, &Cooldown{Until: coldStart, Reason: decide.RateLimited})
		c.tidy(coldStart.Add(x.after), x.policy)
		if (c.of(2) != nil) != x.want || c.any() != x.want {
			t.Errorf("%s after %v: %v", x.policy.Profile, x.after, c.of(2))
		}
	}
	c := newColds()
	c.overloaded(2, coldStart, coldStart)
	c.tidy(coldStart.Add(time.Hour), &open)
	if !c.any() {
		t.Error("overloads are forgotten too early")
	}
	if c.tidy(coldStart.Add(time.Hour+1), &open); c.any() {
		t.Error("overloads are never forgotten")
	}
}

// TestBackoffCounts: doubling by overloads in a row, a burst counting once, a success ending it.
func TestBackoffCounts(t *testing.T) {
	c, b := newColds(), decide.Backoff{Base: time.Second, Cap: 10 * time.Second}
	now := coldStart
	hit := func(granted time.Time, want time.Duration) {
		t.Helper()
		if got := c.backoff(7, granted, b); got != want {
			t.Fatalf("backoff %v, want %v", got, want)
		}
		c.overloaded(7, granted, now)
	}
	for _, want := range []time.Duration{1, 2, 4, 8, 10, 10} {
		granted := now.Add(time.Second)
		now = now.Add(2 * time.Second)
		for range 50 {
			hit(granted, time.Second*want) //nolint:durationcheck // want is in seconds
		}
	}
	if c.backoff(8, now, b) != time.Second {
		t.Error("another account pays")
	}
	c.succeeded(7, "m", now)
	if c.any() {
		t.Error("a success leaves something")
	}
	hit(now.Add(time.Second), time.Second)

	b.Jitter = 0.5
	seen := map[time.Duration]bool{}
	for range 100 {
		d := c.backoff(9, now, b)
		if d > time.Second || d <= time.Second/2 {
			t.Fatalf("with jitter: %v", d)
		}
		seen[d] = true
	}
	if len(seen) < 90 {
		t.Errorf("%d of 100 differ", len(seen))
	}
}

func TestColdsConcurrently(t *testing.T) {
	c, done := newColds(), make(chan struct{})
	for w := range 4 {
		go func() {
			defer func() { done <- struct{}{} }()
			var memory []*decide.Cold
			for i := range 2000 {
				ordinal := int32((i*7 + w) % 300)
				switch i % 5 {
				case 0:
					c.set(ordinal, &Cooldown{Model: fmt.Sprint(i % 3), Until: coldStart.Add(time.Duration(i)), Reason: decide.RateLimited})
				case 1:
					c.succeeded(ordinal, fmt.Sprint(i%3), coldStart.Add(time.Hour))
				case 2:
					c.overloaded(ordinal, coldStart.Add(time.Duration(i)), coldStart.Add(time.Duration(i)))
				case 3:
					c.gather([]int32{ordinal, 299}, &memory)
				default:
					c.of(int(ordinal))
				}
			}
		}()
	}
	for range 4 {
		<-done
	}
	for ordinal := range int32(300) {
		c.clear(ordinal, "")
		for i := range 3 {
			c.clear(ordinal, fmt.Sprint(i))
		}
	}
	if c.any() {
		t.Errorf("%d are counted, nobody is cold", c.taught.Load())
	}
}

func TestStatsFade(t *testing.T) {
	p := decide.Recommended()
	var s stats
	observe := func(ordinal int32, failed bool, ttft float64, after time.Duration) {
		s.observe(ordinal, sample{outcome: true, failed: failed, ttft: ttft, model: "m"}, &p, coldStart.Add(after))
	}
	observe(1, true, 100, 0)
	observe(0, false, 50, 5*time.Minute)
	got := make([]decide.Stat, 3)
	s.gather([]int32{1, 0, 9}, got, &p, coldStart.Add(10*time.Minute))
	if w := got[0].ErrorWeight; w < 0.099 || w > 0.101 || got[0].ErrorRate != 1 || got[0].TTFT != 100 {
		t.Errorf("one half-life: %+v", got[0])
	}
	if w := got[1].TTFTWeight; w < 0.141 || w > 0.142 {
		t.Errorf("half of one: %+v", got[1])
	}
	if got[2] != (decide.Stat{}) {
		t.Errorf("nobody: %+v", got[2])
	}
	s.gather([]int32{1}, got, &p, coldStart.Add(3*time.Hour))
	if got[0] != (decide.Stat{}) || s.accounts() != 2 {
		t.Errorf("after hours: %+v", got[0])
	}
	// What was learned hours ago does not outweigh what is learned now.
	for range 20 {
		observe(2, true, 0, 0)
	}
	observe(2, false, 0, 3*time.Hour)
	s.gather([]int32{2}, got, &p, coldStart.Add(3*time.Hour))
	if got[0].ErrorRate != 0 || got[0].ErrorWeight != 0.2 {
		t.Errorf("a success after hours: %+v", got[0])
	}
	// The clock of an older report does not make newer samples younger.
	observe(1, false, 10, 20*time.Minute)
	observe(1, false, 10, time.Minute)
	before := s.at[1]
	if before != 20*time.Minute {
		t.Errorf("as of %v", before)
	}
}

func TestTTFTPerModel(t *testing.T) {
	for _, half := range []time.Duration{0, time.Minute} {
		p := decide.Reference()
		p.HalfLife, p.TTFTPerModel = half, true
		set, err := pool.NewSet([]pool.Account{{ID: "a", Models: pool.NewModels(map[string]string{"x": " up "})}, {ID: "b", Ordinal: 1}})
		if err != nil {
			t.Fatal(err)
		}
		var s stats
		for _, o := range []struct {
			model string
			ttft  float64
		}{{"up", 100}, {"other", 900}} {
			s.observe(0, sample{outcome: true, ttft: o.ttft, model: o.model}, &p, coldStart)
		}
		got := make([]decide.Stat, 2)
		s.gatherView(set.View(pool.Query{Model: "x"}), got, &p, coldStart)
		if got[0].TTFT != 100 || !got[0].HasTTFT || got[1].HasTTFT {
			t.Errorf("half-life %v: %+v", half, got)
		}
		s.gatherView(set.View(pool.Query{Model: ""}), got, &p, coldStart)
		if got[0].HasTTFT {
			t.Errorf("of no model: %+v", got[0])
		}
		p.TTFTPerModel = false
		s.gatherView(set.View(pool.Query{Model: "x"}), got, &p, coldStart)
		if !got[0].HasTTFT || got[0].TTFT == 100 {
			t.Errorf("of the account: %+v", got[0])
		}
	}
}

// TestModelStatsBounded: the models that were silent for longest make room.
func TestModelStatsBounded(t *testing.T) {
	p := decide.Recommended()
	p.TTFTPerModel = true
	var s stats
	for i := range 5 * maxModelStats {
		for _, m := range []string{fmt.Sprint("m", i), "busy"} {
			s.observe(3, sample{ttft: 10, model: m}, &p, coldStart.Add(time.Duration(i)*time.Second))
		}
	}
	kept := s.models[3]
	if len(kept) != maxModelStats || findModel(kept, "busy") == nil || findModel(kept, fmt.Sprint("m", 5*maxModelStats-1)) == nil ||
		findModel(kept, "m0") != nil || len(s.models) != 4 {
		t.Errorf("%d of %d: %+v", len(kept), len(s.models), kept)
	}
}

// TestColdsAreCharged: a history pays for the cold rows of its records, and gets all of it back.
func TestColdsAreCharged(t *testing.T) {
	set, err := pool.NewSet([]pool.Account{{ID: "a"}, {ID: "b", Ordinal: 1}})
	if err != nil {
		t.Fatal(err)
	}
	h, view := newHistory(1<<20), set.View(pool.Query{})
	cold := (*decide.Cold)(nil).Cooled("m", coldStart, decide.RateLimited)
	charged := func(colds []*decide.Cold) int {
		h.push(&entry{view: view, colds: coldRows(colds)}, make([]decide.Load, 2), make([]decide.Stat, 2))
		bytes := h.held.bytes
		h.dropOldest()
		if h.held.bytes != 0 {
			t.Errorf("%d bytes are left", h.held.bytes)
		}
		return bytes
	}
	none, one, both := charged(nil), charged([]*decide.Cold{cold, nil}), charged([]*decide.Cold{cold, cold.RefusedAuth()})
	if one < none+100 || both < one+100 {
		t.Errorf("charged %d, %d, %d", none, one, both)
	}
}

func BenchmarkGather(b *testing.B) {
	for _, n := range []int{16, 256, 10000} {
		accounts := make([]pool.Account, n)
		for i := range accounts {
			accounts[i] = pool.Account{ID: fmt.Sprint(i), Ordinal: i}
		}
		set, err := pool.NewSet(accounts)
		if err != nil {
			b.Fatal(err)
		}
		view, dst := set.View(pool.Query{Model: "gpt-5"}), make([]decide.Stat, n)
		for _, mode := range []string{"reference", "fading", "per model"} {
			p := decide.Recommended()
			if mode == "reference" {
				p = decide.Reference()
			}
			p.TTFTPerModel = mode == "per model"
			var s stats
			for i := range n {
				for _, m := range []string{"a", "b", "gpt-5"} {
					s.observe(int32(i), sample{outcome: true, ttft: 10, model: m}, &p, coldStart.Add(time.Duration(i)*time.Second/100))
				}
			}
			now := coldStart.Add(10 * time.Minute)
			b.Run(fmt.Sprintf("%s/n=%d", mode, n), func(b *testing.B) {
				for b.Loop() {
					s.gatherView(view, dst, &p, now)
				}
			})
		}
	}
}

func BenchmarkGatherColds(b *testing.B) {
	const n = 256
	ordinals := make([]int32, n)
	for i := range ordinals {
		ordinals[i] = int32(i)
	}
	for _, cold := range []int{0, 1} {
		c := newColds()
		for i := range cold {
			c.set(int32(i), &Cooldown{Until: coldStart, Reason: decide.RateLimited})
		}
		b.Run(fmt.Sprintf("n=%d/cold=%d", n, cold), func(b *testing.B) {
			var memory []*decide.Cold
			for b.Loop() {
				c.gather(ordinals, &memory)
			}
		})
	}
}
