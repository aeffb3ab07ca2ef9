package decide

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// learned gives statistics as reports make them, and whether there is an outcome among them.
func learned(rng *rand.Rand, f Fading) (s Stat, sampled bool) {
	for range rng.IntN(30) {
		if rng.IntN(3) == 0 {
			s = f.ObserveTTFT(s, 1+1000*rng.Float64(), 0.2)
		} else {
			s, sampled = f.Observe(s, rng.IntN(2) == 0, 0, 0.2), true
		}
		f.Fade(&s, time.Duration(rng.Int64N(int64(time.Minute))))
	}
	return s, sampled && (!f.On() || s.ErrorWeight > 0)
}

// near compares but for what rounding does.
func near(a, b float64) bool { return math.Abs(a-b) <= 1e-6*max(math.Abs(a), math.Abs(b), 1e-3) }

// TestMergeIsTheSameForAll: each replica merges its own with the others', and all come to the same.
func TestMergeIsTheSameForAll(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, half := range []time.Duration{0, time.Minute} {
		f := halfLife(half)
		for range 2000 {
			own, sampled := make([]Stat, 1+rng.IntN(5)), make([]bool, 5)
			for i := range own {
				own[i], sampled[i] = learned(rng, f)
			}
			var first Stat
			for i := range own {
				var c Crowd
				for j := range own {
					if j != i {
						f.Add(&c, &own[j], sampled[j])
					}
				}
				merged := own[i]
				f.Merge(&merged, &c, 1, sampled[i])
				if i == 0 {
					first = merged
				}
				if !near(merged.ErrorRate, first.ErrorRate) || !near(merged.TTFT, first.TTFT) || merged.HasTTFT != first.HasTTFT ||
					f.On() && (merged.ErrorWeight != first.ErrorWeight || merged.TTFTWeight != first.TTFTWeight) {
					t.Fatalf("half-life %v, %+v: replica %d comes to %+v, the first to %+v", half, own, i, merged, first)
				}
			}
		}
	}
}

// TestMergeOfOne: where one alone has learned, a fresh one comes to the same to the bit, and nothing learned stays nothing.
func TestMergeOfOne(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, half := range []time.Duration{0, time.Minute} {
		f := halfLife(half)
		for range 2000 {
			one, sampled := learned(rng, f)
			var c, nobody Crowd
			f.Add(&c, &one, sampled)
			var fresh Stat
			f.Merge(&fresh, &c, 1, false)
			if fresh != one {
				t.Fatalf("half-life %v: a fresh one has %+v, want %+v", half, fresh, one)
			}
			alone := one
			f.Merge(&alone, &nobody, 1, sampled)
			if alone != one {
				t.Fatalf("half-life %v: %+v with nobody is %+v", half, one, alone)
			}
		}
	}
}

func TestMergeFades(t *testing.T) {
	f := halfLife(time.Minute)
	var c Crowd
	f.Add(&c, &Stat{ErrorRate: 1, ErrorWeight: 1, TTFT: 300, TTFTWeight: 0.5, HasTTFT: true}, true)
	own := Stat{ErrorRate: 0, ErrorWeight: 0.5, TTFT: 100, TTFTWeight: 0.25, HasTTFT: true}
	f.Merge(&own, &c, f.Left(time.Minute), true)
	if want := (Stat{ErrorRate: 0.5, ErrorWeight: 0.5, TTFT: 200, TTFTWeight: 0.25, HasTTFT: true}); own != want {
		t.Errorf("after a half-life %+v, want %+v", own, want)
	}
	var fresh Stat
	f.Merge(&fresh, &c, f.Left(10*time.Minute), false)
	if fresh != (Stat{}) {
		t.Errorf("what is forgotten is %+v", fresh)
	}
	// Ten who all learned long ago are no surer than one.
	var many Crowd
	for range 10 {
		f.Add(&many, &Stat{ErrorRate: 1, ErrorWeight: 0.1}, true)
	}
	f.Merge(&fresh, &many, 1, false)
	if fresh.ErrorWeight != 0.1 || !near(fresh.ErrorRate, 1) {
		t.Errorf("of ten with little weight: %+v", fresh)
	}
}

// TestMergeOfAnything: whatever comes together, it can be scored with, and lies between what was put in.
func TestMergeOfAnything(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 100_000 {
		f := halfLife(time.Duration(rng.IntN(2)) * time.Minute)
		var c Crowd
		low, high := math.Inf(1), math.Inf(-1)
		take := func(s Stat, weighs bool) {
			if v, ok := s.ttft(); ok && weighs {
				low, high = min(low, v), max(high, v)
			}
		}
		for range rng.IntN(4) {
			s := anyStat(rng)
			w, _ := f.ttftWeight(&s)
			take(s, w > 0)
			f.Add(&c, &s, rng.IntN(2) == 0)
		}
		own := anyStat(rng)
		take(own, true)
		before := own
		f.Merge(&own, &c, f.left(time.Duration(rng.Int64N(int64(10*time.Minute)))), rng.IntN(2) == 0)
		if own == before || math.IsNaN(before.ErrorRate) || math.IsNaN(before.TTFT) || math.IsNaN(float64(before.ErrorWeight+before.TTFTWeight)) {
			continue
		}
		if own.ErrorRate != before.ErrorRate && !(own.ErrorRate >= 0 && own.ErrorRate <= 1) {
			t.Fatalf("%+v and %+v: error rate %v", before, c, own.ErrorRate)
		}
		if own.HasTTFT && own.TTFT != before.TTFT && !(own.TTFT >= low*(1-1e-12) && own.TTFT <= high*(1+1e-12)) {
			t.Fatalf("%+v and %+v: first token %v, of %v to %v", before, c, own.TTFT, low, high)
		}
	}
}
