package decide

import "math"

// Load is an account's occupation at one moment.
type Load struct {
	InUse   int32
	Waiting int32
	Rate    float64 // percent of the limit, waiting included; may exceed 100
	Probing bool    // one of InUse is the account's probe
}

// LoadRate gives (inUse + waiting) · 100 / limit in percent; 0 when limit ≤ 0, which is unlimited.
func LoadRate(inUse, waiting, limit int32) float64 {
	if limit <= 0 {
		return 0
	}
	return float64((int64(inUse)+int64(waiting))*100) / float64(limit)
}

// maxRate lies above every rate that int32 counts can give and far below where squares overflow.
const maxRate = 1e15

// rate makes the load rate a number in [0, maxRate].
func (l *Load) rate() float64 {
	if l.Rate >= 0 && l.Rate <= maxRate {
		return l.Rate
	}
	if l.Rate > maxRate {
		return maxRate
	}
	return 0
}

// Stat is an account's smoothed history. The zero value has no sample.
type Stat struct {
	ErrorRate float64 // failures, 0 to 1
	TTFT      float64 // time to first token in ms; counts only with HasTTFT

	// How much each of the two counts under a policy with a half-life, 0 (not at all) to 1; not read without one.
	ErrorWeight, TTFTWeight float32

	HasTTFT bool
}

// Observe gives the statistics after one more report, for a policy without a half-life. alpha, in (0, 1], is the
// weight of the new sample. A ttftMillis that is not a finite number > 0 is no sample; the first one is taken whole.
func (s Stat) Observe(failure bool, ttftMillis, alpha float64) Stat {
	s.ErrorRate = mix(s.ErrorRate, failed(failure), alpha)
	return s.ObserveTTFT(ttftMillis, alpha)
}

// ObserveTTFT is Observe for a first token alone: the error rate stays as it is.
func (s Stat) ObserveTTFT(ttftMillis, alpha float64) Stat {
	switch {
	case !isTTFT(ttftMillis):
	case s.HasTTFT:
		s.TTFT = mix(s.TTFT, ttftMillis, alpha)
	default:
		s.TTFT, s.HasTTFT = ttftMillis, true
	}
	return s
}

func failed(failure bool) float64 {
	if failure {
		return 1
	}
	return 0
}

func isTTFT(ms float64) bool { return ms > 0 && !math.IsInf(ms, 1) }

func mix(old, sample, alpha float64) float64 {
	return float64(alpha*sample) + float64((1-alpha)*old)
}

// ttft gives the sample if there is one that can be compared.
func (s *Stat) ttft() (float64, bool) {
	return s.TTFT, s.HasTTFT && s.TTFT >= 0 && s.TTFT <= math.MaxFloat64
}

// errorRate makes the rate a number.
func (s *Stat) errorRate() float64 {
	if math.IsNaN(s.ErrorRate) {
		return 0
	}
	return s.ErrorRate
}
