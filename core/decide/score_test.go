package decide

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"usher.internal/core/pool"
)

func TestLoadRate(t *testing.T) {
	for _, c := range []struct {
		inUse, waiting, limit int32
		want                  float64
	}{
		{1, 0, 3, 100.0 / 3},
		{2, 1, 3, 100},
		{5, 5, 0, 0},
		{5, 5, -1, 0},
		{math.MaxInt32, math.MaxInt32, 1, 2 * math.MaxInt32 * 100.0},
		{0, 0, 7, 0},
	} {
		if got := LoadRate(c.inUse, c.waiting, c.limit); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestObserve(t *testing.T) {
	var s Stat
	for _, ms := range []float64{0, -1, math.NaN(), math.Inf(1), math.Inf(-1)} {
		if s = s.Observe(false, ms, 0.2); s.HasTTFT || s.ErrorRate != 0 {
			t.Errorf("%v is no sample: %+v", ms, s)
		}
	}
	s = s.Observe(true, 100, 0.2)
	if s != (Stat{ErrorRate: 0.2, TTFT: 100, HasTTFT: true}) {
		t.Errorf("first sample: %+v", s)
	}
	s = s.ObserveTTFT(200, 0.5)
	if s != (Stat{ErrorRate: 0.2, TTFT: 150, HasTTFT: true}) {
		t.Errorf("second sample: %+v", s)
	}
	if s = s.Observe(false, 0, 1); s.ErrorRate != 0 {
		t.Errorf("alpha 1 forgets: %+v", s)
	}
}

// TestHostileNumbers shows that no factor leaves [0, 1] whatever store and statistics hold.
func TestHostileNumbers(t *testing.T) {
	numbers := []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1, 0, math.Copysign(0, -1), 0.5, 150, 1e300, math.MaxFloat64}
	counts := []int32{math.MinInt32, -1, 0, 1, math.MaxInt32}
	priorities := []int{math.MinInt, -1, 0, math.MaxInt}
	var accounts []pool.Account
	in := &Input{Request: &Request{}, Now: now}
	for i, x := range numbers {
		for j, y := range numbers {
			n := len(accounts)
			accounts = append(accounts, pool.Account{ID: fmt.Sprint(n), Priority: priorities[(i+j)%4], Ordinal: n})
			in.Loads = append(in.Loads, Load{InUse: counts[j%5], Waiting: counts[i%5], Rate: x})
			in.Stats = append(in.Stats, Stat{ErrorRate: x, TTFT: y, HasTTFT: j%3 != 0})
		}
	}
	set, err := pool.NewSet(accounts)
	if err != nil {
		t.Fatal(err)
	}
	p := Reference()
	in.View, in.Policy = set.View(pool.Query{}), &p
	for _, v := range Explain(in, nil) {
		f := v.Factors
		for _, x := range []float64{f.Priority, f.Load, f.Queue, f.ErrorRate, f.TTFT} {
			if !(x >= 0 && x <= 1) {
				t.Fatalf("%+v", v)
			}
		}
	}
	var w Workspace
	w.Rank(in)
	if s := w.Skew(); math.IsNaN(s) || math.IsInf(s, 0) {
		t.Errorf("skew %v", s)
	}
}

func TestSeed(t *testing.T) {
	a := Anchor{SessionHash: " s\u3000", Model: "m", Group: "g"}
	if Seed(a, 1) != Seed(a, 2) || Seed(a, 1) != Seed(Anchor{SessionHash: "s", Model: "m", Group: "g"}, 3) {
		t.Error("an anchor alone decides")
	}
	blank := Anchor{SessionHash: "\t", ResponseID: "\u2029", Model: "m", Group: "g"}
	if !blank.Blank() || Seed(blank, 1) == Seed(blank, 2) || Seed(blank, 1) == Seed(blank, 1<<63|1) {
		t.Error("without an anchor entropy decides")
	}
	if Seed(a, 0) == Seed(Anchor{SessionHash: "s", Model: "m"}, 0) {
		t.Error("the group counts")
	}
	g := NewGenerator(0)
	if first, second := g.Next(), g.Next(); first == 0 || first == second {
		t.Error("seed 0 stands still")
	}
	for range 1000 {
		if x := g.Float64(); x < 0 || x >= 1 {
			t.Fatal(x)
		}
	}
}

// TestDrawFrequencies compares first draws with their weights by χ².
func TestDrawFrequencies(t *testing.T) {
	scores := []float64{4, 3, 2.5, 1, 0}
	const rounds = 50000
	first := make([]float64, len(scores))
	for i := range uint64(rounds) {
		order := DrawScores(scores, Seed(Anchor{}, i))
		first[order[0]]++
		slices.Sort(order)
		if !slices.Equal(order, []int32{0, 1, 2, 3, 4}) {
			t.Fatal("not a permutation")
		}
	}
	total := 0.0
	for _, s := range scores {
		total += s + 1
	}
	chi := 0.0
	for i, s := range scores {
		want := rounds * (s + 1) / total
		chi += (first[i] - want) * (first[i] - want) / want
	}
	if chi > 18.5 { // 4 degrees of freedom, p = 0.001
		t.Errorf("χ² = %v, %v", chi, first)
	}
}

func TestDrawNonFinite(t *testing.T) {
	for _, scores := range [][]float64{
		{math.Inf(1), 1, 0},
		{math.Inf(1), math.Inf(1)},
		{math.MaxFloat64, math.MaxFloat64 / 2, 0},
		{math.NaN(), 1},
		{1, math.Inf(-1)},
		{},
		{5},
	} {
		order := DrawScores(scores, 9)
		slices.Sort(order)
		for i := range scores {
			if len(order) != len(scores) || order[i] != int32(i) {
				t.Errorf("%v: %v", scores, order)
			}
		}
	}
}

func TestPolicy(t *testing.T) {
	p := Recommended()
	if errs := p.Validate(); errs != nil {
		t.Errorf("the recommended profile is refused: %v", errs)
	}
	p = Reference()
	if errs := p.Validate(); errs != nil {
		t.Errorf("the reference is refused: %v", errs)
	}
	for k, want := range map[int]int{0: 7, -5: 7, 3: 3, 100: 20} {
		if p.TopK = k; p.Limit(20) != want {
			t.Errorf("top %d of 20: %d", k, p.Limit(20))
		}
	}
	p.Weights = Weights{Priority: math.NaN(), Load: math.Inf(1), Queue: -1, ErrorRate: math.Inf(-1), TTFT: -0.1}
	p.Alpha, p.SessionTTL, p.ResponseTTL = math.NaN(), -1, -1
	p.StickyWait, p.FallbackWait = Wait{-1, -1}, Wait{-1, -1}
	p.HalfLife, p.MaxCooldown = -1, -1
	p.Overloaded = Backoff{Base: -1, Cap: -2, Jitter: math.NaN()}
	p.Escape = Escape{ErrorRate: math.NaN(), TTFTFactor: 1, TTFTFloor: -1, Length: -1}
	var fields []string
	for _, e := range p.Validate() {
		fields = append(fields, e.Field)
		if e.Problem == "" || e.Error() != e.Field+": "+e.Problem {
			t.Errorf("%+v", e)
		}
	}
	want := []string{
		"policy.weights.priority", "policy.weights.load", "policy.weights.queue", "policy.weights.error_rate",
		"policy.weights.ttft", "policy.ewma_alpha", "policy.session.ttl", "policy.response.ttl",
		"policy.wait.sticky.timeout", "policy.wait.sticky.max_waiting",
		"policy.wait.fallback.timeout", "policy.wait.fallback.max_waiting",
		"policy.half_life", "policy.cooldown.max",
		"policy.cooldown.overloaded.base", "policy.cooldown.overloaded.cap", "policy.cooldown.overloaded.jitter",
		"policy.session.escape.error_rate", "policy.session.escape.ttft_factor", "policy.session.escape.ttft_floor",
		"policy.session.escape.length",
	}
	if !slices.Equal(fields, want) {
		t.Errorf("%v", fields)
	}
}
