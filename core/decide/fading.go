package decide

import (
	"math"
	"time"
)

// Fading is how samples lose weight with time. Its zero value is a policy without a
// half-life: samples count the same for ever.
type Fading struct{ steps float64 } // table steps per nanosecond

// Fading gives the policy's.
func (p *Policy) Fading() Fading {
	if p.HalfLife <= 0 {
		return Fading{}
	}
	return Fading{fadeSteps / float64(p.HalfLife)}
}

// On tells that samples fade.
func (f Fading) On() bool { return f.steps > 0 }

// forgotten is the weight below which a sample is none.
const forgotten = 1.0 / 256

// Fade changes statistics to what a silence leaves of them: both weights halve with every half-life, and what is
// forgotten is gone.
func (f Fading) Fade(s *Stat, silence time.Duration) {
	if !f.On() || !s.HasTTFT && s.ErrorWeight == 0 && s.ErrorRate == 0 {
		return
	}
	left := f.left(silence)
	if s.ErrorWeight *= left; !(s.ErrorWeight >= forgotten) {
		s.ErrorRate, s.ErrorWeight = 0, 0
	}
	if s.TTFTWeight *= left; !(s.TTFTWeight >= forgotten) {
		s.TTFT, s.TTFTWeight, s.HasTTFT = 0, 0, false
	}
}

// Observe gives the statistics after one more report; s is faded to its time. Without a half-life it is
// Stat.Observe. With one, the averages are over what weight the samples have: the first is taken whole, and each
// adds to the weight as alpha says, so that one sample makes no certainty.
func (f Fading) Observe(s Stat, failure bool, ttftMillis, alpha float64) Stat {
	if !f.On() {
		return s.Observe(failure, ttftMillis, alpha)
	}
	s.ErrorRate, s.ErrorWeight = blend(s.ErrorRate, s.ErrorWeight, failed(failure), alpha)
	return f.ObserveTTFT(s, ttftMillis, alpha)
}

// ObserveTTFT is Observe for a first token alone.
func (f Fading) ObserveTTFT(s Stat, ttftMillis, alpha float64) Stat {
	switch {
	case !f.On():
		return s.ObserveTTFT(ttftMillis, alpha)
	case isTTFT(ttftMillis):
		s.TTFT, s.TTFTWeight = blend(s.TTFT, s.TTFTWeight, ttftMillis, alpha)
		s.HasTTFT = true
	}
	return s
}

// blend averages an old value of some weight with a sample of weight alpha.
func blend(old float64, weight float32, sample, alpha float64) (value float64, total float32) {
	rest := float64((1 - alpha) * share(weight))
	sum := alpha + rest
	if rest == 0 {
		return sample, float32(sum)
	}
	return old + float64((sample-old)*(alpha/sum)), float32(min(sum, 1))
}

// share makes a weight a number in [0, 1].
func share(weight float32) float64 {
	switch {
	case !(weight >= 0):
		return 0
	case weight > 1:
		return 1
	}
	return float64(weight)
}

// fadeSteps is the number of steps into which the table divides a half-life; after so many halvings even the
// greatest weight is forgotten.
const (
	fadeSteps = 64
	halvings  = 8
)

// halving[i] is 2^(−i/fadeSteps): by roots and products alone, which are the same to the bit everywhere.
var halving = func() (t [halvings*fadeSteps + 1]float32) {
	root := 0.5
	for n := 1; n < fadeSteps; n *= 2 {
		root = math.Sqrt(root)
	}
	power := 1.0
	for i := range t {
		t[i] = float32(power)
		power *= root
	}
	return t
}()

// left gives the share of a weight that a silence leaves; between two steps it is a straight line.
func (f Fading) left(silence time.Duration) float32 {
	x := float64(float64(silence) * f.steps)
	if !(x < halvings*fadeSteps) {
		return 0
	}
	if !(x > 0) {
		return 1
	}
	i := int(x)
	from, to := halving[i], halving[i+1]
	return from + float32(float32(x-float64(i))*(to-from))
}
