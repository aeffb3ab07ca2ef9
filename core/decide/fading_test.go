package decide

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"usher.internal/core/pool"
)

func halfLife(d time.Duration) Fading {
	p := Policy{HalfLife: d}
	return p.Fading()
}

func faded(f Fading, s Stat, silence time.Duration) Stat {
	f.Fade(&s, silence)
	return s
}

func TestFadeHalves(t *testing.T) {
	f := halfLife(10 * time.Minute)
	full := Stat{ErrorRate: 0.5, TTFT: 100, ErrorWeight: 1, TTFTWeight: 0.5, HasTTFT: true}
	for _, c := range []struct {
		after time.Duration
		want  Stat
	}{
		{0, full},
		{-time.Hour, full},
		{10 * time.Minute, Stat{ErrorRate: 0.5, TTFT: 100, ErrorWeight: 0.5, TTFTWeight: 0.25, HasTTFT: true}},
		{70 * time.Minute, Stat{ErrorRate: 0.5, TTFT: 100, ErrorWeight: 1.0 / 128, TTFTWeight: 1.0 / 256, HasTTFT: true}},
		{75 * time.Minute, Stat{ErrorRate: 0.5, ErrorWeight: f.left(75 * time.Minute)}},
		{81 * time.Minute, Stat{}},
		{math.MaxInt64, Stat{}},
	} {
		if got := faded(f, full, c.after); got != c.want {
			t.Errorf("after %v: %+v, want %+v", c.after, got, c.want)
		}
	}
	if got := faded(halfLife(0), full, time.Hour); got != full {
		t.Errorf("without a half-life: %+v", got)
	}
	old := Stat{ErrorRate: 0.5, TTFT: 100, HasTTFT: true}
	if got := faded(f, old, 0); got != (Stat{}) {
		t.Errorf("samples without a weight: %+v", got)
	}
}

// TestFadeFollowsThePower compares with 2^(−x), and in steps with in one go.
func TestFadeFollowsThePower(t *testing.T) {
	const h = 7 * time.Minute
	f := halfLife(h)
	before := 1.0
	for d := time.Second; d < 6*h; d += 997 * time.Millisecond {
		got, want := float64(f.left(d)), math.Exp2(-float64(d)/float64(h))
		if math.Abs(got/want-1) > 2e-5 || got > before {
			t.Fatalf("after %v: %v, want %v", d, got, want)
		}
		before = got
	}
	s := Stat{ErrorWeight: 1}
	for range 7 * 60 {
		f.Fade(&s, time.Second)
	}
	if math.Abs(float64(s.ErrorWeight)-0.5) > 3e-3 {
		t.Errorf("second by second: %v", s.ErrorWeight)
	}
}

func TestFadingObserve(t *testing.T) {
	f := halfLife(time.Minute)
	s := f.Observe(Stat{}, true, 100, 0.2)
	if s != (Stat{ErrorRate: 1, TTFT: 100, ErrorWeight: 0.2, TTFTWeight: 0.2, HasTTFT: true}) {
		t.Errorf("the first is taken whole, with little weight: %+v", s)
	}
	// Weight times rate is what the average without a half-life says.
	var plain Stat
	s = Stat{}
	for i := range 40 {
		failure := i%3 == 0
		plain, s = plain.Observe(failure, 0, 0.2), f.Observe(s, failure, 0, 0.2)
		if got := s.ErrorRate * float64(s.ErrorWeight); math.Abs(got-plain.ErrorRate) > 1e-6 {
			t.Fatalf("after %d: %v, want %v", i, got, plain.ErrorRate)
		}
	}
	if s.ErrorWeight < 0.999 || s.HasTTFT || s.TTFTWeight != 0 {
		t.Errorf("after many: %+v", s)
	}
	before := s
	if s = f.ObserveTTFT(s, 50, 0.2); s.ErrorRate != before.ErrorRate || s.ErrorWeight != before.ErrorWeight || s.TTFT != 50 {
		t.Errorf("a first token alone: %+v", s)
	}
	if s = f.ObserveTTFT(s, math.Inf(1), 0.2); s.TTFT != 50 {
		t.Errorf("no sample: %+v", s)
	}
	if got, want := halfLife(0).Observe(plain, true, 9, 0.3), plain.Observe(true, 9, 0.3); got != want {
		t.Errorf("without a half-life: %+v, want %+v", got, want)
	}
	// After a long silence a sample counts as if it were the first.
	stale := faded(f, Stat{ErrorRate: 1, ErrorWeight: 1}, 6*time.Minute)
	if s = f.Observe(stale, false, 0, 0.2); s.ErrorRate > 0.07 {
		t.Errorf("stale errors outweigh a fresh success: %+v", s)
	}
}

// anyFloat prefers what is hard to compute with.
func anyFloat(rng *rand.Rand) float64 {
	odd := []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1, 0, math.Copysign(0, -1), 1, 1e-320, 1e300, math.MaxFloat64}
	if rng.IntN(2) == 0 {
		return odd[rng.IntN(len(odd))]
	}
	return rng.Float64()
}

func anyStat(rng *rand.Rand) Stat {
	return Stat{
		ErrorRate: anyFloat(rng), TTFT: anyFloat(rng), HasTTFT: rng.IntN(3) > 0,
		ErrorWeight: float32(anyFloat(rng)), TTFTWeight: float32(anyFloat(rng)),
	}
}

func anyInput(t *testing.T, rng *rand.Rand) *Input {
	n := 1 + rng.IntN(20)
	accounts := make([]pool.Account, n)
	in := &Input{Request: &Request{}, Now: now}
	for i := range accounts {
		accounts[i] = pool.Account{ID: fmt.Sprint(i), Ordinal: i, Priority: int(rng.Uint64()), MaxConcurrency: rng.IntN(3)}
		in.Loads = append(in.Loads, Load{InUse: int32(rng.Uint32()), Waiting: int32(rng.Uint32()), Rate: anyFloat(rng)})
		in.Stats = append(in.Stats, anyStat(rng))
	}
	set, err := pool.NewSet(accounts)
	if err != nil {
		t.Fatal(err)
	}
	p := Recommended()
	if rng.IntN(2) == 0 {
		p = Reference()
	}
	in.View, in.Policy = set.View(pool.Query{}), &p
	return in
}

// TestNoFactorIsNaN: whatever is known, every factor is in [0, 1] and every score is finite; so are samples after more of them.
func TestNoFactorIsNaN(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 20_000 {
		in := anyInput(t, rng)
		for _, v := range Explain(in, nil) {
			f := v.Factors
			for _, x := range []float64{f.Priority, f.Load, f.Queue, f.ErrorRate, f.TTFT} {
				if !(x >= 0 && x <= 1) {
					t.Fatalf("%s: %+v", in.Policy.Profile, v)
				}
			}
			if math.IsNaN(v.Score) || math.IsInf(v.Score, 0) {
				t.Fatalf("%+v", v)
			}
		}
		f := halfLife(time.Duration(rng.Uint64() >> 1))
		var s Stat
		for range 20 {
			f.Fade(&s, time.Duration(rng.Uint64()))
			s = f.Observe(s, rng.IntN(2) == 0, anyFloat(rng), max(rng.Float64(), 1e-320))
			if !(s.ErrorRate >= 0 && s.ErrorRate <= 1 && s.TTFT >= 0) || s.ErrorWeight < 0 || s.ErrorWeight > 1 || s.TTFTWeight > 1 {
				t.Fatalf("%+v", s)
			}
		}
	}
}

// TestNewcomersAreNeutral: without samples an account is in no factor better than the best nor worse than
// the worst of those that have some, to the bit.
func TestNewcomersAreNeutral(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for range 5000 {
		in := anyInput(t, rng)
		p := Recommended()
		in.Policy = &p
		if len(in.Stats) < 2 {
			continue
		}
		for i := range in.Stats {
			in.Stats[i].ErrorRate, in.Stats[i].ErrorWeight = rng.Float64(), rng.Float32()
			if rng.IntN(4) == 0 {
				in.Stats[i].ErrorRate = 0.3
			}
		}
		in.Stats[0] = Stat{}
		verdicts := Explain(in, nil)
		worst, best := Factors{ErrorRate: 2, TTFT: 2}, Factors{}
		for _, v := range verdicts[1:] {
			worst.ErrorRate, worst.TTFT = min(worst.ErrorRate, v.Factors.ErrorRate), min(worst.TTFT, v.Factors.TTFT)
			best.ErrorRate, best.TTFT = max(best.ErrorRate, v.Factors.ErrorRate), max(best.TTFT, v.Factors.TTFT)
		}
		newcomer := verdicts[0].Factors
		if newcomer.ErrorRate > best.ErrorRate || newcomer.ErrorRate < worst.ErrorRate ||
			newcomer.TTFT > best.TTFT && best.TTFT > 0.5 || newcomer.TTFT < worst.TTFT && worst.TTFT < 0.5 || newcomer.TTFT != 0.5 {
			t.Fatalf("%+v, others from %+v to %+v", newcomer, worst, best)
		}
	}
}

// TestFadingTable: the two factors by hand.
func TestFadingTable(t *testing.T) {
	set, err := pool.NewSet([]pool.Account{{ID: "a"}, {ID: "b", Ordinal: 1}, {ID: "c", Ordinal: 2}})
	if err != nil {
		t.Fatal(err)
	}
	p := Recommended()
	in := &Input{View: set.View(pool.Query{}), Request: &Request{}, Policy: &p, Now: now}
	check := func(name string, stats []Stat, errors, ttfts [3]float64) {
		t.Helper()
		in.Stats = stats
		for i, v := range Explain(in, nil) {
			if math.Abs(v.Factors.ErrorRate-errors[i]) > 1e-9 || math.Abs(v.Factors.TTFT-ttfts[i]) > 1e-9 {
				t.Errorf("%s: %s: %+v, want error %v, ttft %v", name, v.Account.ID, v.Factors, errors[i], ttfts[i])
			}
		}
	}
	check("no samples", make([]Stat, 3), [3]float64{1, 1, 1}, [3]float64{0.5, 0.5, 0.5})
	check("full weights and a newcomer", []Stat{
		{ErrorRate: 1, ErrorWeight: 1, TTFT: 100, HasTTFT: true, TTFTWeight: 1},
		{ErrorRate: 0, ErrorWeight: 1, TTFT: 300, HasTTFT: true, TTFTWeight: 1},
		{},
	}, [3]float64{0, 1, 0.5}, [3]float64{1, 0, 0.5})
	check("little weight", []Stat{
		{ErrorRate: 1, ErrorWeight: 0.25, TTFT: 100, HasTTFT: true, TTFTWeight: 0.5},
		{ErrorRate: 0, ErrorWeight: 0.75, TTFT: 300, HasTTFT: true, TTFTWeight: 0.25},
		{ErrorRate: 0, ErrorWeight: 0, TTFT: 200, HasTTFT: true, TTFTWeight: 1},
	}, [3]float64{0.5625, 0.9375, 0.75}, [3]float64{0.75, 0.375, 0.5})
}

// TestFadingOffIsTheReference: weights are not read without a half-life.
func TestFadingOffIsTheReference(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	for range 500 {
		in := anyInput(t, rng)
		p := Reference()
		in.Policy = &p
		a := Explain(in, nil)
		for i := range in.Stats {
			in.Stats[i].ErrorWeight, in.Stats[i].TTFTWeight = float32(anyFloat(rng)), float32(anyFloat(rng))
		}
		for i, v := range Explain(in, nil) {
			if math.Float64bits(v.Score) != math.Float64bits(a[i].Score) || v.Factors != a[i].Factors {
				t.Fatalf("%+v, want %+v", v, a[i])
			}
		}
	}
}

func TestEscapes(t *testing.T) {
	sample := func(ttft float64, weight float32) Stat {
		return Stat{TTFT: ttft, HasTTFT: ttft > 0, TTFTWeight: weight}
	}
	failing := func(rate float64, weight float32) Stat { return Stat{ErrorRate: rate, ErrorWeight: weight} }
	group := []Stat{sample(100, 1), sample(120, 1), sample(80, 1), {}, sample(300, 1)}
	fading, plain, off := Recommended(), Recommended(), Reference()
	plain.HalfLife = 0
	bare := plain
	bare.Escape.TTFTFloor = 0
	for _, c := range []struct {
		name   string
		stat   Stat
		group  []Stat
		policy *Policy
		want   bool
	}{
		{"healthy", sample(100, 1), group, &plain, false},
		{"at the multiple of the median", sample(300, 1), group, &plain, false},
		{"above it", sample(301, 1), group, &plain, true},
		{"above it, with full weight", sample(301, 1), group, &fading, true},
		{"above it, with little weight", sample(301, 0.5), group, &fading, false},
		{"far above it, with little weight", sample(600, 0.5), group, &fading, true},
		{"above it by no more than the floor", sample(101, 1), []Stat{sample(1, 1), sample(1, 1)}, &plain, false},
		{"above it by more", sample(101.1, 1), []Stat{sample(1, 1), sample(1, 1)}, &plain, true},
		{"above it by more, with little weight", sample(101.1, 0.5), []Stat{sample(1, 1), sample(1, 1)}, &fading, false},
		{"above it by more than the floor's share", sample(201.1, 0.5), []Stat{sample(1, 1), sample(1, 1)}, &fading, true},
		{"microseconds, without a floor", sample(0.9, 1), []Stat{sample(0.1, 1), sample(0.2, 1)}, &bare, true},
		{"no weight", sample(9e9, 0), group, &fading, false},
		{"no sample", Stat{}, group, &fading, false},
		{"alone", sample(9e9, 1), []Stat{sample(9e9, 1)}, &fading, false},
		{"the slower of two", sample(400, 1), []Stat{sample(400, 1), sample(100, 1)}, &fading, true},
		{"no group", sample(400, 1), nil, &fading, false},
		{"errors at the threshold", failing(0.5, 0), nil, &plain, true},
		{"errors below it", failing(0.49, 0), nil, &plain, false},
		{"errors with weight", failing(0.9, 0.6), nil, &fading, true},
		{"one failure alone", failing(1, 0.2), nil, &fading, false},
		{"off", Stat{ErrorRate: 1, ErrorWeight: 1, TTFT: 1e9, TTFTWeight: 1, HasTTFT: true}, group, &off, false},
		{"not a number", Stat{ErrorRate: math.NaN(), ErrorWeight: 1, TTFT: math.NaN(), HasTTFT: true, TTFTWeight: 1}, group, &fading, false},
	} {
		if got := Escapes(c.stat, c.group, c.policy); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestBackoff(t *testing.T) {
	b := Backoff{Base: time.Second, Cap: 10 * time.Second}
	for n, want := range map[int]float64{0: 1, 1: 1, 2: 2, 3: 4, 4: 8, 5: 10, 6: 10, 1 << 40: 10} {
		if got := b.After(n, 0.9).Seconds(); got != want {
			t.Errorf("after %d: %v, want %v s", n, got, want)
		}
	}
	b.Jitter = 0.5
	if got := b.After(2, 0.5); got != 1500*time.Millisecond {
		t.Errorf("with jitter: %v", got)
	}
	if got := (Backoff{}).After(1<<40, 0.5); got != 0 {
		t.Errorf("off: %v", got)
	}
	huge := Backoff{Base: math.MaxInt64/2 + 2, Cap: math.MaxInt64}
	if got := huge.After(3, 0); got != math.MaxInt64 {
		t.Errorf("huge: %v", got)
	}
}
