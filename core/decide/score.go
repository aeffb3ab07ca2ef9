package decide

import "math"

// Factors are what the weights are applied to, each in [0, 1], 1 being best.
type Factors struct {
	Priority  float64
	Load      float64
	Queue     float64
	ErrorRate float64
	TTFT      float64
}

// Score gives the weighted sum: each product rounded, summed left to right.
func (f Factors) Score(w *Weights) float64 {
	return float64(w.Priority*f.Priority) + float64(w.Load*f.Load) + float64(w.Queue*f.Queue) +
		float64(w.ErrorRate*f.ErrorRate) + float64(w.TTFT*f.TTFT)
}

// spread is what the factors of one account need to know of all candidates.
type spread struct {
	count      int
	sum        float64 // of load rates, in listing order
	squares    float64
	maxWaiting int32

	minPriority, maxPriority int
	priorityRange            float64 // 0 when all are equal
	minTTFT, maxTTFT         float64
	ttftRange                float64 // 0 when no samples differ
	queueRange               float64 // ≥ 1

	fading    bool    // weights count: the rest is read and written only then
	weight    float64 // of all error samples
	weighted  float64 // error factors by weight, summed in listing order
	minError  float64 // least and greatest error factor of those with a weight
	maxError  float64
	meanError float64 // what an account without error samples gets
}

func newSpread() spread {
	return spread{
		minPriority: math.MaxInt, maxPriority: math.MinInt,
		minTTFT: math.Inf(1), maxTTFT: math.Inf(-1),
		minError: math.Inf(1), maxError: math.Inf(-1), meanError: 1,
	}
}

// add takes one more candidate; candidates must come in listing order.
func (s *spread) add(priority int, l *Load, st *Stat) {
	r := l.rate()
	s.count++
	s.sum += r
	s.squares += float64(r * r)
	s.maxWaiting = max(s.maxWaiting, l.Waiting)
	s.minPriority = min(s.minPriority, priority)
	s.maxPriority = max(s.maxPriority, priority)
	if t, ok := st.ttft(); ok {
		if t < s.minTTFT {
			s.minTTFT = t
		}
		if t > s.maxTTFT {
			s.maxTTFT = t
		}
	}
}

// weigh takes one more candidate's error samples; in listing order, and only while fading.
func (s *spread) weigh(st *Stat) {
	w := share(st.ErrorWeight)
	if w == 0 {
		return
	}
	e := 1 - clamp01(st.errorRate())
	s.weight += w
	s.weighted += float64(w * e)
	if e < s.minError {
		s.minError = e
	}
	if e > s.maxError {
		s.maxError = e
	}
}

// close must be called after the last add and before any factor is asked for.
func (s *spread) close() {
	s.queueRange = float64(max(s.maxWaiting, 1))
	if s.maxPriority > s.minPriority {
		s.priorityRange = distance(s.maxPriority, s.minPriority)
	}
	if s.maxTTFT > s.minTTFT {
		s.ttftRange = s.maxTTFT - s.minTTFT
	}
	if s.weight > 0 {
		// Rounding must not make it better than the best or worse than the worst.
		s.meanError = min(max(s.weighted/s.weight, s.minError), s.maxError)
	}
}

// skew gives the population standard deviation of the load rates in percentage points.
func (s *spread) skew() float64 {
	if s.count <= 1 {
		return 0
	}
	n := float64(s.count)
	mean := s.sum / n
	variance := s.squares/n - float64(mean*mean)
	if !(variance > 0) {
		return 0
	}
	return math.Sqrt(variance)
}

func (s *spread) priority(p int) float64 {
	if s.priorityRange == 0 {
		return 1
	}
	return 1 - distance(p, s.minPriority)/s.priorityRange
}

func (s *spread) queue(waiting int32) float64 {
	return 1 - float64(max(waiting, 0))/s.queueRange // within [0, 1] for a candidate
}

func (s *spread) ttft(st *Stat) float64 {
	t, ok := st.ttft()
	if !ok || s.ttftRange == 0 {
		return 0.5
	}
	return 1 - (t-s.minTTFT)/s.ttftRange // within [0, 1] for a candidate
}

// fadedTTFT is ttft drawn towards the middle by what weight the sample lacks.
func (s *spread) fadedTTFT(st *Stat) float64 {
	return 0.5 + float64(share(st.TTFTWeight)*(s.ttft(st)-0.5))
}

// fadedErrorRate is the error factor drawn towards the candidates' mean by what weight the samples lack.
func (s *spread) fadedErrorRate(st *Stat) float64 {
	return s.meanError + float64(share(st.ErrorWeight)*(1-clamp01(st.errorRate())-s.meanError)) // within [0, 1], as both ends are
}

func load(rate float64) float64 { return 1 - min(rate/100, 1) } // a rate is never negative

// factors gives all five for one of the candidates.
func (s *spread) factors(priority int, l *Load, st *Stat) Factors {
	f := Factors{
		Priority:  s.priority(priority),
		Load:      load(l.rate()),
		Queue:     s.queue(l.Waiting),
		ErrorRate: 1 - clamp01(st.errorRate()),
		TTFT:      s.ttft(st),
	}
	if s.fading {
		f.ErrorRate, f.TTFT = s.fadedErrorRate(st), s.fadedTTFT(st)
	}
	return f
}

// distance gives high − low, which int may not hold.
func distance(high, low int) float64 { return float64(uint64(high) - uint64(low)) }

// clamp01 has no branch for the processor to guess wrong; NaN stays NaN.
func clamp01(x float64) float64 { return min(max(x, 0), 1) }
